"""The meta-episode: attempts at one question, separated by reflection.

The same function is walked in training, evaluation and the demo; only who samples and who searches differ.
MR-Search (arXiv 2603.11327, section 3): one growing context by default, its short context and step level by choice.
"""

import re
from collections.abc import Callable, Sequence
from time import perf_counter

from mrsearch.episode.actions import REFLECTION_STOPS, Action, parse_reflection
from mrsearch.episode.config import EpisodeConfig
from mrsearch.episode.context import Context, Stop
from mrsearch.episode.earlier import render_earlier
from mrsearch.episode.observations import render_observation
from mrsearch.episode.protocols import PROTOCOLS
from mrsearch.episode.records import Attempt, Maker, MetaEpisode, ShownPassage, Turn
from mrsearch.episode.types import ChatLike, Passage, Policy, Searcher, StopReason

# A turn may hold thousands of characters; no search engine wants more than these of them as a query.
_QUERY_CHARACTERS = 1000

_PLACES = re.compile(r"\{(question|passages)\}")


async def run_meta_episode(
    question: str,
    policy: Policy,
    searcher: Searcher,
    chat: ChatLike,
    config: EpisodeConfig,
    on_attempt: Callable[[int], None] = lambda number: None,
) -> MetaEpisode:
    """Walks the attempts at `question` and returns their record; `on_attempt` hears the number of each that starts.

    Tokens go in and out: a context is never decoded and encoded again, and grows by appending only. Nothing
    in it depends on the gold answers, which are not known here. A search that raises ends the meta-episode;
    what the policy raises is passed on.

    Returns:
        A record with exactly `config.attempts` attempts, at step level with `config.steps` entries for each; those
        that could not start carry the reason.

    Raises:
        UserError: the chat cannot do what the settings ask for.
    """
    return await _Run(question, policy, searcher, chat, config).walk(on_attempt)


# What these reasons mean for one attempt they mean for all that would follow it.
_FINAL = {StopReason.SEARCH_FAILED, StopReason.ABORTED}


