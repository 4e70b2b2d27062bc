"""A training that ends before its last step: its tokens are spent, or its policy is out of bounds."""

from pathlib import Path

import pytest
from conftest import Finished, mrsearch, train_settings  # type: ignore[import-not-found]

from mrsearch.runs import RunFolder

pytestmark = pytest.mark.slow


def train(run: RunFolder, world: Path, *settings: str) -> Finished:
    return mrsearch(
        "train",
        "quickstart",
        *train_settings(steps=5),
        "trainer.save_freq=100",
        *settings,
        f"--out={run.path}",
        f"--questions={world / 'train.jsonl'}",
        f"--corpus={world / 'corpus.jsonl'}",
    )


def test_budget_ends_a_run_with_a_checkpoint_and_a_larger_one_continues_it(small_world: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    finished = train(run, small_world, "mrsearch.token_budget=1")
    assert finished.status == 0, finished.output
    (first,) = run.read_metrics()
    assert first["tokens/total"] == first["tokens/sampled"] > 1
    assert run.last_checkpoint() is not None

    again = train(run, small_world, "mrsearch.token_budget=1")
    assert (again.status, "is trained to its end" in again.output) == (0, True), again.output

    larger = int(first["tokens/total"]) + 1
    assert train(run, small_world, f"mrsearch.token_budget={larger}").status == 0
    _, second = run.read_metrics()
    assert second["tokens/total"] == first["tokens/total"] + second["tokens/sampled"] >= larger


def test_alarm_ends_a_run_with_a_sentence_and_a_checkpoint(small_world: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    finished = train(run, small_world, "mrsearch.alarms.min_reward=2", "mrsearch.alarms.patience=2")
    assert finished.status == 1
    assert "Training stopped: final/reward is" in finished.output
    assert "below mrsearch.alarms.min_reward=2 for 2 steps; step 2 is kept as a checkpoint." in finished.output
    assert finished.left == []
    last = run.last_checkpoint()
    assert last is not None and last[0] == 2 == len(run.read_metrics())
