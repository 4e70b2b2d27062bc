"""Policies without a model: a floor to compare with, and a way to try everything else."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from mrsearch.episode import Sampled
from mrsearch.episode.actions import REFLECTION_STOPS
from mrsearch.episode.prompts import PROMPTS
from mrsearch.errors import UserError
from mrsearch.evaluation.policies.spec import OnText, PolicySpec
from mrsearch.evaluation.policies.text_chat import TextChat

Messages = Sequence[dict[str, str]]
Script = Callable[[Messages], str]

# Documents cannot hold the tags, and the environment's other words never follow one at once in this way.
_PASSAGES = re.compile(r"<information>(?P<passages>(?:Doc 1\(|1\. |Nothing).*)</information>", re.DOTALL)

_QUESTIONS: Final = [
    re.compile(
        re.escape(prompts.user)
        .replace(r"\{question\}", "(?P<question>.*)")
        .replace(r"\{passages\}", r".*?</information>\s*"),
        re.DOTALL,
    )
    for prompts in PROMPTS.values()
]

# Behind the question, the first message of a short context tells of earlier attempts.
_EARLIER: Final = re.compile("|".join({re.escape(words.earlier.split("{attempts}")[0]) for words in PROMPTS.values()}))


def title_of_best_passage(messages: Messages) -> str:
    """Searches the question, and answers with the title of the best passage; with nothing, where nothing was found."""
    shown = _PASSAGES.search(messages[-1]["content"])
    if not shown:
        return f"<search> {question_of(messages)} </search>"
    return f"<answer> {best_title(shown['passages']) or ''} </answer>"


SCRIPTS: Final[dict[str, Script]] = {"title": title_of_best_passage}


def find_script(name: str) -> Script:
    """A script by its name.

    Raises:
        UserError: there is none of this name.
    """
    if name not in SCRIPTS:
        raise UserError(f"There is no scripted policy {name!r}; give scripted:{' or scripted:'.join(SCRIPTS)}.")
    return SCRIPTS[name]


class ScriptedPolicy:
    """Says what its script says to the conversation so far; a reflection of its own turn is empty."""

    def __init__(self, script: Script, chat: TextChat, on_text: OnText | None = None) -> None:
        self._script, self._chat, self._on_text = script, chat, on_text

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        reflects = tuple(stop) == REFLECTION_STOPS
        text = REFLECTION_STOPS[0] if reflects else self._script(self._chat.messages(prompt_ids))
        if self._on_text:
            self._on_text(text)
        ids = self._chat.encode_turn(text, max_tokens)
        # A script says what it says with probability 1.
        return Sampled(ids, [0.0] * len(ids))


class OpenScript:
    """A script with a chat of its own; see `OpenPolicy`."""

    token_exact = False

    def __init__(self, script: Script, on_text: OnText | None) -> None:
        self.chat = TextChat()
        self._script, self._on_text = script, on_text

    def policy(self, seed: int, temperature: float = 0.0) -> ScriptedPolicy:
        return ScriptedPolicy(self._script, self.chat, self._on_text)

    def save_tokenizer(self, folder: Path) -> None: ...


@asynccontextmanager
async def open_script(spec: PolicySpec, on_text: OnText | None = None) -> AsyncIterator[OpenScript]:
    """Opens `scripted:NAME`.

    Raises:
        UserError: there is no such script.
    """
    yield OpenScript(find_script(spec.model.removeprefix("scripted:")), on_text)


def question_of(messages: Messages) -> str:
    """The question in the first message of the user."""
    message = next(message["content"] for message in messages if message["role"] == "user")
    first = _EARLIER.split(message)[0]
    # The words of some sets are the question alone, so those that say most are tried first.
    for form in sorted(_QUESTIONS, key=lambda form: len(form.pattern), reverse=True):
        if found := form.fullmatch(first):
            return found["question"].strip()
    return first.strip()


def best_title(passages: str) -> str | None:
    """The title of the first passage of an observation, in any of the forms that `PROMPTS` have; None where none is.

    >>> best_title("Doc 1(Title: Titanic (1997 film)) A film) of 1997.")
    'Titanic (1997 film)'
    >>> best_title("1. Rome: a city")
    'Rome'
    """
    if passages.startswith("Doc 1(Title: "):
        return _in_brackets(passages.removeprefix("Doc 1(Title: "))
    return passages.removeprefix("1. ").partition(": ")[0] if passages.startswith("1. ") else None


def _in_brackets(text: str) -> str:
    """What stands before the closing bracket that belongs to an opening one already read."""
    depth = 1
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return text[:place].strip()
    return text.partition("\n")[0].strip()
