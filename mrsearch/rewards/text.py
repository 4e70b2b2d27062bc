"""Scores of one answer against its gold answers, over SQuAD's normalised text."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str) -> str:
    """SQuAD's normal form, as in Search-R1's scorer and in its order.

    Lower case, no ASCII punctuation, articles replaced by a space, single spaces.

    >>> normalise("The  Beatles' Abbey-Road (an album)!")
    'beatles abbeyroad album'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str | None, golds: Sequence[str]) -> float:
    """1.0 if the normalised answer equals a normalised gold answer, else 0.0; no answer is never right.

    >>> exact_match(" the Beatles. ", ["Beatles", "The Fab Four"]), exact_match(None, ["Beatles"])
    (1.0, 0.0)
    """
    return _best(answer, golds, lambda predicted, gold: float(predicted == gold))


def f1(answer: str | None, golds: Sequence[str]) -> float:
    """Harmonic mean of token precision and recall against the closest gold answer, in [0, 1].

    Tokens are the words of the normalised text, counted as often as they occur (SQuAD 1.1).

    >>> f1("Sir Paul McCartney", ["Paul McCartney", "Macca"]), f1(None, ["Macca"])
    (0.8, 0.0)
    """
    return _best(answer, golds, _token_f1)


def _best(answer: str | None, golds: Sequence[str], score: Callable[[str, str], float]) -> float:
    if isinstance(golds, str):
        raise TypeError("gold answers come as a list of strings, not as one string")
    if answer is None:
        return 0.0
    predicted = normalise(answer)
    return max((score(predicted, normalise(gold)) for gold in golds), default=0.0)


def _token_f1(predicted: str, gold: str) -> float:
    predicted_words, gold_words = predicted.split(), gold.split()
    common = (Counter(predicted_words) & Counter(gold_words)).total()
    return 2 * common / (len(predicted_words) + len(gold_words)) if common else 0.0
