"""`mrsearch compare`: runs side by side."""

import json
from pathlib import Path

import pytest
from made_records import record
from typer.testing import CliRunner

from mrsearch.cli import app
from mrsearch.errors import UserError
from mrsearch.evaluation.comparison import compare, read_run
from mrsearch.runs import RunFolder, append_json_line

RIGHT, WRONG = "gold", "lead"


def make_run(path: Path, scores: dict[str, list[int]]) -> Path:
    for source, questions in scores.items():
        for number, score in enumerate(questions):
            row = record([WRONG, RIGHT if score else WRONG], question=str(number), source=source)
            append_json_line(RunFolder(path).episodes("test", 0), row)
    return path


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [
        make_run(tmp_path / "a", {"nq": [0, 0, 1, 1], "popqa": [0, 0]}),
        make_run(tmp_path / "b", {"nq": [1, 1, 1, 1], "popqa": [0, 0], "musique": [1]}),
    ]


def test_runs_stand_side_by_side_with_differences_from_the_first(runs: list[Path]) -> None:
    comparison = compare(runs)
    assert comparison["benchmarks"] == ["musique", "nq", "popqa"]
    assert [run["benchmarks"]["nq"]["exact_match"][-1] for run in comparison["runs"]] == [0.5, 1.0]
    (difference,) = comparison["differences"]
    assert set(difference["benchmarks"]) == {"nq", "popqa"}
    assert (difference["benchmarks"]["nq"]["n"], difference["benchmarks"]["nq"]["last"]["difference"]) == (4, 0.5)
    assert difference["macro"]["last"]["difference"] == 0.25


def test_the_command_shows_a_table_and_writes_json(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "comparison.json"
    arguments = ["compare", *map(str, runs), "--out", str(out)]
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "+0.50" in shown.output and "p 0.500" in shown.output and "macro average" in shown.output
    assert json.loads(out.read_text()) == json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)


def test_an_out_that_cannot_be_written_is_named(runs: list[Path], tmp_path: Path) -> None:
    arguments = ["compare", *map(str, runs), "--out", str(tmp_path)]
    with pytest.raises(UserError, match=r"^The comparison cannot be written to .* \(.+\); give --out another file\.$"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_a_question_recorded_twice_counts_as_recorded_last(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", {"nq": [0]})
    make_run(run, {"nq": [1]})
    assert [row.values[0].tolist() for row in read_run(run)] == [[0.0, 1.0]]


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", {"nq": [1, 1]})
    with RunFolder(run).episodes("test", 0).open("a") as file:
        file.write('{"id": ')
    assert len(read_run(run)) == 2


def test_runs_without_common_questions_are_refused(runs: list[Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "c", {"bamboogle": [1]})
    with pytest.raises(UserError, match=r"c and .*a have no scored question in common"):
        compare([runs[0], other])


def test_other_questions_of_the_same_ids_are_refused(runs: list[Path], tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "c")
    append_json_line(
        other.episodes("test", 0), record([RIGHT, RIGHT], question="0", source="nq") | {"question": "Who?"}
    )
    with pytest.raises(UserError, match=r"c and .*a ask different questions as nq 0; compare runs on the same"):
        compare([runs[0], other.path])


def test_what_is_no_evaluation_is_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no evaluation"):
        compare([runs[0], tmp_path])
    with pytest.raises(UserError, match="two run folders or more"):
        compare(runs[:1])


@pytest.mark.parametrize("line", ['{"id": }\n', '{"id": "1"}\n', "[]\n"])
def test_a_broken_line_is_refused_in_one_sentence(runs: list[Path], line: str) -> None:
    with RunFolder(runs[1]).episodes("test", 0).open("a") as file:
        file.write(line)
    with pytest.raises(UserError, match="holds a line that is no record of a meta-episode") as refusal:
        compare(runs)
    assert "\n" not in str(refusal.value)
