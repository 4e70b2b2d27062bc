"""Scores stored transcripts: text that somebody's policy wrote, with the documents in it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrsearch.data.rows import shown
from mrsearch.errors import UserError
from mrsearch.evaluation.metrics import Row, summarise_benchmarks
from mrsearch.evaluation.metrics.rows import FIELDS
from mrsearch.evaluation.stored_text import answer_of, split_attempts
from mrsearch.rewards import METRICS, normalise

_GOLDS = 'a string, a list of strings, or {"target": such a list}'

# What text alone can tell; searches, tokens and time are no part of it.
_FIGURES = frozenset(
    ["n", "questions", "benchmarks", "any", "majority_vote", "best_of_k", "right", "wrong"]
    + [name + suffix for name in METRICS for suffix in ("", "_any")]
    + ["improved", "harmed", "improved_of_wrong", "harmed_of_right", "changed_of_wrong", "changed_of_right"]
)


def score_row(response: str, golds: Sequence[str]) -> dict[str, Any]:
    """Scores one response, attempt by attempt.

    The last attempt's scores are those of Search-R1's published scorer over that attempt's text (SCORING.md).

    Returns:
        `answers` (None where an attempt has none), `exact_match`, `f1`, `substring_match`: one per attempt;
        `last`: the same four of the last attempt.
    """
    answers = [answer_of(text) for text in split_attempts(response)]
    scores = {name: [metric(answer, golds) for answer in answers] for name, metric in METRICS.items()}
    last = {"answer": answers[-1], **{name: values[-1] for name, values in scores.items()}}
    return {"answers": answers, **scores, "last": last}


def score_file(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Scores a file of JSON lines with `question`, `golden_answers` and `response`.

    `golden_answers` is a string, a list of strings or `{"target": …}`. `source` (or `data_source`), if it is there,
    names the row's benchmark, `id` its question: rows of one id are samples of one question.

    Returns:
        The rows with their own fields and those of `score_row`; a field of theirs that has the name of one of ours
        but another value is kept as `given_NAME`. And the summary, by benchmark and as macro average; in it a row
        with fewer attempts than another stands with its last answer for those it lacks.

    Raises:
        UserError: the file cannot be read, holds no row, or a line is not of this form.
    """
    scored, rows = [], []
    for number, given, golds in _read(path):
        scores = score_row(given["response"], golds)
        kept = {f"given_{name}": given[name] for name in scores if name in given and given[name] != scores[name]}
        scored.append({**given, **kept, **scores})
        source = given.get("source") or given.get("data_source") or path.stem
        question = number if given.get("id") is None else given["id"]
        rows.append((str(source), str(question), number, given["question"], scores))
    if not scored:
        raise UserError(
            f"{path} holds no transcript; it needs at least one JSON line with question, golden_answers and response."
        )
    attempts = max(len(scores["answers"]) for *_, scores in rows)
    report = summarise_benchmarks([_row(*row, attempts) for row in rows])
    return scored, {
        "attempts": attempts,
        "benchmarks": {name: _known(figures) for name, figures in report["benchmarks"].items()},
        "macro": _known(report["macro"]),
    }


def _row(source: str, question: str, sample: int, asked: str, scores: Mapping[str, Any], attempts: int) -> Row:
    def padded(values: Sequence[Any]) -> list[Any]:
        return [*values, *[values[-1]] * (attempts - len(values))]

    values = np.zeros((len(FIELDS), attempts))
    for name in METRICS:
        values[FIELDS.index(name)] = padded(scores[name])
    answers = padded([answer and normalise(answer) for answer in scores["answers"]])
    reasons = ["no_answer" if answer is None else "answered" for answer in answers]
    return Row(source, question, sample, tuple(answers), tuple(reasons), values, asked)


def _known(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name.removesuffix("_ci") in _FIGURES}


def _read(path: Path) -> Iterator[tuple[int, dict[str, Any], list[str]]]:
    """Line number, row and gold answers of every line that is not blank."""
    if not path.is_file():
        raise UserError(f"There is no file {path}; give JSON lines with question, golden_answers and response.")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = _parse(line, f"{path}, line {number}")
                yield number, row, _golds(row["golden_answers"], f"{path}, line {number}")


def _parse(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        known = {UnicodeDecodeError: "it is not UTF-8", RecursionError: "it is nested too deeply"}
        reason = known[type(error)] if type(error) in known else getattr(error, "msg", error)
        raise UserError(f"{place}: broken JSON ({reason}); each line must be one JSON object.") from error
    if not isinstance(row, dict):
        raise UserError(f"{place}: found {shown(row)} where a JSON object must stand.")
    for name in ("question", "response"):
        if not isinstance(row.get(name), str):
            raise _refusal(row, name, "a string", place)
    if row.get("golden_answers") is None:
        raise _refusal(row, "golden_answers", _GOLDS, place)
    return row


def _golds(value: Any, place: str) -> list[str]:
    golds = value.get("target") if isinstance(value, dict) else value
    golds = [golds] if isinstance(golds, str) else golds
    if not isinstance(golds, list) or not golds or not all(isinstance(gold, str) for gold in golds):
        raise _refusal({"golden_answers": value}, "golden_answers", _GOLDS, place)
    return golds


def _refusal(row: Mapping[str, Any], name: str, accepted: str, place: str) -> UserError:
    found = f"is {shown(row[name])}" if name in row else "is missing"
    return UserError(f"{place}: {name} {found}; it must be {accepted}.")
