"""Demonstrations: the real meta-episode, walked by the scripted demonstrator over the real BM25."""

import asyncio
import random
from collections.abc import Callable, Sequence

from demonstrator import Demonstrator, Habits
from training import Row

from mrsearch.data import Question
from mrsearch.episode import Chat, EpisodeConfig, Searcher, run_meta_episode

# Episodes under way at once; the searcher makes batches of their queries.
_CONCURRENT = 256


async def walk_demonstrations(
    questions: Sequence[Question],
    count: int,
    habits: Habits,
    config: EpisodeConfig,
    chat: Chat,
    searcher: Searcher,
    seed: str,
    on_walked: Callable[[int], None] = lambda walked: None,
) -> list[Row]:
    """The tokens of `count` meta-episodes on questions drawn from `questions`, the same for the same seed."""

    async def walk(index: int) -> Row:
        rng = random.Random(f"{seed}/{index}")
        question = rng.choice(questions)
        demonstrator = Demonstrator(question, chat, habits, rng)
        episode = await run_meta_episode(question.question, demonstrator, searcher, chat, config)
        if episode.search_failed:
            raise RuntimeError(f"a search failed: {episode.attempts[0].turns[-1].error}")
        return Row(episode.transcript.ids, episode.transcript.trained)

    rows: list[Row] = []
    for start in range(0, count, _CONCURRENT):
        part = range(start, min(start + _CONCURRENT, count))
        rows += await asyncio.gather(*map(walk, part))
        on_walked(len(part))
    return rows
