"""What the policy did in a turn: the earliest closing tag decides."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

SEARCH, ANSWER, REFLECTION = "search", "answer", "reflection"

ACTION_STOPS = ("</search>", "</answer>")
REFLECTION_STOPS = ("</reflection>",)
TOOL_STOPS = ("</tool_call>", "</answer>")


def _tags(*names: str) -> tuple[str, ...]:
    return tuple(f"<{slash}{name}>" for name in names for slash in ("", "/"))


RESERVED_TAGS = _tags("think", "search", "information", "answer", "reflection")
TOOL_RESERVED_TAGS = (*RESERVED_TAGS, *_tags("tool_call", "tool_response", "tools"))

SEARCH_TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": SEARCH,
        "description": "Searches a collection of documents and returns the passages that fit the query best.",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string", "description": "What to search for."}},
            "required": ["query"],
        },
    },
}
"""The one tool, in the form that chat templates take."""


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
    kind, content, thinking = _earliest(text, (SEARCH, ANSWER))
    if kind == ANSWER:
        return Action("answer", content, thinking)
    return Action("search", content, thinking) if content else Action("invalid", "", text)


def parse_tool_action(text: str) -> Action:
    r"""Reads the action of a turn's text where searches are tool calls.

    As `parse_action`, with `</tool_call>` in the place of `</search>`: between the tags stands one JSON object
    that calls `SEARCH_TOOL`. Any other content, another tool or an empty query make the turn invalid.

    >>> parse_tool_action('<tool_call>\n{"name": "search", "arguments": {"query": "who"}}\n</tool_call>').content
    'who'
    >>> parse_tool_action('<tool_call>{"name": "weather", "arguments": {"query": "Oslo"}}</tool_call>').kind
    'invalid'
    """
    kind, content, thinking = _earliest(text, ("tool_call", ANSWER))
    if kind == ANSWER:
        return Action("answer", content, thinking)
    query = _query_of(content)
    return Action("search", query, thinking) if query else Action("invalid", "", text)


def _earliest(text: str, tags: tuple[str, str]) -> tuple[str, str, str]:
    """The tag that closes first, what it holds and what stands before it; three times nothing where none does."""
    closings = [(at, tag) for tag in tags if (at := text.find(f"</{tag}>")) >= 0]
    if not closings:
        return "", "", ""
    end, tag = min(closings)
    opening = f"<{tag}>"
    start = text.rfind(opening, 0, end)
    return (tag, text[start + len(opening) : end].strip(), text[:start]) if start >= 0 else ("", "", "")


def _query_of(call: str) -> str:
    """The query of a tool call; empty where it is none."""
    try:
        said = json.loads(call)
    except (ValueError, RecursionError):
        return ""
    arguments = said.get("arguments") if isinstance(said, dict) and said.get("name") == SEARCH else None
    query = arguments.get("query") if isinstance(arguments, dict) else None
    return whole_characters(query).strip() if isinstance(query, str) else ""


def whole_characters(text: str) -> str:
    """Text with a replacement for halves of surrogate pairs, which JSON can carry and no tokeniser takes."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def parse_reflection(text: str) -> str:
    """The text of an explicit reflection: all before `</reflection>`, without an opening tag and outer space."""
    return text.split("</reflection>", 1)[0].replace("<reflection>", "", 1).strip()
