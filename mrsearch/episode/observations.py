"""Passages become an observation: neutralised, cut one by one, then wrapped."""

from collections.abc import Sequence

from mrsearch.episode.actions import RESERVED_TAGS
from mrsearch.episode.prompts import Prompts
from mrsearch.episode.records import ShownPassage
from mrsearch.episode.types import ChatLike, Passage


def render_observation(
    chat: ChatLike,
    prompts: Prompts,
    passages: Sequence[Passage],
    budget: int,
    *,
    answer_due: bool,
    reserved: tuple[str, ...] = RESERVED_TAGS,
) -> tuple[list[int], list[ShownPassage]]:
    """The ids of an observation and the passages as shown.

    Each passage gets an equal share of what the passages before it left of `budget` tokens; wrapping and
    line ends come on top, so a cut never loses the closing tag; words without one end without a line end. No passage
    holds a `reserved` tag.
    """
    opening, closing = prompts.observation.split("{passages}")
    end = closing + (prompts.answer_due if answer_due else "")
    newline = chat.encode("\n")
    ids = chat.encode(opening)
    shown = []
    for rank, passage in enumerate(passages, start=1):
        share = budget // (len(passages) - rank + 1)
        body, seen = _cut(chat, prompts, rank, passage, share, reserved)
        budget -= len(body)
        ids += [*body, *newline] if end or rank < len(passages) else body
        shown.append(seen)
    if not passages:
        ids += chat.encode(prompts.nothing_found if end else prompts.nothing_found.rstrip("\n"))
    return ids + chat.encode(end), shown


def _cut(
    chat: ChatLike, prompts: Prompts, rank: int, passage: Passage, share: int, reserved: tuple[str, ...]
) -> tuple[list[int], ShownPassage]:
    """The ids of a passage's line, at most `share`, and what of it they show."""
    title, text = (chat.neutralise(part, reserved) for part in (passage.title, passage.text))
    head = prompts.passage.format(rank=rank, title=title, text="")
    # The parts are safe apart; neutralise the whole too, for a marker that only their meeting makes.
    ids = chat.encode(chat.neutralise(head + text, reserved))
    if len(ids) > share:
        ids = ids[:share]
        text = chat.decode(ids)[len(head) :]
    return ids, ShownPassage(passage.id, title, text, float(passage.score))
