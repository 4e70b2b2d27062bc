"""`mrsearch ask`: questions in the terminal, attempt by attempt, as it is sampled."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, replace
from itertools import chain

from omegaconf import OmegaConf
from rich.console import Console

from mrsearch.episode import EpisodeConfig, MetaEpisode, Passage, run_meta_episode
from mrsearch.errors import UserError
from mrsearch.evaluation.policies import OpenPolicy, PolicySpec, open_policy, resolve
from mrsearch.jobs.ask_screen import AskScreen
from mrsearch.jobs.cluster import environment
from mrsearch.verl_plugin.recipes import compose_recipe
from retriever.clients import Searcher, open_searcher

# A name with a dot in it, as Hydra's overrides of a recipe have: a question that holds an = is none.
_SETTING = re.compile(r"[+~]{0,2}[A-Za-z_]\w*(?:\.\w+)+=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What is asked, of whom.

    Attributes:
        questions: asked one after the other; each is taken when the one before is answered.
        policy: who samples; the n-th question, from 0, is sampled with its seed + n.
        retriever: an index folder, a URL, or another target of `open_searcher`.
        as_json: print the record of each meta-episode, a line each, and nothing else.
    """

    questions: Iterable[str]
    policy: PolicySpec
    retriever: str
    as_json: bool = False


def ask(asking: Asking, recipe: str, overrides: Sequence[str], console: Console, *, platform: str) -> bool:
    """Answers in the terminal, with the episode settings of a recipe.

    Returns:
        Whether no search was lost.

    Raises:
        UserError: something given is missing or wrong, or the model's endpoint failed for good.
        RetrieverError: the retriever is none.
    """
    episode = EpisodeConfig(**OmegaConf.to_container(compose_recipe(recipe, overrides).mrsearch.episode))
    asking = replace(asking, policy=resolve(asking.policy))
    os.environ.update(environment(platform))
    screen = None if asking.as_json else AskScreen(console)
    lost = False
    # The loop stands still while a person types, so that Ctrl-C and Ctrl-D do what they do everywhere.
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            with screen.waiting("Making the model ready…") if screen else nullcontext():
                demo = runner.run(_open(stack, asking, episode, screen))
            for number, question in enumerate(asking.questions):
                walked = runner.run(demo.answer(question, asking.policy.seed + number, asking.policy.temperature))
                if screen:
                    screen.summary(walked)
                else:
                    console.out(json.dumps(walked.to_json()), highlight=False)
                lost = lost or walked.search_failed
        finally:
            runner.run(stack.aclose())
    return not lost


def questions_and_settings(
    words: Sequence[str], console: Console, *, interactive: bool
) -> tuple[Iterator[str], list[str]]:
    """Tells the question from the KEY=VALUE settings behind it; where interactive, those that are typed follow it.

    Raises:
        UserError: there is no question, or more than one, as without quotation marks.
    """
    settings = [word for word in words if _SETTING.match(word)]
    questions = [word for word in words if word not in settings]
    if len(questions) > 1:
        raise UserError(f"{questions[1]!r} stands behind the question; put the whole question in quotation marks.")
    if not interactive and not "".join(questions).strip():
        raise UserError("There is no question; give one in quotation marks, or --interactive to type them.")
    return chain(questions, _typed(console) if interactive else ()), settings


def _typed(console: Console) -> Iterator[str]:
    """The lines of standard input that are not empty, until it ends."""
    while True:
        if sys.stdin.isatty():
            console.print("\nQuestion (Ctrl-D ends): ", end="", style="bold", highlight=False)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


class _Demo:
    """All that it takes to answer a question."""

    def __init__(
        self, episode: EpisodeConfig, opened: OpenPolicy, searcher: Searcher, screen: AskScreen | None
    ) -> None:
        self._episode, self._opened, self._searcher, self._screen = episode, opened, searcher, screen

    async def answer(self, question: str, seed: int, temperature: float) -> MetaEpisode:
        policy, chat = self._opened.policy(seed, temperature), self._opened.chat
        if not self._screen:
            return await run_meta_episode(question, policy, self._searcher, chat, self._episode)
        self._screen.question(question)
        return await run_meta_episode(question, policy, self, chat, self._episode, self._screen.attempt)

    async def search(self, queries: Sequence[str], topk: int) -> Sequence[Sequence[Passage]]:
        """Searches, and shows what was found."""
        found = await self._searcher.search(queries, topk)
        for passages in found:
            if self._screen:
                self._screen.sources(passages)
        return found


async def _open(stack: AsyncExitStack, asking: Asking, episode: EpisodeConfig, screen: AskScreen | None) -> _Demo:
    searcher = open_searcher(asking.retriever)
    stack.push_async_callback(searcher.close)
    spec = replace(asking.policy, context_tokens=episode.context_tokens)
    opened = await stack.enter_async_context(open_policy(spec, screen.turn.feed if screen else None))
    return _Demo(episode, opened, searcher, screen)
