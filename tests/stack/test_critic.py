"""Training with a critic and shaped rewards, until an alarm ends it."""

from pathlib import Path

import pytest
from conftest import mrsearch, train_settings  # type: ignore[import-not-found]

from mrsearch.episode import MetaEpisode
from mrsearch.rewards import Shaping, shaped_rewards
from mrsearch.runs import RunFolder, read_json_lines

pytestmark = pytest.mark.slow


def test_gae_trains_on_shaped_rewards_until_an_alarm_ends_it_with_a_checkpoint(
    small_world: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    finished = mrsearch(
        "train",
        "quickstart",
        *train_settings(steps=5),
        "trainer.save_freq=100",
        "mrsearch.alarms.min_reward=2",
        "mrsearch.alarms.patience=2",
        "algorithm.adv_estimator=gae",
        "critic.optim.lr=1e-3",
        "mrsearch.shaping.improvement=0.5",
        "mrsearch.shaping.format=0.25",
        f"--out={run.path}",
        f"--questions={small_world / 'train.jsonl'}",
        f"--corpus={small_world / 'corpus.jsonl'}",
    )
    assert finished.status == 1, finished.output
    assert "Training stopped: final/reward is" in finished.output
    assert "below mrsearch.alarms.min_reward=2 for 2 steps; step 2 is kept as a checkpoint." in finished.output
    assert finished.left == []
    first, second = run.read_metrics()
    for step in (first, second):
        assert step["actor/grad_norm"] > 0
        assert step["critic/grad_norm"] > 0
        assert step["critic/vf_loss"] > 0
    assert second["critic/values/mean"] != first["critic/values/mean"]
    assert (run.checkpoints / "global_step_2" / "critic").is_dir()

    records = list(read_json_lines(run.episodes("train", 1)))
    assert any(record["shaped_rewards"] != record["rewards"] for record in records)
    for record in records:
        episode = MetaEpisode.from_json({key: record[key] for key in ("question", "attempts", "transcript")})
        assert record["shaped_rewards"] == shaped_rewards(
            record["rewards"], episode, Shaping(improvement=0.5, format=0.25)
        )
    trained_on = sum(sum(record["shaped_rewards"]) for record in records) / len(records)
    assert first["critic/score/mean"] == pytest.approx(trained_on)
    final = [record["rewards"][-1] for record in records]
    assert first["final/reward"] == pytest.approx(sum(final) / len(final))
