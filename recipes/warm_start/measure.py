"""What the warm-started model can do: scores per attempt and hop, form, and variety inside groups."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance
from typing import Any

from demonstrator import UNKNOWN
from sampling import Sampler

from mrsearch.data import Question
from mrsearch.data.world import Fact, parse_fact
from mrsearch.episode import Chat, EpisodeConfig, MetaEpisode, Searcher, run_meta_episode
from mrsearch.episode.records import Attempt
from mrsearch.rewards import attempt_rewards

_CONCURRENT = 256


@dataclass(frozen=True, slots=True)
class Walked:
    """A meta-episode with what is needed to score it."""

    question: Question
    episode: MetaEpisode
    rewards: Sequence[float]


async def walk(
    sampler: Sampler,
    questions: Sequence[Question],
    *,
    config: EpisodeConfig,
    chat: Chat,
    searcher: Searcher,
    temperature: float,
    group: int = 1,
    seed: int = 0,
    on_walked: Callable[[], None] = lambda: None,
) -> list[Walked]:
    """Walks `group` meta-episodes on each question; those of a question stand together."""
    places = asyncio.Semaphore(_CONCURRENT)

    async def one(question: Question, member: int) -> Walked:
        async with places:
            policy = sampler.policy(temperature, f"{seed}/{question.id}/{member}")
            episode = await run_meta_episode(question.question, policy, searcher, chat, config)
        on_walked()
        return Walked(question, episode, attempt_rewards(episode, question.golden_answers))

    return await asyncio.gather(*(one(q, member) for q in questions for member in range(group)))


def figures(walked: Sequence[Walked]) -> dict[str, Any]:
    """Scores and diagnostics of meta-episodes.

    Returns:
        `n`; `exact_match` with one number per attempt; `exact_match_by_hops`; means of `searches` and `tokens`
        per meta-episode; `invalid_turns` as a share of turns; `known_queries`: share of queries whose words all
        stand in the question or in an earlier passage; `known_answers`: share of answers
        that are, word for word, a value in a passage shown so far, or "unknown"; `right_where_shown`: share of
        attempts that answer with the value of a passage on the person and the relation last in the chain, of
        those that were shown it.
    """
    attempts = [attempt for item in walked for attempt in item.episode.attempts]
    turns = [turn for attempt in attempts for turn in attempt.turns]
    return {
        "n": len(walked),
        "exact_match": _by_attempt(walked),
        "exact_match_by_hops": {
            str(hops): _by_attempt([item for item in walked if item.question.metadata["hops"] == hops])
            for hops in sorted({item.question.metadata["hops"] for item in walked})
        },
        "searches": _round(fmean(sum(len(a.queries) for a in item.episode.attempts) for item in walked)),
        "tokens": _round(fmean(len(item.episode.transcript) for item in walked)),
        "invalid_turns": _share(turn.kind == "invalid" for turn in turns),
        "known_queries": _share(known for item in walked for known in _known_queries(item)),
        "known_answers": _share(known for item in walked for known in _known_answers(item)),
        "right_where_shown": _share(right for item in walked for right in _right_where_shown(item)),
    }


def group_variance(walked: Sequence[Walked], group: int) -> dict[str, Any]:
    """Variety of the rewards inside groups of consecutive meta-episodes on one question.

    Returns:
        per attempt, the mean variance inside groups and the share of groups whose rewards differ.
    """
    groups = [walked[start : start + group] for start in range(0, len(walked), group)]
    columns = [list(zip(*(item.rewards for item in members), strict=True)) for members in groups]
    by_attempt = list(zip(*columns, strict=True))
    return {
        "groups": len(groups),
        "group": group,
        "variance": [_round(fmean(map(pvariance, rewards))) for rewards in by_attempt],
        "groups_that_differ": [_share(len(set(r)) > 1 for r in rewards) for rewards in by_attempt],
        "groups_that_differ_anywhere": _share(any(len(set(r)) > 1 for r in group) for group in columns),
    }


def _by_attempt(walked: Sequence[Walked]) -> list[float]:
    return [_round(fmean(scores)) for scores in zip(*(item.rewards for item in walked), strict=True)]


def _known_queries(item: Walked) -> list[bool]:
    known = set(item.question.question.rstrip("?").split())
    checked = []
    for attempt in item.episode.attempts:
        for turn in attempt.turns:
            if turn.kind == "search":
                checked.append(set(turn.content.split()) <= known)
            for passage in turn.passages:
                known |= set(passage.text.rstrip(".").split())
    return checked


def _known_answers(item: Walked) -> list[bool]:
    known, checked = {UNKNOWN}, []
    for attempt in item.episode.attempts:
        known |= {str(fact.value) for fact in _facts(attempt)}
        checked.append(attempt.answer in known)
    return checked


def _facts(attempt: Attempt) -> list[Fact]:
    return [fact for passage in attempt.passages if (fact := parse_fact(passage.text))]


def _right_where_shown(item: Walked) -> list[bool]:
    last = item.question.metadata["chain"][-1]
    wanted = (last["subject"], last["relation"])
    return [
        attempt.answer == last["value"]
        for attempt in item.episode.attempts
        if any((str(fact.subject), fact.relation) == wanted and not fact.denied for fact in _facts(attempt))
    ]


def _share(values: Iterable[bool]) -> float:
    counted = [float(value) for value in values]
    return _round(fmean(counted)) if counted else 0.0


def _round(value: float) -> float:
    return round(value, 4)
