"""Whether a passage holds an answer, for questions whose gold passages nobody named."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from retriever.types import Passage


def first_answer_rank(ranked: Sequence[Passage], answers: Iterable[str]) -> float:
    """The rank, from 1, of the first passage that holds an answer as whole words; infinite where none does.

    Texts are compared without case, accents, punctuation and articles. The title counts as part of the passage.
    """
    wanted = [words for answer in answers if (words := _words(answer)).strip()]
    for rank, passage in enumerate(ranked, start=1):
        text = _words(f"{passage.title} {passage.text}")
        if any(words in text for words in wanted):
            return rank
    return float("inf")


def _words(text: str) -> str:
    """The words, one space before, between and after them."""
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(letter)
    )
    words = " ".join(word for word in re.findall(r"\w+", plain) if word not in ("a", "an", "the"))
    return f" {words} "
