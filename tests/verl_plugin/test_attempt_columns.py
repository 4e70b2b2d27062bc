"""A meta-episode as a training row: what was sampled is what is trained, bit for bit."""

import torch

from mrsearch.episode import Attempt, Maker, MetaEpisode, StopReason, Transcript
from mrsearch.verl_plugin.attempt_columns import STOP_REASONS, MetaEpisodeOutput, training_rows


def two_attempts(last: StopReason = StopReason.ANSWERED) -> MetaEpisode:
    transcript = Transcript()
    transcript.append(Maker.PROMPT, 0, 0, [1, 2, 3])
    transcript.append_sampled(1, 1, [10, 11], [-0.1, -0.2])
    transcript.append(Maker.OBSERVATION, 1, 1, [20, 21, 22])
    transcript.append_sampled(1, 2, [12], [-0.3])
    transcript.append(Maker.REFLECTION_PROMPT, 2, 0, [4, 5])
    transcript.append_sampled(2, 1, [13, 14], [-0.4, -0.5])
    attempts = [Attempt(1, StopReason.ANSWERED, "a"), Attempt(2, last, "b")]
    return MetaEpisode("who?", attempts, transcript)


def as_output(episode: MetaEpisode, rewards: list[float]) -> MetaEpisodeOutput:
    (fields,) = training_rows(episode, rewards, pad_id=0)
    return MetaEpisodeOutput(**fields)


def test_row_holds_the_sampled_tokens_with_their_attempts_and_log_probabilities() -> None:
    row = as_output(two_attempts(), [0.0, 1.0]).as_dict()
    assert row["prompts"].tolist() == [1, 2, 3]
    assert row["responses"].tolist() == [10, 11, 20, 21, 22, 12, 4, 5, 13, 14]
    assert row["response_mask"].tolist() == [1, 1, 0, 0, 0, 1, 0, 0, 1, 1]
    assert row["attempt_ids"].tolist() == [0, 0, -1, -1, -1, 0, -1, -1, 1, 1]
    assert row["rm_scores"].tolist() == [0.0] * 9 + [1.0]
    sampled = row["rollout_log_probs"][row["response_mask"].bool()]
    assert torch.equal(sampled, torch.tensor([-0.1, -0.2, -0.3, -0.4, -0.5]))


def test_lost_search_keeps_the_tokens_and_loses_every_mask() -> None:
    row = as_output(two_attempts(last=StopReason.SEARCH_FAILED), [0.0, 0.0]).as_dict()
    assert len(row["responses"]) == 10
    assert row["response_mask"].sum() == 0
    assert set(row["attempt_ids"].tolist()) == {-1}
    assert STOP_REASONS[row["stop_reasons"][1]] is StopReason.SEARCH_FAILED


def test_prompt_that_fills_the_context_becomes_a_row_that_trains_nothing() -> None:
    transcript = Transcript()
    transcript.append(Maker.PROMPT, 0, 0, [1, 2, 3])
    episode = MetaEpisode("who?", [Attempt(1, StopReason.CONTEXT_OVERFLOW)], transcript)
    row = as_output(episode, [0.0]).as_dict()
    assert row["responses"].tolist() == [0]
    assert row["response_mask"].tolist() == [0]
