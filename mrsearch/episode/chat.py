"""The model's own chat template and tokeniser, reduced to what a growing context needs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from jinja2 import TemplateError

from mrsearch.episode.actions import RESERVED_TAGS, SEARCH_TOOL, whole_characters
from mrsearch.errors import UserError

# About 20 MB where passages have a hundred words.
_REMEMBERED_TEXTS = 8192

_USER, _ASSISTANT, _NEXT = "userplaceholder", "assistantplaceholder", "nextplaceholder"


@dataclass(frozen=True, slots=True)
class _Join:
    """What stands around a message that the environment puts in.

    Attributes:
        open, closed: ids before its content: the assistant's message is still open, or the policy ended it.
        tail: ids after its content, the generation prompt included.
    """

    open: tuple[int, ...]
    closed: tuple[int, ...]
    tail: tuple[int, ...]

    def around(self, content_ids: Sequence[int], *, closed: bool) -> list[int]:
        return [*(self.closed if closed else self.open), *content_ids, *self.tail]


class Chat:
    """Renders prompts and the joins between attempts as token ids.

    Args:
        tokenizer: a Hugging Face tokeniser with a chat template.
        eos_ids: further ids at which the engine ends a turn, such as those of the model's generation config.

    Attributes:
        closing_ids: sampled ids that end the assistant's message; engines must stop at them.

    Raises:
        UserError: the tokeniser has no chat template, or one that rewrites what came before a new message.
    """

    def __init__(self, tokenizer: Any, eos_ids: Sequence[int] = ()) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise UserError("The model's tokeniser has no chat template; add chat_template.jinja to its folder.")
        self._tokenizer = tokenizer
        # The environment says the same words again and again, and meta-episodes of one question find the same passages.
        self._encoded = lru_cache(maxsize=_REMEMBERED_TEXTS)(
            lambda text: tuple(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))
        )
        self._untrusted = lru_cache(self._markers_and)
        before, after = self._split_join("user")
        end_of_message = self._end_of_message(before)
        self._user_join = self._join(before, after)
        own_end = self._encode_template(end_of_message[0]) if end_of_message else []
        self.closing_ids = frozenset({*eos_ids, *own_end, tokenizer.eos_token_id} - {None})

    def require_tools(self) -> None:
        """Checks that the template tells of the search tool, asks for calls in JSON and renders a tool's messages.

        Raises:
            UserError: it does not.
        """
        if not self._tool_join:
            raise UserError(
                "The model's chat template does not take tools as those of Qwen2.5 and Qwen3 do; set episode.protocol "
                "to 'tags', or choose another model."
            )

    def first_prompt(self, system: str | None, user: str, *, tools: bool = False) -> list[int]:
        """The ids of [system, user] with the generation prompt, and with the search tool where `tools` says so.

        Raises:
            UserError: the template has no system role.
        """
        messages = [{"role": "user", "content": self.neutralise_markers(user)}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        return self._encode_template(self._render(messages, tools=tools))

    def user_message(self, content_ids: Sequence[int], *, closed: bool) -> list[int]:
        """Ends the assistant's message, adds a user message and opens the next assistant message.

        Args:
            content_ids: the message's content.
            closed: whether the policy ended its message itself; the template's own end-of-message token is
                left out then.
        """
        return self._user_join.around(content_ids, closed=closed)

    def tool_message(self, content_ids: Sequence[int], *, closed: bool) -> list[int]:
        """As `user_message`, with a message of the search tool; only after `require_tools`."""
        assert self._tool_join, "require_tools comes first"
        return self._tool_join.around(content_ids, closed=closed)

    def encode(self, text: str) -> list[int]:
        """Ids of the environment's text; no text becomes a special token."""
        return list(self._encoded(text))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens and white space kept."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def neutralise(self, text: str, reserved: tuple[str, ...] = RESERVED_TAGS) -> str:
        """Breaks every reserved tag and every token marker in untrusted text, visibly.

        A space goes in after the marker's first character, so `</answer>` becomes `< /answer>`.
        """
        return _break_all(self._untrusted(reserved), text)

    def neutralise_markers(self, text: str) -> str:
        """Breaks the tokeniser's own markers only, such as `<|im_end|>`."""
        return _break_all(self._special, text)

    @cached_property
    def _special(self) -> re.Pattern[str]:
        """Any of the tokeniser's special-token strings."""
        special = [str(token) for token in self._tokenizer.added_tokens_decoder.values() if token.special]
        return _any_of((*special, *self._tokenizer.all_special_tokens))

    def _markers_and(self, reserved: tuple[str, ...]) -> re.Pattern[str]:
        added = [str(token) for token in self._tokenizer.added_tokens_decoder.values()]
        return _any_of((*added, *self._tokenizer.all_special_tokens, *reserved))

    def _split_join(self, role: str, *, tools: bool = False) -> tuple[str, str]:
        """The text between an assistant's content and the next message's, and from there to the new generation."""
        user = {"role": "user", "content": _USER}
        prompt = self._render([user], tools=tools)
        following = [user, {"role": "assistant", "content": _ASSISTANT}, {"role": role, "content": _NEXT}]
        whole = self._render(following, tools=tools)
        if not whole.startswith(prompt + _ASSISTANT) or whole.count(_NEXT) != 1:
            raise UserError(
                "The model's chat template changes earlier messages when a new one is added; "
                "a growing context needs one that only appends."
            )
        before, after = whole[len(prompt + _ASSISTANT) :].split(_NEXT)
        return before, after

    @cached_property
    def _tool_join(self) -> "_Join | None":
        """The join around a message of the search tool; None where `require_tools` refuses the template."""
        try:
            join = self._join(*self._split_join("tool", tools=True))
            told = self._render([{"role": "user", "content": _USER}], tools=True)
        except UserError:
            return None
        wanted = (SEARCH_TOOL["function"]["description"], "<tool_call>", '"arguments"')
        return join if all(words in told for words in wanted) else None

    def _join(self, before: str, after: str) -> "_Join":
        end = self._end_of_message(before)
        return _Join(
            tuple(self._encode_template(before)),
            tuple(self._encode_template(before[end.end() :] if end else before)),
            tuple(self._encode_template(after)),
        )

    def _end_of_message(self, before: str) -> re.Match[str] | None:
        """The template's own end-of-message token in the text that follows an assistant's content."""
        return self._special.match(before, len(before) - len(before.lstrip()))

    def _render(self, messages: list[dict[str, str]], *, tools: bool = False) -> str:
        given = {"tools": [SEARCH_TOOL]} if tools else {}
        try:
            text: str = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **given
            )
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise UserError(f"The model's chat template refuses the messages ({roles}): {error}.") from error
        return text

    def _encode_template(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids


def break_tags(text: str, tags: tuple[str, ...]) -> str:
    """Breaks every one of the tags in untrusted text, visibly; for chats without token markers."""
    return _break_all(_any_of(tags), text)


@lru_cache
def _any_of(strings: tuple[str, ...]) -> re.Pattern[str]:
    # Some tokenisers have tokens for runs of spaces or for one character: no markers, and no space breaks them.
    markers = {marker.strip() for marker in strings if len(marker.strip()) > 1}
    longest_first = sorted(markers, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)", re.IGNORECASE)


def _break_all(pattern: re.Pattern[str], text: str) -> str:
    text = whole_characters(text)
    # A break can leave an overlapping marker whole, so go on until none is left.
    while pattern.search(text):
        text = pattern.sub(lambda match: match[0][0] + " " + match[0][1:], text)
    return text
