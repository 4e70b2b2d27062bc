"""What the policy did in a turn: the earliest closing tag decides."""

from dataclasses import dataclass
from typing import Literal

SEARCH, ANSWER, REFLECTION = "search", "answer", "reflection"

ACTION_STOPS = ("</search>", "</answer>")
REFLECTION_STOPS = ("</reflection>",)
RESERVED_TAGS = tuple(
    f"<{slash}{name}>" for name in ("think", "search", "information", "answer", "reflection") for slash in ("", "/")
)


@dataclass(frozen=True, slots=True)
class Action:
    """One parsed turn.

    Attributes:
        kind: "search", "answer" or "invalid".
        content: the query or the answer, without the white space around it; empty where invalid.
        thinking: the text before the action's opening tag, or all the text where invalid.
    """

    kind: Literal["search", "answer", "invalid"]
    content: str
    thinking: str


def parse_action(text: str) -> Action:
    """Reads the action of a turn's text.

    The earliest `</search>` or `</answer>` decides the kind; its content begins at the last opening tag of
    that kind before it. No closing tag, no opening tag or an empty query make the turn invalid; an empty
    answer is an answer.

    >>> parse_action("<think>hm</think><search> who </search>\\n").content
    'who'
    >>> parse_action("<answer> a </answer> <search> b </search>").kind
    'answer'
    >>> parse_action("</search>").kind
    'invalid'
    """
    closings = [(at, kind) for kind in (SEARCH, ANSWER) if (at := text.find(f"</{kind}>")) >= 0]
    if not closings:
        return Action("invalid", "", text)
    end, kind = min(closings)
    opening = f"<{kind}>"
    start = text.rfind(opening, 0, end)
    if start < 0:
        return Action("invalid", "", text)
    content = text[start + len(opening) : end].strip()
    if kind == SEARCH:
        return Action("search", content, text[:start]) if content else Action("invalid", "", text)
    return Action("answer", content, text[:start])


def parse_reflection(text: str) -> str:
    """The text of an explicit reflection: all before `</reflection>`, without an opening tag and outer space."""
    return text.split("</reflection>", 1)[0].replace("<reflection>", "", 1).strip()
