"""The tokens of a meta-episode as it grows, and the room that its budgets leave."""

from collections.abc import Sequence

from mrsearch.episode.config import EpisodeConfig
from mrsearch.episode.records import Attempt, Maker, Transcript
from mrsearch.episode.types import ChatLike, Sampled, StopReason


class Stop(Exception):
    """Ends the attempt in hand."""

    def __init__(self, reason: StopReason, answer: str | None = None) -> None:
        self.reason, self.answer = reason, answer


class Context:
    """The transcript, the attempt in hand and the budgets; it grows by appending only.

    Attributes:
        transcript: all tokens so far.
        attempt: the attempt in hand.
        ids: what the policy is asked to continue, which is the last sequence of the transcript.
    """

    def __init__(self, chat: ChatLike, config: EpisodeConfig) -> None:
        self._chat, self._config = chat, config
        self.transcript = Transcript()
        self.attempt = Attempt(0, StopReason.NO_ANSWER)
        self.ids: list[int] = []
        self._spent = 0
        """Tokens of the attempt in hand, its prompt aside."""

    def begin(self, attempt: Attempt) -> None:
        """Takes an attempt in hand."""
        self.attempt, self._spent = attempt, 0

    def open_first(self, prompt: list[int]) -> None:
        """Begins with the first prompt, which is never cut, whatever its length."""
        self._open(0, prompt)

    def open_anew(self, prompt: list[int]) -> None:
        """Begins a further sequence for the attempt in hand.

        Raises:
            Stop: the prompt alone does not fit.
        """
        if len(prompt) > self._config.context_tokens:
            raise Stop(StopReason.CONTEXT_OVERFLOW)
        self._open(self.attempt.number, prompt)

    def ask(self, maker: Maker, words: str) -> None:
        """Ends the assistant's message and opens the attempt with a user message, which does not count against it.

        Raises:
            Stop: it does not fit.
        """
        prompt = self._chat.user_message(self._chat.encode(words), closed=self.message_is_closed())
        if len(prompt) > self._context_room():
            raise Stop(StopReason.CONTEXT_OVERFLOW)
        self._append(maker, 0, prompt)

    def say(self, maker: Maker, ids: list[int]) -> None:
        """Answers the last turn.

        Raises:
            Stop: it does not fit.
        """
        if len(ids) > self.room():
            raise Stop(self._limit())
        self._append(maker, len(self.attempt.turns), ids)
        self._spent += len(ids)

    def take(self, sampled: Sampled) -> None:
        """Appends what the policy sampled as the next turn."""
        turn = len(self.attempt.turns) + 1
        self.transcript.append_sampled(self.attempt.number, turn, sampled.token_ids, sampled.logprobs)
        self.ids += sampled.token_ids
        self.attempt.tokens += len(sampled.token_ids)
        self._spent += len(sampled.token_ids)

    def room(self) -> int:
        """Tokens left for the attempt in hand.

        Raises:
            Stop: none are.
        """
        room = min(self._context_room(), self._attempt_room())
        if room < 1:
            raise Stop(self._limit())
        return room

    def message_is_closed(self) -> bool:
        """Whether the policy ended its message itself; the environment's own tokens never do."""
        last = self.transcript.segments[-1]
        return last.trained and last.ids[-1] in self._chat.closing_ids

    def _open(self, number: int, prompt: list[int]) -> None:
        self.transcript.append(Maker.PROMPT, number, 0, prompt)
        self.ids = list(prompt)

    def _append(self, maker: Maker, turn: int, ids: Sequence[int]) -> None:
        self.transcript.append(maker, self.attempt.number, turn, ids)
        self.ids += ids

    def _limit(self) -> StopReason:
        bound_by_attempt = self._attempt_room() < self._context_room()
        return StopReason.ATTEMPT_BUDGET if bound_by_attempt else StopReason.CONTEXT_OVERFLOW

    def _context_room(self) -> int:
        return self._config.context_tokens - len(self.ids)

    def _attempt_room(self) -> int:
        limit = self._config.attempt_tokens
        return self._context_room() if limit is None else limit - self._spent
