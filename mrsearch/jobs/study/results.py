"""One run of the study as a small file: what it trained on, how it learned, and what it got right."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrsearch.data.questions import Question
from mrsearch.errors import UserError
from mrsearch.evaluation.metrics import Row, read_rows
from mrsearch.evaluation.metrics.rows import FIELDS
from mrsearch.jobs.study.plan import Job
from mrsearch.runs import write_atomically

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run.

    Attributes:
        job: which.
        settings: the plan's fingerprint of it.
        training: `attempts` and `searches` it trained with, `steps`, sampled `tokens` and `minutes`; None if untrained.
        curve: by training step `tokens` so far and, by attempt, `reward`, `searches`: means over the step's episodes.
        tests: by name ("greedy", "sampled", "independent") what `scored` says.
    """

    job: Job
    settings: str
    training: Mapping[str, float] | None
    curve: Sequence[Mapping[str, Any]]
    tests: Mapping[str, Mapping[str, Any]]


def result_path(folder: Path, job: Job) -> Path:
    return folder / "results" / f"{job.name}.json"


def write_result(folder: Path, result: Result) -> None:
    """Writes one file, whole or not at all."""
    parts = {
        "settings": result.settings,
        "training": result.training,
        "curve": result.curve,
        "tests": result.tests,
    }
    # One line a step and a test: such files can be kept in a repository.
    lines = [f'"{name}": {_by_line(part)}' for name, part in parts.items()]
    write_atomically(result_path(folder, result.job), "{\n" + ",\n".join(lines) + "\n}\n")


def is_done(folder: Path, job: Job, settings: str) -> bool:
    """Whether a run has its result.

    Args:
        settings: the plan's fingerprint of the run.

    Raises:
        UserError: it has one that was made with other settings, or the file is no result.
    """
    path = result_path(folder, job)
    if not path.is_file():
        return False
    if _read(path).settings != settings:
        raise UserError(f"{path} was made with another plan or other settings; give --out another folder.")
    return True


def read_results(folder: Path) -> list[Result]:
    """All results of a folder, in the order of their names.

    Raises:
        UserError: a file is no result.
    """
    return [_read(path) for path in sorted((folder / "results").glob("*/*.json"))]


def _read(path: Path) -> Result:
    arm, _, seed = path.stem.rpartition("-")
    try:
        return Result(Job(path.parent.name, arm, int(seed)), **json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is no result of a study ({error}); delete it and run it again.") from error


def scored(records: Iterable[Mapping[str, Any]], questions: Sequence[Question]) -> dict[str, Any]:
    """What a test shows, question by question in the order of `questions`.

    Returns:
        For each attempt a string of digits, a digit a question: `right` (0 or 1), `searched` (searches), `found` (gold
        passages shown up to and including the attempt); `gold`, a digit a question: how many there are. By attempt
        the means `searches`, `tokens`, and `coverage`: the share of its gold passages that a question has found.

    Raises:
        ValueError: a question is missing, or was lost to a failed search.
    """
    by_id = {record["id"]: record for record in records}
    rows = read_rows(by_id[question.id] for question in questions)
    _check_whole(rows)
    gold_Q = np.array([len(_gold(question)) for question in questions])
    found_QN = np.array([_found(by_id[question.id], _gold(question)) for question in questions])
    searches_QN = _by_question(rows, "searches")
    return {
        "right": digits(_by_question(rows, "exact_match").T > 0),
        "searched": digits(searches_QN.T),
        "found": digits(found_QN.T),
        "gold": digits(gold_Q[None])[0],
        "searches": _means(searches_QN),
        "tokens": _means(_by_question(rows, "tokens")),
        "coverage": _means(found_QN / gold_Q[:, None]),
    }


def scored_independently(records: Iterable[Mapping[str, Any]], questions: Sequence[Question]) -> dict[str, Any]:
    """The same for K meta-episodes of one attempt on each question.

    Returns:
        `right`: for each sample a string of digits; `vote`: the same for the commonest answer of the first k samples,
        for each k; `searches`, `tokens`: means of one sample.

    Raises:
        ValueError: a question is missing, or was lost to a failed search.
    """
    rows = read_rows(records)
    _check_whole(rows)
    by_case = {(row.id, row.sample): row for row in rows}
    samples = range(max(sample for _, sample in by_case) + 1)
    row_QK = [[by_case[question.id, sample] for sample in samples] for question in questions]
    vote_QK = np.array([[_vote(row_K[: k + 1]) for k in samples] for row_K in row_QK])
    return {
        "right": digits(np.array([[_right(row) for row in row_K] for row_K in row_QK]).T),
        "vote": digits(vote_QK.T),
        "searches": _means(_by_question(rows, "searches")),
        "tokens": _means(_by_question(rows, "tokens")),
    }


def counts(digits_N: Sequence[str]) -> Floats:
    """Strings of digits as an array (N, Q)."""
    return np.array([[float(digit) for digit in digits] for digits in digits_N])


def digits(counts_NQ: npt.ArrayLike) -> list[str]:
    """The reverse of `counts`; what is more than 9 is written as 9."""
    return ["".join(str(min(9, int(count))) for count in counts_Q) for counts_Q in np.asarray(counts_NQ)]


def _check_whole(rows: Sequence[Row]) -> None:
    if lost := sum(row.search_failed for row in rows):
        raise ValueError(f"{lost} meta-episodes lost a search")


def _by_question(rows: Sequence[Row], name: str) -> npt.NDArray[np.float64]:
    """A figure of every attempt: (Q, N)."""
    return np.array([row.values[FIELDS.index(name)] for row in rows])


def _right(row: Row) -> bool:
    return bool(_by_question([row], "exact_match")[0, 0] > 0)


def _vote(rows: Sequence[Row]) -> bool:
    """Whether the commonest answer is right; of equally common ones the first counts, and no answer has no vote."""
    votes: dict[str, list[Row]] = {}
    for row in rows:
        if row.answers[0] is not None:
            votes.setdefault(row.answers[0], []).append(row)
    return bool(votes) and _right(max(votes.values(), key=len)[0])


def _gold(question: Question) -> set[str]:
    return set(question.metadata["gold_passage_ids"])


def _found(record: Mapping[str, Any], gold: set[str]) -> list[int]:
    shown, found_N = set[str](), []
    for attempt in record["attempts"]:
        shown |= {passage["id"] for turn in attempt["turns"] for passage in turn["passages"]}
        found_N.append(len(gold & shown))
    return found_N


def _means(values_QN: npt.NDArray[np.float64]) -> list[float]:
    return [round(float(mean), 4) for mean in values_QN.mean(axis=0)]


def _by_line(part: Any) -> str:
    if isinstance(part, dict) and any(isinstance(value, dict) for value in part.values()):
        return "{\n" + ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in part.items()) + "\n}"
    if isinstance(part, list):
        return "[\n" + ",\n".join(f" {json.dumps(item)}" for item in part) + "\n]"
    return json.dumps(part)
