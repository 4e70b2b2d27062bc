"""Whether the context has room for the prompts, found out before anything starts."""

import asyncio
import heapq
from collections.abc import Sequence
from pathlib import Path

from mrsearch.data.questions import Question
from mrsearch.episode import Chat, EpisodeConfig, Passage, Sampled, run_meta_episode
from mrsearch.errors import UserError
from mrsearch.evaluation.policies.tokens import load_chat

# Tokens do not go strictly with characters, so the longest in tokens is sought among some of the longest.
_LOOKED_AT = 16


class _Silent:
    """A policy that says nothing, and a searcher that finds nothing."""

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        return Sampled([], [], "aborted")

    async def search(self, queries: Sequence[str], topk: int) -> Sequence[Sequence[Passage]]:
        return [[] for _ in queries]


def check_prompt_room(model: Path, questions: Sequence[Question], episode: EpisodeConfig) -> None:
    """Checks that the context holds the longest question's prompt and one turn.

    Raises:
        UserError: it does not, or the model's tokeniser cannot be used.
    """
    _, chat = load_chat(model)
    longest = heapq.nlargest(_LOOKED_AT, questions, key=lambda question: len(question.question))
    prompt = max(_prompt_tokens(question.question, chat, episode) for question in longest)
    needed = prompt + episode.turn_tokens
    if needed > episode.context_tokens:
        raise UserError(
            f"mrsearch.episode.context_tokens is {episode.context_tokens}, but the longest question's prompt takes "
            f"{prompt} tokens and a turn up to {episode.turn_tokens}; set it to at least {needed}."
        )


def _prompt_tokens(question: str, chat: Chat, episode: EpisodeConfig) -> int:
    walked = asyncio.run(run_meta_episode(question, _Silent(), _Silent(), chat, episode))
    return len(walked.transcript.segments[0].ids)
