"""How a policy acts and how it is answered: by Search-R1's tags, or by the tool calls of its chat template."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from mrsearch.episode.actions import (
    ACTION_STOPS,
    RESERVED_TAGS,
    TOOL_RESERVED_TAGS,
    TOOL_STOPS,
    Action,
    parse_action,
    parse_tool_action,
)
from mrsearch.episode.types import ChatLike

Say = Callable[[ChatLike, Sequence[int], bool], list[int]]
"""Ids of what the environment says, from a chat, the content's ids and whether the policy closed its message."""


def _inside(chat: ChatLike, content_ids: Sequence[int], closed: bool) -> list[int]:
    """In the open assistant message, or as a user message where the policy closed it."""
    return chat.user_message(content_ids, closed=True) if closed else list(content_ids)


def _as_user(chat: ChatLike, content_ids: Sequence[int], closed: bool) -> list[int]:
    return chat.user_message(content_ids, closed=closed)


def _as_tool(chat: ChatLike, content_ids: Sequence[int], closed: bool) -> list[int]:
    return chat.tool_message(content_ids, closed=closed)


@dataclass(frozen=True, slots=True)
class ActionProtocol:
    """One way to act.

    Attributes:
        stops: strings that end a turn.
        parse: reads a turn's action.
        reserved: tags that untrusted text must not hold.
        uses_tools: whether the first prompt tells of the search tool.
        say_passages, say_note: how passages are shown, and how notes are made.
    """

    stops: tuple[str, ...]
    parse: Callable[[str], Action]
    reserved: tuple[str, ...]
    uses_tools: bool
    say_passages: Say
    say_note: Say


PROTOCOLS: Final = {
    "tags": ActionProtocol(ACTION_STOPS, parse_action, RESERVED_TAGS, False, _inside, _inside),
    "hermes": ActionProtocol(TOOL_STOPS, parse_tool_action, TOOL_RESERVED_TAGS, True, _as_tool, _as_user),
}
"""By the name in `EpisodeConfig.protocol`."""
