"""A chat for policies that take and give text: commercial endpoints, and scripts."""

import hashlib
import re
from collections.abc import Sequence
from typing import NoReturn

from mrsearch.episode.actions import RESERVED_TAGS
from mrsearch.episode.chat import break_tags
from mrsearch.errors import UserError

_SYSTEM, _USER, _ASSISTANT, _END = range(4)
_ROLES = {_SYSTEM: "system", _USER: "user", _ASSISTANT: "assistant"}

# About as long as the tokens of a language model, so that budgets mean something.
_PIECE = re.compile(r" ?\w{1,6}|[^\w\s]|\s")


class TextChat:
    """What `run_meta_episode` asks of a chat, without a tokeniser.

    Tokens are pieces of text. A piece's number is a hash, so that transcripts do not depend on what was said before;
    only the chat that made a number knows its piece. The context still is one growing row of tokens, and `messages`
    reads it as a conversation. The policy ends every turn of its own with `end`, so that what the environment says
    comes as messages of the user.

    Attributes:
        end: the token that ends a message.
        closing_ids: `end` alone.
    """

    def __init__(self) -> None:
        self._pieces = {**{number: f"\n[{role}]\n" for number, role in _ROLES.items()}, _END: ""}
        self.end = _END
        self.closing_ids = frozenset({_END})

    def require_tools(self) -> NoReturn:
        """Refuses tools: without the model's own chat template there is no form to call them in.

        Raises:
            UserError: always.
        """
        raise UserError(
            "A policy of messages has no chat template to call tools in; set episode.protocol to 'tags', or give an "
            "endpoint --tokenizer with the folder of its model."
        )

    def first_prompt(self, system: str | None, user: str, *, tools: bool = False) -> list[int]:
        """The ids of [system, user] with the assistant's message opened; never with tools."""
        if tools:
            self.require_tools()
        opening = [] if system is None else [_SYSTEM, *self.encode(system), _END]
        return [*opening, _USER, *self.encode(user), _END, _ASSISTANT]

    def user_message(self, content_ids: Sequence[int], *, closed: bool) -> list[int]:
        """Ends the assistant's message where the policy did not, adds a user message and opens the next one."""
        return [*([] if closed else [_END]), _USER, *content_ids, _END, _ASSISTANT]

    def tool_message(self, content_ids: Sequence[int], *, closed: bool) -> list[int]:
        """Refused as tools are."""
        self.require_tools()

    def encode(self, text: str) -> list[int]:
        """Ids of a text's pieces; joined they are the text again, but for halves of surrogate pairs."""
        return [self._number(piece) for piece in _pieces(text)]

    def encode_turn(self, text: str, room: int) -> list[int]:
        """Ids of a turn of the policy, `end` included; what goes beyond `room` ids is one piece, and not lost."""
        pieces = _pieces(text)
        if len(pieces) > room - 1:
            pieces = [*pieces[: room - 2], "".join(pieces[max(0, room - 2) :])] if room > 1 else []
        return [*(self._number(piece) for piece in pieces), _END]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; the end of a message has none."""
        return "".join(self._pieces[number] for number in ids)

    def neutralise(self, text: str, reserved: tuple[str, ...] = RESERVED_TAGS) -> str:
        """Breaks every reserved tag in untrusted text, visibly, as `Chat` does."""
        return break_tags(text, reserved)

    def neutralise_markers(self, text: str) -> str:
        """Nothing to break: no text becomes the end of a message."""
        return text

    def messages(self, ids: Sequence[int]) -> list[dict[str, str]]:
        """The conversation so far, without the message that is open."""
        said: list[dict[str, str]] = []
        start = 0
        for place, number in enumerate(ids):
            if number == _END:
                said.append({"role": _ROLES[ids[start]], "content": self.decode(ids[start + 1 : place])})
                start = place + 1
        return said

    def _number(self, piece: str) -> int:
        # 52 bits: exact in JSON wherever it is read, and no two pieces meet in practice.
        number = int.from_bytes(hashlib.sha256(piece.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 12
        self._pieces[number] = piece
        return number


def _pieces(text: str) -> list[str]:
    # JSON can carry halves of surrogate pairs, which no record can hold.
    return _PIECE.findall(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
