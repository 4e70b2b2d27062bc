"""The run folder survives interruption."""

import json
from pathlib import Path

import pytest

from mrsearch.runs import RunFolder, append_json_line, cut_torn_line, read_json_lines, write_atomically


def write_metrics(run: RunFolder, start: int, steps: list[int], value: float) -> None:
    for step in steps:
        append_json_line(run.metrics / f"{start:06d}.jsonl", {"step": step, "data": {"x": value}})


def test_steps_that_were_run_again_count_as_run_last(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_metrics(run, 0, [1, 2, 3, 4], 0.0)
    write_metrics(run, 2, [3], 1.0)
    assert run.read_metrics() == [{"step": 1, "x": 0.0}, {"step": 2, "x": 0.0}, {"step": 3, "x": 1.0}]


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    append_json_line(file, {"a": "é"})
    with file.open("a") as torn:
        torn.write('{"a": ')
    assert list(read_json_lines(file)) == [{"a": "é"}]


@pytest.mark.parametrize(
    ("found", "left"), [("", ""), ('{"a": ', ""), ("1\n2\n", "1\n2\n"), ('1\n2\n{"a": ', "1\n2\n")]
)
def test_a_last_line_cut_short_is_cut_off(tmp_path: Path, found: str, left: str) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text(found)
    cut_torn_line(file)
    assert file.read_text() == left


def test_meta_episodes_after_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for step in (1, 2, 3):
        append_json_line(run.episodes("train", step), step)
    run.forget_after(2)
    assert [file.stem for file in sorted((tmp_path / "episodes" / "train").iterdir())] == ["000001", "000002"]


def test_checkpoint_counts_once_its_marker_is_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (run.checkpoints / "global_step_4").mkdir(parents=True)
    assert run.last_checkpoint() is None
    write_atomically(run.checkpoints / "latest_checkpointed_iteration.txt", "4")
    assert run.last_checkpoint() == (4, run.checkpoints / "global_step_4")


def test_atomic_write_leaves_no_draft(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.json", json.dumps(1))
    write_atomically(tmp_path / "a.json", json.dumps(2))
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.json", "2")]


def test_a_text_that_cannot_be_written_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", "whole")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "a.txt", "half \ud800")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "whole")]
