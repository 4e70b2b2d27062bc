"""What a short context keeps of earlier attempts: what the policy thought and answered, and nothing else."""

import re
from collections.abc import Iterator, Sequence

from mrsearch.episode.prompts import Prompts
from mrsearch.episode.records import Attempt
from mrsearch.episode.types import ChatLike

_THINK_TAG = re.compile(r"</?think>")
_NONE = "(none)"


def render_earlier(
    chat: ChatLike, words: Prompts, attempts: Sequence[Attempt], steps: int, reserved: tuple[str, ...]
) -> str:
    """The part of a fresh prompt that tells of the attempts so far.

    Of each attempt it keeps the explicit reflection, or else the thinking of the first turn, and the last answer.
    The policy's text is put back as if it were anybody's: with no `reserved` tag and no token marker in it.

    Args:
        attempts: the record so far, with `steps` entries for each attempt.
    """
    lines = [
        words.earlier_attempt.format(number=number, thoughts=_thoughts(entries), answer=_answer(entries))
        for number, entries in enumerate(_by_attempt(attempts, steps), start=1)
    ]
    return words.earlier.replace("{attempts}", chat.neutralise("".join(lines), reserved))


def _by_attempt(attempts: Sequence[Attempt], steps: int) -> Iterator[Sequence[Attempt]]:
    return (attempts[start : start + steps] for start in range(0, len(attempts), steps))


def _thoughts(entries: Sequence[Attempt]) -> str:
    first = entries[0]
    thinking = next((turn.thinking for turn in first.turns if turn.text), "")
    thoughts = thinking if first.reflection is None else first.reflection
    return _THINK_TAG.sub("", thoughts).strip() or _NONE


def _answer(entries: Sequence[Attempt]) -> str:
    return next((entry.answer for entry in reversed(entries) if entry.answer), _NONE)
