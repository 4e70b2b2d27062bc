"""`mrsearch score`: files of stored transcripts."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mrsearch.cli import app
from mrsearch.errors import UserError
from mrsearch.evaluation.scoring import score_file

GOOD: dict[str, Any] = {"question": "Who?", "golden_answers": ["Ada"], "response": "<answer> ada. </answer>"}
AGAIN = "<|im_end|>\n<|im_start|>user\nReflect.<|im_end|>\n<|im_start|>assistant\n"


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("golds", ["Ada", ["Grace", "Ada"], {"target": ["Ada"]}, {"target": "Ada"}])
def test_gold_answers_come_as_string_list_or_target(tmp_path: Path, golds: Any) -> None:
    (row,), _ = score_file(write(tmp_path / "t.jsonl", GOOD | {"golden_answers": golds}))
    assert (row["answers"], row["exact_match"]) == (["ada."], [1.0])


def test_rows_keep_their_fields_and_get_scores_by_attempt_and_of_the_last(tmp_path: Path) -> None:
    given = GOOD | {"score": 1, "response": f"<answer> Ada B </answer>{AGAIN}<answer> Ada </answer>", "f1": "mine"}
    (row,), _ = score_file(write(tmp_path / "t.jsonl", given))
    assert row == given | {
        "given_f1": "mine",
        "answers": ["Ada B", "Ada"],
        "exact_match": [0.0, 1.0],
        "f1": [pytest.approx(2 / 3), 1.0],
        "substring_match": [1.0, 1.0],
        "last": {"answer": "Ada", "exact_match": 1.0, "f1": 1.0, "substring_match": 1.0},
    }


def test_the_summary_has_n_and_intervals_by_benchmark(tmp_path: Path) -> None:
    rows = [GOOD | {"data_source": "nq"}, GOOD | {"data_source": "nq", "response": "?"}, GOOD | {"source": "popqa"}]
    _, summary = score_file(write(tmp_path / "t.jsonl", *rows))
    assert {name: (figures["n"], figures["exact_match"]) for name, figures in summary["benchmarks"].items()} == {
        "nq": (2, [0.5]),
        "popqa": (1, [1.0]),
    }
    assert summary["benchmarks"]["nq"]["exact_match_ci"] == [[0.0, 1.0]]
    assert summary["macro"]["exact_match"] == [0.75]
    assert "searches" not in summary["macro"], "text does not tell what was searched"


def test_a_row_with_fewer_attempts_stands_with_its_last_answer(tmp_path: Path) -> None:
    twice = GOOD | {"response": f"<answer> ? </answer>{AGAIN}<answer> Ada </answer>"}
    _, summary = score_file(write(tmp_path / "t.jsonl", GOOD, twice))
    assert (summary["attempts"], summary["benchmarks"]["t"]["exact_match"]) == (2, [0.5, 1.0])


def test_rows_of_one_id_are_samples_of_one_question_and_rows_without_stand_alone(tmp_path: Path) -> None:
    rows = [GOOD | {"id": identity} for identity in ("a", "a", None, None)]
    _, summary = score_file(write(tmp_path / "t.jsonl", *rows))
    figures = summary["benchmarks"]["t"]
    assert (figures["n"], figures["questions"], figures["majority_vote"]) == (4, 3, 1.0)


def test_blank_lines_are_skipped(tmp_path: Path) -> None:
    rows, _ = score_file(write(tmp_path / "t.jsonl", "\n", GOOD, "  \n"))
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"question": ', "line 2: broken JSON (Expecting value); each line must be one JSON object."),
        ("[" * 100_000, "line 2: broken JSON (it is nested too deeply); each line must be one JSON object."),
        ("[1]\n", "line 2: found [1] where a JSON object must stand."),
        ({"golden_answers": ["a"], "response": ""}, "line 2: question is missing; it must be a string."),
        (GOOD | {"response": None}, "line 2: response is null; it must be a string."),
        (GOOD | {"response": ["a"]}, 'line 2: response is ["a"]; it must be a string.'),
        ({"question": "q", "response": "r"}, "line 2: golden_answers is missing; it must be a string, a list of"),
        (GOOD | {"golden_answers": []}, "line 2: golden_answers is []; it must be a string, a list of strings"),
        (GOOD | {"golden_answers": [1]}, "line 2: golden_answers is [1]; it must be"),
        (GOOD | {"golden_answers": {"answer": "a"}}, 'line 2: golden_answers is {"answer": "a"}; it must be'),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, sentence: str) -> None:
    with pytest.raises(UserError) as refusal:
        score_file(write(tmp_path / "t.jsonl", GOOD, line))
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'{"question": "\xff"}\n')
    with pytest.raises(UserError, match="line 1: broken JSON \\(it is not UTF-8\\)"):
        score_file(tmp_path / "t.jsonl")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no transcript"):
        score_file(write(tmp_path / "t.jsonl", ""))


def test_the_command_writes_rows_and_prints_the_summary(tmp_path: Path) -> None:
    file = write(tmp_path / "t.jsonl", GOOD | {"question": "[bold]who\ud83d"})
    shown = CliRunner().invoke(app, ["score", str(file), "--json"])
    assert shown.exit_code == 0
    assert json.loads(shown.output)["macro"]["exact_match"] == [1.0]
    (line,) = (tmp_path / "t.scores.jsonl").read_text().splitlines()
    assert json.loads(line)["question"] == "[bold]who\ud83d"
    assert "1.00 (1.00–1.00)" in CliRunner().invoke(app, ["score", str(file), "--out", str(tmp_path / "o")]).output
    assert (tmp_path / "o").read_text() == line + "\n"


def test_a_refused_file_leaves_what_was_there(tmp_path: Path) -> None:
    file, out = write(tmp_path / "t.jsonl", GOOD, "{"), write(tmp_path / "o.jsonl", "earlier")
    with pytest.raises(UserError, match="line 2"):
        CliRunner().invoke(app, ["score", str(file), "--out", str(out)], catch_exceptions=False)
    assert out.read_text() == "earlier"
    with pytest.raises(UserError, match="the file that is scored"):
        CliRunner().invoke(app, ["score", str(file), "--out", str(file)], catch_exceptions=False)


def test_an_out_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "t.jsonl", GOOD)
    with pytest.raises(UserError, match=r"^The scores cannot be written to .* \(.+\); give --out another file\.$"):
        CliRunner().invoke(app, ["score", str(file), "--out", str(tmp_path)], catch_exceptions=False)
