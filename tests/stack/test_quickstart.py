"""The quickstart, shortened: interrupted in the middle, then finished by the same command."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import accumulate
from pathlib import Path

import pytest
from conftest import mrsearch  # type: ignore[import-not-found]

from mrsearch.runs import RunFolder, read_json_lines

pytestmark = pytest.mark.slow

SHORT = ["--questions=16", "mrsearch.memory_gib=4", "trainer.total_training_steps=3", "trainer.save_freq=1"]
SHORT += ["data.train_batch_size=4", "actor_rollout_ref.rollout.n=8", "world.parameters.names=400"]
SHORT += [f"world.parameters.{name}_questions={n}" for name, n in (("warm_start", 100), ("train", 200), ("test", 50))]


def interrupt_after_first_checkpoint(run: RunFolder) -> int:
    """Starts the quickstart, sends Ctrl-C once a checkpoint is there, and returns the exit status."""
    command = [sys.executable, "-m", "mrsearch", "quickstart", f"--out={run.path}", *SHORT]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 500
    while run.last_checkpoint() is None and started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(started.pid, signal.SIGINT)
    return started.wait(timeout=60)


def assert_continued(run: RunFolder) -> None:
    """The tokens are counted on, and the data position came along: no question is asked again."""
    steps = run.read_metrics()
    assert [step["tokens/total"] for step in steps] == list(accumulate(step["tokens/sampled"] for step in steps))
    asked = [{record["id"] for record in read_json_lines(run.episodes("train", step))} for step in (1, 2, 3)]
    assert len(set.union(*asked)) == 3 * 4


def test_quickstart_survives_an_interruption(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "quickstart")
    assert interrupt_after_first_checkpoint(run) == 130
    assert not run.report.exists()
    finished = mrsearch("quickstart", f"--out={run.path}", *SHORT)
    assert finished.status == 0, finished.output
    assert finished.left == []
    assert "before" in finished.output and "attempt 3" in finished.output and str(run.path) in finished.output

    report = json.loads(run.report.read_text())
    for name in ("before", "after"):
        assert len(report[name]["exact_match"]) == 3
        assert report[name]["n"] == 16
        assert max(report[name]["exact_match"]) <= report[name]["any"] <= 1
    assert report["training_steps"] == 3
    assert report["logprob_mismatch_mean"] <= 1e-5
    assert 0 < report["minutes"] < 30 and 0 < report["peak_memory_gib"] < 12
    assert (run.path / "learning_curves.png").read_bytes().startswith(b"\x89PNG")
    assert [step["step"] for step in run.read_metrics()] == [1, 2, 3]
    assert not (run.metrics / "000000.jsonl").read_text().count('"step":3'), "the interruption came too late"
    assert_continued(run)

    again = mrsearch("quickstart", f"--out={run.path}", *SHORT)
    assert (again.status, "is complete" in again.output) == (0, True)
