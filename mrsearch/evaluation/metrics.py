"""The figures of a set of scored meta-episodes; the same for training, validation and evaluation."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

_RESAMPLES = 2000


def summarise(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarises meta-episodes as they are written into a run folder.

    A meta-episode that lost a search is counted and left out of every score.

    Returns:
        `n` scored meta-episodes; `search_failed` left out; `exact_match` with one number per attempt and `any`
        for the best attempt, each with a 95 % interval (`exact_match_ci`, `any_ci`: percentile bootstrap over
        questions, 2,000 resamples, seed 0); `stop_reasons` as shares of all attempts; means per meta-episode of
        `searches`, `invalid_turns` and sampled `tokens`.
    """
    rows = list(records)
    scored = [row for row in rows if not _lost(row)]
    figures: dict[str, Any] = {"n": len(scored), "search_failed": len(rows) - len(scored)}
    if not scored:
        return figures | {"exact_match": [], "exact_match_ci": [], "any": None, "any_ci": None}
    # Sorted, so that the order in which meta-episodes finished does not move the intervals.
    score_BN = np.array(sorted(row["rewards"] for row in scored), dtype=np.float64)
    columns_BC = np.column_stack([score_BN, score_BN.max(axis=1)])
    means, intervals = columns_BC.mean(axis=0).tolist(), _bootstrap(columns_BC)
    attempts = [attempt for row in scored for attempt in row["attempts"]]
    return figures | {
        "exact_match": means[:-1],
        "exact_match_ci": intervals[:-1],
        "any": means[-1],
        "any_ci": intervals[-1],
        "stop_reasons": _shares([attempt["stop_reason"] for attempt in attempts]),
        "searches": _turns(attempts, "search") / len(scored),
        "invalid_turns": _turns(attempts, "invalid") / len(scored),
        "tokens": sum(attempt["tokens"] for attempt in attempts) / len(scored),
    }


def _lost(row: Mapping[str, Any]) -> bool:
    return any(attempt["stop_reason"] == "search_failed" for attempt in row["attempts"])


def _bootstrap(columns_BC: np.ndarray) -> list[list[float]]:
    """95 % percentile intervals of the column means, over resampled rows."""
    rows = len(columns_BC)
    picks = np.random.default_rng(0).integers(rows, size=(_RESAMPLES, rows))
    means_RC = columns_BC[picks].mean(axis=1)
    intervals: list[list[float]] = np.percentile(means_RC, [2.5, 97.5], axis=0).T.tolist()
    return intervals


def _shares(values: list[str]) -> dict[str, float]:
    names, counts = np.unique(values, return_counts=True)
    return {str(name): float(count) / len(values) for name, count in zip(names, counts, strict=True)}


def _turns(attempts: Iterable[Mapping[str, Any]], kind: str) -> int:
    return sum(turn["kind"] == kind for attempt in attempts for turn in attempt["turns"])
