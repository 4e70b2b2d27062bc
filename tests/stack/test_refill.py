"""Dynamic sampling: groups that teach nothing are replaced, so that a step keeps its size."""

from collections import defaultdict
from pathlib import Path

import pytest
from conftest import mrsearch, train_settings  # type: ignore[import-not-found]

from mrsearch.runs import RunFolder, read_json_lines

pytestmark = pytest.mark.slow


def test_a_step_is_refilled_with_groups_that_differ(small_world: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    finished = mrsearch(
        "train",
        "quickstart",
        *train_settings(steps=1),
        "algorithm.filter_groups.enable=true",
        f"--out={run.path}",
        f"--questions={small_world / 'train.jsonl'}",
        f"--corpus={small_world / 'corpus.jsonl'}",
    )
    assert finished.status == 0, finished.output
    (step,) = run.read_metrics()
    assert (step["episodes/n"], step["groups/n"]) == (4 * 4, 4)
    assert (step["groups/all_equal"], step["groups/dropped"]) == (0, 0)
    sampled = defaultdict(list)
    for record in read_json_lines(run.episodes("train", 1)):
        sampled[record["group"]].append(record["rewards"])
    equal = [group for group, rewards in sampled.items() if all(reward == rewards[0] for reward in rewards)]
    assert step["training/filter_groups/evicted_samples"] == len(equal) > 0
