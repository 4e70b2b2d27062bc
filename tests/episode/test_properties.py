"""What holds whatever the policy writes and the searcher finds: the invariants of the meta-episode."""

import asyncio
import json
import math
from collections.abc import Iterator
from itertools import pairwise

from hypothesis import event, given, settings
from hypothesis import strategies as st

from mrsearch.episode import EpisodeConfig, Maker, MetaEpisode, StopReason, Transcript
from mrsearch.episode.protocols import PROTOCOLS

from .cases import cases
from .support import PROPERTY, Request, World


@settings(PROPERTY, max_examples=300)
@given(cases())
def test_invariants(case: tuple[World, str, EpisodeConfig]) -> None:
    world, question, config = case
    meta = world.run(question, config)
    event(f"ends with {meta.attempts[-1].stop_reason}")
    event(f"{len(meta.transcript.sequences())} sequences at {config.level} level with {config.protocol}")

    _check_requests(world, meta)
    _check_attempts(world, meta, config)
    _check_budgets(world, meta, config)
    _check_environment(world, meta, config)
    prompt = world.chat.decode(meta.transcript.segments[0].ids)
    assert world.chat.neutralise_markers(question).strip() in prompt
    assert MetaEpisode.from_json(json.loads(json.dumps(meta.to_json()))) == meta


def _check_requests(world: World, meta: MetaEpisode) -> None:
    """Each sequence only grows, by samples and then by the environment; trained is what was sampled."""
    transcript, sequences = meta.transcript, meta.transcript.sequences()
    assert [segment for sequence in sequences for segment in sequence.segments] == transcript.segments
    answered = iter([request for request in world.policy.requests if request.output.token_ids])
    for sequence in sequences:
        _check_sequence(sequence, answered)
    assert not list(answered)
    for request in world.policy.requests:
        assert any(sequence.ids[: len(request.prompt_ids)] == request.prompt_ids for sequence in sequences)
    assert transcript.trained == [maker is Maker.POLICY for maker in transcript.makers]
    assert transcript.trained == [not math.isnan(logprob) for logprob in transcript.logprobs]
    assert sum(transcript.trained) == sum(len(request.output.token_ids) for request in world.policy.requests)


def _check_sequence(sequence: Transcript, requests: Iterator[Request]) -> None:
    """Takes from the requests those that continue the sequence, and accounts for every token with them."""
    ids, trained, logprobs = sequence.ids, sequence.trained, sequence.logprobs
    sampled_mask = [False] * len(ids)
    first, *rest = sequence.segments
    assert first.maker is Maker.PROMPT
    assert all(segment.maker is not Maker.PROMPT for segment in rest)
    end = 0
    while True in trained[end:]:
        request = next(requests)
        start = len(request.prompt_ids)
        assert ids[:start] == request.prompt_ids and start >= max(end, len(first.ids))
        end = start + len(request.output.token_ids)
        assert ids[start:end] == list(request.output.token_ids)
        assert logprobs[start:end] == list(request.output.logprobs)
        sampled_mask[start:end] = [True] * (end - start)
    assert trained == sampled_mask


def _check_attempts(world: World, meta: MetaEpisode, config: EpisodeConfig) -> None:
    transcript = meta.transcript
    steps = max(1, config.max_searches) if config.level == "step" else 1
    assert [attempt.number for attempt in meta.attempts] == list(range(1, config.attempts * steps + 1))
    assert transcript.attempts == sorted(transcript.attempts)
    assert all(segment.attempt >= 1 for segment in transcript.segments if segment.trained)
    for attempt in meta.attempts:
        segments = [s for s in transcript.segments if s.trained and s.attempt == attempt.number]
        written = [world.chat.decode(segment.ids) for segment in segments]
        assert attempt.tokens == sum(len(segment.ids) for segment in segments)
        assert (attempt.answer is not None) == (attempt.stop_reason is StopReason.ANSWERED)
        if attempt.answer is not None:
            assert attempt.answer in written[-1]
        texts = [turn.text for turn in attempt.turns if turn.text]  # an empty turn leaves no tokens
        assert texts == written[: len(texts)]
        # One more may be asked for where only an answer counts.
        allowed = config.max_searches if config.level == "attempt" else min(1, config.max_searches)
        assert len(attempt.queries) <= allowed + 1 + (config.prompts == "rag")
    for before, after in pairwise(meta.attempts):
        ends_all = before.stop_reason in (StopReason.SEARCH_FAILED, StopReason.ABORTED)
        fresh = config.context == "short" and (after.number - 1) % steps == 0
        if ends_all or (before.stop_reason is StopReason.CONTEXT_OVERFLOW and not fresh):
            assert (after.stop_reason, after.turns, after.tokens) == (before.stop_reason, [], 0)


def _check_budgets(world: World, meta: MetaEpisode, config: EpisodeConfig) -> None:
    first, *later = meta.transcript.sequences()
    assert len(first) <= max(config.context_tokens, len(first.segments[0].ids))
    assert all(len(sequence) <= config.context_tokens for sequence in later)
    assert not later or config.context == "short"
    assert all(1 <= request.max_tokens <= config.turn_tokens for request in world.policy.requests)
    prompts = (Maker.PROMPT, Maker.REFLECTION_PROMPT, Maker.STEP_PROMPT)
    for attempt in meta.attempts:
        own = [s for s in meta.transcript.segments if s.attempt == attempt.number and s.maker not in prompts]
        assert sum(len(s.ids) for s in own) <= (config.attempt_tokens or config.context_tokens)


def _check_environment(world: World, meta: MetaEpisode, config: EpisodeConfig) -> None:
    """No text of anybody else's closes a tag or opens a message: what is said is words of the set and neutral text."""
    special = {token for token, added in world.tokenizer.added_tokens_decoder.items() if added.special}
    for segment in meta.transcript.segments:
        if segment.maker is Maker.OBSERVATION:
            template = set(world.chat.user_message([], closed=False))
            assert set(segment.ids) & special <= template
    for sequence in meta.transcript.sequences()[1:]:
        prompt = world.chat.decode(sequence.segments[0].ids)
        blank, (opening, closing) = config.words.user.split("{question}")[0], config.words.earlier.split("{attempts}")
        kept = prompt[prompt.index(opening, len(blank)) + len(opening) :]
        kept = kept[: kept.rindex(closing + world.chat.neutralise_markers(config.words.reflection))]
        assert not [tag for tag in PROTOCOLS[config.protocol].reserved if tag in kept.lower()]


@settings(PROPERTY, max_examples=30)
@given(st.lists(cases(), min_size=2, max_size=3))
def test_concurrency_changes_nothing(cases: list[tuple[World, str, EpisodeConfig]]) -> None:
    def fresh() -> list[World]:
        return [World(w.family, w.turns, w.results, w.pauses) for w, _, _ in cases]

    async def together() -> list[MetaEpisode]:
        walks = (w.walk(question, config) for w, (_, question, config) in zip(fresh(), cases, strict=True))
        return await asyncio.gather(*walks)

    alone = [w.run(question, config) for w, (_, question, config) in zip(fresh(), cases, strict=True)]
    for one, other in zip(alone, asyncio.run(together()), strict=True):
        assert _untimed(one) == _untimed(other)


def _untimed(meta: MetaEpisode) -> MetaEpisode:
    for attempt in meta.attempts:
        attempt.model_seconds = attempt.search_seconds = 0.0
    return meta
