"""A meta-episode of several contexts as training rows: every sampled token is trained once, in its own context."""

from typing import Any

from episode.cases import cases  # type: ignore[import-not-found]
from episode.support import PROPERTY, World  # type: ignore[import-not-found]
from hypothesis import event, given, settings
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics

from mrsearch.episode import EpisodeConfig, MetaEpisode
from mrsearch.verl_plugin.attempt_columns import MetaEpisodeOutput, training_rows


def short_world() -> MetaEpisode:
    turns = ["<search> who </search>", "<answer> Ada </answer>", "<answer> Bob </answer>", "hm"]
    config = EpisodeConfig(attempts=3, context="short", prompts="brief", max_invalid=0)
    meta: MetaEpisode = World("chatml", turns).run("Who?", config)
    return meta


def test_each_context_is_a_row_with_the_figures_of_the_whole() -> None:
    meta = short_world()
    rows = [MetaEpisodeOutput(**fields).as_dict() for fields in training_rows(meta, [0.25, 0.5, 0.0], pad_id=0)]
    assert [row["attempt_ids"].unique().tolist() for row in rows] == [[-1, 0], [1], [2]]
    assert [row["rm_scores"].sum().item() for row in rows] == [0.25, 0.5, 0.0]
    assert [row["rm_scores"][-1].item() for row in rows] == [0.25, 0.5, 0.0]
    assert [row["prompts"].tolist() for row in rows] == [
        sequence.segments[0].ids for sequence in meta.transcript.sequences()
    ]
    for row in rows:
        assert row["attempt_rewards"].tolist() == [0.25, 0.5, 0.0]
        assert row["searches"].tolist() == [1, 0, 0]
        assert row["invalid_turns"].tolist() == [0, 0, 1]
        assert row["stop_reasons"].tolist() == rows[0]["stop_reasons"].tolist()


def test_a_context_without_room_for_a_turn_is_no_row() -> None:
    whole = short_world().transcript.sequences()
    config = EpisodeConfig(attempts=3, context="short", prompts="brief", context_tokens=len(whole[1].segments[0].ids))
    meta: MetaEpisode = World("chatml", ["<answer> Ada </answer>"]).run("Who?", config)
    assert len(meta.transcript.sequences()) == 2
    assert len(training_rows(meta, [0.0] * 3, pad_id=0)) == 1


def test_turns_and_seconds_are_counted_once() -> None:
    meta = short_world()
    for number, attempt in enumerate(meta.attempts, start=1):
        attempt.model_seconds, attempt.search_seconds = number, 10 * number
    rows = training_rows(meta, [0.0] * 3, pad_id=0)
    assert [row["num_turns"] for row in rows] == [2, 1, 1]
    assert [row["metrics"] for row in rows] == [
        AgentLoopMetrics(generate_sequences=number, tool_calls=10 * number) for number in (1, 2, 3)
    ]


def test_a_search_lost_before_anything_was_sampled_is_counted() -> None:
    config = EpisodeConfig(attempts=2, prompts="rag")
    meta: MetaEpisode = World("chatml", ["hm"], [TimeoutError("slow")]).run("Who?", config)
    meta.attempts[0].search_seconds = 5.0
    (row,) = training_rows(meta, [0.0] * 2, pad_id=0)
    assert (row["num_turns"], row["metrics"].tool_calls) == (1, 5.0)


@settings(PROPERTY, max_examples=300)
@given(cases())
def test_the_rows_train_exactly_what_was_sampled(case: tuple[World, str, EpisodeConfig]) -> None:
    world, question, config = case
    meta = world.run(question, config)
    rewards = [n / 8 for n in range(1, len(meta.attempts) + 1)]
    rows = training_rows(meta, rewards, pad_id=0)
    event(f"{len(rows)} rows")
    assert len(rows) == 1 or config.context == "short"
    if meta.search_failed:
        assert not any(any(row["response_mask"]) for row in rows)
        return

    sampled = [
        (token, logprob, segment.attempt - 1)
        for segment in meta.transcript.segments
        if segment.trained
        for token, logprob in zip(segment.ids, segment.logprobs or [], strict=True)
    ]
    assert [token for row in rows for token in _trained(row)] == sampled
    requests = [request for request in world.policy.requests if request.output.token_ids]
    contexts = [row["prompt_ids"] + row["response_ids"] for row in rows]
    for request in requests:
        whole = request.prompt_ids + list(request.output.token_ids)
        assert any(context[: len(whole)] == whole for context in contexts)

    scores = [MetaEpisodeOutput(**row).as_dict()["rm_scores"].sum().item() for row in rows]
    assert sum(scores) == sum(rewards[n] for n in {attempt for _, _, attempt in sampled})


def _trained(row: dict[str, Any]) -> list[tuple[int, float, int]]:
    columns = (row["response_ids"], row["response_logprobs"], row["attempt_ids"], row["response_mask"])
    tokens = list(zip(*columns, strict=True))
    assert all((attempt >= 0) == bool(mask) for _, _, attempt, mask in tokens)
    return [(token, logprob, attempt) for token, logprob, attempt, mask in tokens if mask]
