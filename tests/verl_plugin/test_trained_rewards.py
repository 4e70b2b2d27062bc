"""Shaped rewards are trained on; everything else sees the rewards."""

import pytest
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics

from mrsearch.errors import UserError
from mrsearch.verl_plugin.attempt_columns import MetaEpisodeOutput
from mrsearch.verl_plugin.checks import check
from mrsearch.verl_plugin.recipes import compose_recipe


def output(shaped: list[float] | None) -> MetaEpisodeOutput:
    return MetaEpisodeOutput(
        prompt_ids=[1],
        response_ids=[2, 3, 4],
        response_mask=[1, 0, 1],
        attempt_ids=[0, -1, 1],
        attempt_rewards=[0.0, 1.0],
        stop_reasons=[0, 0],
        searches=[0, 0],
        invalid_turns=[0, 0],
        shaped_rewards=shaped,
        metrics=AgentLoopMetrics(),
    )


def test_shaped_rewards_stand_at_the_tokens_and_the_rewards_in_their_column() -> None:
    row = output([-0.5, 2.0]).as_dict()
    assert row["rm_scores"].tolist() == [-0.5, 0.0, 2.0]
    assert row["attempt_rewards"].tolist() == [0.0, 1.0]
    assert "shaped_rewards" not in row


def test_without_shaping_the_rewards_are_trained_on() -> None:
    assert output(None).as_dict()["rm_scores"].tolist() == [0.0, 0.0, 1.0]


def test_a_weight_that_cannot_be_is_refused_before_anything_starts() -> None:
    config = compose_recipe("quickstart", ["mrsearch.run=run", "mrsearch.shaping.repetition=-1"])
    config.mrsearch.train_questions = "questions.jsonl"
    with pytest.raises(UserError, match=r"^shaping.repetition is -1; it must be a finite number of at least 0\.$"):
        check(config)