class _Run:
    """The state of one meta-episode: its context, and the entries of its record so far."""

    def __init__(
        self, question: str, policy: Policy, searcher: Searcher, chat: ChatLike, config: EpisodeConfig
    ) -> None:
        self.question, self.policy, self.searcher, self.chat, self.config = question, policy, searcher, chat, config
        self.words, self.protocol = config.words, PROTOCOLS[config.protocol]
        if self.protocol.uses_tools:
            chat.require_tools()
        self.context = Context(chat, config)
        self.done: list[Attempt] = []
        self.first_message = ""

    async def walk(self, on_attempt: Callable[[int], None]) -> MetaEpisode:
        for number in range(1, self.config.attempts * self.config.steps + 1):
            if self.is_over(number):
                self.done.append(Attempt(number, self.done[-1].stop_reason))
            else:
                on_attempt(number)
                self.done.append(await self.walk_attempt(number))
        return MetaEpisode(self.question, self.done, self.context.transcript)

    def is_over(self, number: int) -> bool:
        """Whether the entry cannot start, for what ended the one before it."""
        if number == 1:
            return False
        reason = self.done[-1].stop_reason
        fresh = self.config.context == "short" and self.opens_attempt(number)
        return reason in _FINAL or (reason is StopReason.CONTEXT_OVERFLOW and not fresh)

    def opens_attempt(self, number: int) -> bool:
        """Whether an entry is the first step of its attempt."""
        return (number - 1) % self.config.steps == 0

    async def walk_attempt(self, number: int) -> Attempt:
        attempt = Attempt(number, StopReason.NO_ANSWER)
        self.context.begin(attempt)
        try:
            await self.open(number)
            await self.act()
        except Stop as stop:
            attempt.stop_reason, attempt.answer = stop.reason, stop.answer
        return attempt

    async def open(self, number: int) -> None:
        if number == 1:
            await self.open_episode()
        elif self.opens_attempt(number):
            await self.open_attempt()
        else:
            self.context.ask(Maker.STEP_PROMPT, self.words.step)

    async def open_episode(self) -> None:
        """The first prompt; with the passages that the question itself finds, where its words have a place for them."""
        said = {"question": self.question, "passages": ""}
        try:
            if "{passages}" in self.words.user:
                said["passages"] = await self.passages_of_question()
        finally:
            self.first_message = _PLACES.sub(lambda place: said[place[1]], self.words.user)
            self.context.open_first(self.prompt(self.first_message))

    def prompt(self, user: str) -> list[int]:
        # A tool that must not be called is better not offered.
        tools = self.protocol.uses_tools and self.config.max_searches > 0
        return self.chat.first_prompt(self.words.system, user, tools=tools)

    async def passages_of_question(self) -> str:
        turn = Turn("search", "", self.question, "")
        self.context.attempt.turns.append(turn)
        passages = await self.search(self.question, turn)
        ids, turn.passages = self.render(passages, answer_due=False)
        return self.chat.decode(ids)

    async def open_attempt(self) -> None:
        """Asks for reflection: in the context as it is, or in a fresh one."""
        if self.config.context == "short":
            earlier = render_earlier(self.chat, self.words, self.done, self.config.steps, self.protocol.reserved)
            self.context.open_anew(self.prompt(self.first_message + earlier + self.words.reflection))
        else:
            self.context.ask(Maker.REFLECTION_PROMPT, self.words.reflection)
        if self.config.reflection == "explicit":
            await self.reflect()

    async def reflect(self) -> None:
        """A turn of its own for the reflection."""
        text = await self.sample(REFLECTION_STOPS)
        self.context.attempt.turns.append(Turn("reflection", text, parse_reflection(text), ""))
        if self.context.message_is_closed():
            self.note(self.words.after_reflection)

    async def act(self) -> None:
        """Turns until one of them ends the attempt, by raising `Stop`."""
        searches = invalid = 0
        limit = self.config.searches_before_answer
        while True:
            answer_due = searches == limit
            text = await self.sample(self.protocol.stops)
            action = self.protocol.parse(text)
            turn = Turn(action.kind, text, action.content, action.thinking)
            self.context.attempt.turns.append(turn)
            if action.kind == "answer":
                raise Stop(StopReason.ANSWERED, action.content)
            if answer_due:
                raise Stop(StopReason.NO_ANSWER)
            if action.kind == "search":
                searches += 1
                await self.observe(action, turn, is_last=searches == limit)
            else:
                invalid += 1
                if invalid > self.config.max_invalid:
                    raise Stop(StopReason.INVALID)
                self.note(self.words.invalid)

    async def sample(self, stops: Sequence[str]) -> str:
        """Lets the policy write one turn and returns its text."""
        room = min(self.config.turn_tokens, self.context.room())
        start = perf_counter()
        sampled = await self.policy.sample(list(self.context.ids), max_tokens=room, stop=stops)
        self.context.attempt.model_seconds += perf_counter() - start
        if len(sampled.token_ids) > room:
            raise ValueError(f"the policy sampled {len(sampled.token_ids)} tokens where {room} were allowed")
        self.context.take(sampled)
        if sampled.finish == "aborted":
            raise Stop(StopReason.ABORTED)
        if sampled.finish == "overflow":
            raise Stop(StopReason.CONTEXT_OVERFLOW)
        return self.chat.decode(sampled.token_ids)

    async def observe(self, action: Action, turn: Turn, *, is_last: bool) -> None:
        """Answers a search with its passages."""
        passages = await self.search(action.content, turn)
        ids, shown = self.render(passages, answer_due=is_last and self.config.final_turn)
        closed = self.context.message_is_closed()
        self.context.say(Maker.OBSERVATION, self.protocol.say_passages(self.chat, ids, closed))
        turn.passages = shown
        if is_last and not self.config.final_turn:
            raise Stop(StopReason.NO_ANSWER)

    def render(self, passages: Sequence[Passage], *, answer_due: bool) -> tuple[list[int], list[ShownPassage]]:
        budget, reserved = self.config.observation_tokens, self.protocol.reserved
        return render_observation(self.chat, self.words, passages, budget, answer_due=answer_due, reserved=reserved)

    async def search(self, query: str, turn: Turn) -> Sequence[Passage]:
        attempt, start = self.context.attempt, perf_counter()
        try:
            (ranked,) = await self.searcher.search([query[:_QUERY_CHARACTERS]], self.config.topk)
        except Exception as error:  # a boundary: whatever a searcher raises is a failure of infrastructure
            turn.error = f"{type(error).__name__}: {error}"
            raise Stop(StopReason.SEARCH_FAILED) from error
        finally:
            attempt.search_seconds += perf_counter() - start
        return ranked

    def note(self, words: str) -> None:
        closed = self.context.message_is_closed()
        self.context.say(Maker.NOTE, self.protocol.say_note(self.chat, self.chat.encode(words), closed))
