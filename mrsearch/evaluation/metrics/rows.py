"""Scored meta-episodes, reduced to what the figures are made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mrsearch.rewards import METRICS

Floats = npt.NDArray[np.float64]

Key = tuple[str, str, int]
"""Benchmark, id and number of the sample: unique in a run."""

FIELDS = (*METRICS, "searches", "invalid_turns", "tokens", "model_seconds", "search_seconds", "retrieval_recall")
"""What is known of every attempt, in the order of `Row.values`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One meta-episode, without what was said in it.

    Attributes:
        source, id: benchmark and question.
        sample: which sampling of the question it is.
        answers: normalised, one per attempt; None where there is none.
        stop_reasons: one per attempt.
        values: F `FIELDS` × N attempts; `retrieval_recall` is NaN where the gold passages are not known.
        asked: the question's text.
    """

    source: str
    id: str
    sample: int
    answers: tuple[str | None, ...]
    stop_reasons: tuple[str, ...]
    values: Floats
    asked: str

    @property
    def question(self) -> tuple[str, str]:
        return self.source, self.id

    @property
    def key(self) -> Key:
        return self.source, self.id, self.sample

    @property
    def search_failed(self) -> bool:
        """Whether the infrastructure failed it: counted, and left out of every score."""
        return "search_failed" in self.stop_reasons


def read_rows(records: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Scores records as they are written into a run folder, one at a time, and keeps the figures only.

    The scores are made from the recorded answers and the gold answers, whatever metric the rewards are of.
    """
    return [_row(record) for record in records]


def latest(rows: Iterable[Row]) -> list[Row]:
    """Every meta-episode once: of those recorded twice, the later."""
    return list({row.key: row for row in rows}.values())


def _row(record: Mapping[str, Any]) -> Row:
    attempts, golds = record["attempts"], record["golden_answers"]
    answers = tuple(record["normalised_answers"])
    scores = {answer: [metric(answer, golds) for metric in METRICS.values()] for answer in set(answers)}
    recall_N = _recall(attempts, record.get("gold_titles"))
    value_NF = [
        [
            *scores[answer],
            _turns(attempt, "search"),
            _turns(attempt, "invalid"),
            attempt["tokens"],
            attempt["model_seconds"],
            attempt["search_seconds"],
            recall,
        ]
        for attempt, answer, recall in zip(attempts, answers, recall_N, strict=True)
    ]
    return Row(
        source=record["source"],
        id=record["id"],
        sample=record.get("sample", record.get("member", 0)),
        answers=answers,
        stop_reasons=tuple(attempt["stop_reason"] for attempt in attempts),
        values=np.array(value_NF, dtype=np.float64).T,
        asked=record["question"],
    )


def _turns(attempt: Mapping[str, Any], kind: str) -> int:
    return sum(turn["kind"] == kind for turn in attempt["turns"])


def _recall(attempts: Sequence[Mapping[str, Any]], gold_titles: Iterable[str] | None) -> list[float]:
    """Share of the gold titles among the titles shown up to and including each attempt, compared as they are."""
    gold, shown = set(gold_titles or ()), set[str]()
    recall_N = []
    for attempt in attempts:
        shown |= {passage["title"] for turn in attempt["turns"] for passage in turn["passages"]}
        recall_N.append(len(gold & shown) / len(gold) if gold else np.nan)
    return recall_N
