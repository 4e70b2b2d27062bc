"""A small study from the command line: two trainings and three tests on one started stack, and a report."""

from pathlib import Path

import pytest
import yaml
from conftest import mrsearch, train_settings  # type: ignore[import-not-found]

from mrsearch.jobs.study import PLAN
from mrsearch.jobs.study.plan import Job
from mrsearch.jobs.study.results import counts, read_results

pytestmark = pytest.mark.slow


def test_a_small_study_trains_tests_reports_and_has_nothing_left_to_do(tmp_path: Path) -> None:
    plan = yaml.safe_load(PLAN.read_text())
    plan["test"] = {"questions": 12, "attempts": 3, "independent": 2}
    plan["experiments"] = {
        "tiny": {
            "about": "a small world",
            "attempts": 2,
            "searches": 1,
            "world": {"names": 400, "warm_start_questions": 20, "train_questions": 100},
            "arms": ["untrained", "mr_search", "long"],
        }
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    out = tmp_path / "study"
    settings = [f"--setting={setting}" for setting in (*train_settings(steps=9), "mrsearch.token_budget=1500")]
    command = ["study", f"--plan={tmp_path / 'plan.yaml'}", "--seeds=1", f"--out={out}", *settings]

    finished = mrsearch(*command, timeout=1200)
    assert finished.status == 0, finished.output
    assert finished.left == []
    results = {result.job: result for result in read_results(out)}
    assert results.keys() == {Job("tiny", arm, 0) for arm in ("untrained", "mr_search", "long")}
    ours, long = results[Job("tiny", "mr_search", 0)], results[Job("tiny", "long", 0)]
    assert ours.training and long.training
    assert [(r.training["attempts"], r.training["searches"]) for r in (ours, long) if r.training] == [(2, 1), (1, 2)]
    assert min(ours.training["tokens"], long.training["tokens"]) >= 1500
    assert len(ours.curve) == ours.training["steps"] < 9, "the tokens were spent before the steps"
    assert counts(ours.tests["greedy"]["right"]).shape == (3, 12)
    assert counts(long.tests["independent"]["right"]).shape == (2, 12)
    assert "## tiny" in (out / "report.md").read_text()
    assert not list(out.glob("runs/*/*/checkpoints")), "what is large is removed"

    again = mrsearch(*command)
    assert (again.status, "training" in again.output) == (0, False), again.output
