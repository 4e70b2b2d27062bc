"""The summary of a set of meta-episodes, and of several benchmarks with their macro average."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mrsearch.evaluation.metrics.bootstrap import Estimates, estimate, unweighted_mean
from mrsearch.evaluation.metrics.quantities import quantities
from mrsearch.evaluation.metrics.rows import Row, read_rows

ORACLE_NOTE = "Uses the gold answers: stops at the first right attempt. A bound, and nothing a policy could do."


def summarise(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarises meta-episodes as they are written into a run folder.

    A meta-episode that lost a search is counted and left out of every score. Samples of one question are averaged
    first, so that each question counts the same. `NAME_ci` beside a figure is its 95 % interval: percentile
    bootstrap over questions, 2,000 resamples, seed 0 and the benchmark's name. The order of the records changes
    nothing. A list has one number per attempt, or per pair of consecutive attempts where marked (pairs). None
    stands where nothing counts.

    Returns:
        `n` scored meta-episodes of `questions` questions; `search_failed` left out;
        `exact_match`, `f1`, `substring_match` by attempt and, of the best attempt, `any`, `f1_any`,
        `substring_match_any`;
        `improved` (wrong → right) and `harmed` (right → wrong) as shares of all (pairs), `improved_of_wrong` and
        `harmed_of_right` as shares of those at risk, `changed_of_wrong` and `changed_of_right` the shares of
        those in which the next attempt gives another answer (pairs), `wrong` and `right` how many there are (pairs);
        `searches`, `invalid_turns`, sampled `tokens`, `model_seconds`, `search_seconds`: means by attempt;
        `context_overflow`: share of meta-episodes in which an attempt ran out of context;
        `stop_reasons`: shares of all attempts, and `stop_reasons_by_attempt`;
        `retrieval_recall` by attempt: share of the gold titles among all titles shown so far, over the
        `retrieval_n` meta-episodes whose gold titles are known;
        where a question was sampled more than once, `majority_vote` (exact match of the commonest normalised last
        answer of its samples, of equally common ones that sampled first; no answer has no vote) and `best_of_k`
        (whether any sample's last answer is right);
        `oracle_stop`: what stopping at the first right attempt would score and cost (`exact_match`, `attempts`,
        `searches`, `tokens`), with a `note` that this uses the gold answers.
    """
    rows = read_rows(records)
    return _figures(rows, _estimates(rows))


def summarise_benchmarks(rows: Iterable[Row]) -> dict[str, Any]:
    """Figures of each benchmark and their macro average.

    Returns:
        `benchmarks`: by name, in alphabetical order, what `summarise` says of it; `macro`: the same figures as
        unweighted means over the `benchmarks` benchmarks in which anything was scored, with intervals from
        resampling within each benchmark, and with the sums of `n`, `questions` and `search_failed`.
    """
    by_source: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    estimates = {source: _estimates(rows) for source, rows in by_source.items()}
    benchmarks = {source: _figures(by_source[source], estimates[source]) for source in sorted(by_source)}
    return {"benchmarks": benchmarks, "macro": _macro(benchmarks, [estimates[source] for source in benchmarks])}


def _estimates(rows: Sequence[Row]) -> Estimates | None:
    scored = sorted((row for row in rows if not row.search_failed), key=_order)
    if not scored:
        return None
    if len({len(row.answers) for row in scored}) > 1:
        raise ValueError("all meta-episodes of one summary need the same number of attempts")
    return estimate(quantities(scored), "\0".join(sorted({row.source for row in scored})))


def _order(row: Row) -> tuple[Any, ...]:
    return row.source, row.id, row.sample, row.values.tobytes()


def _figures(rows: Sequence[Row], estimates: Estimates | None) -> dict[str, Any]:
    scored = [row for row in rows if not row.search_failed]
    counts = {
        "n": len(scored),
        "questions": len({row.question for row in scored}),
        "search_failed": len(rows) - len(scored),
    }
    if estimates is None:
        return counts | {"exact_match": [], "exact_match_ci": [], "any": None, "any_ci": None}
    right_BN = np.array([row.values[0] for row in scored])
    reasons_BN = [row.stop_reasons for row in scored]
    return {
        **counts,
        **_with_oracle(estimates.figures()),
        "right": right_BN[:, :-1].sum(axis=0).tolist(),
        "wrong": (1 - right_BN[:, :-1]).sum(axis=0).tolist(),
        "stop_reasons": _shares([reason for reasons in reasons_BN for reason in reasons]),
        "stop_reasons_by_attempt": [_shares(reasons) for reasons in zip(*reasons_BN, strict=True)],
        "retrieval_n": sum(bool(np.isfinite(row.values[-1, 0])) for row in scored),
    }


def _with_oracle(figures: dict[str, Any]) -> dict[str, Any]:
    """Puts the figures of the oracle stop together under its label."""
    oracle = {name.removeprefix("oracle_"): figures.pop(name) for name in list(figures) if name.startswith("oracle_")}
    return figures | {"oracle_stop": {"note": ORACLE_NOTE, **oracle}}


def _macro(benchmarks: Mapping[str, Mapping[str, Any]], estimates: Sequence[Estimates | None]) -> dict[str, Any]:
    scored = [estimate for estimate in estimates if estimate]
    sums = {name: sum(figures[name] for figures in benchmarks.values()) for name in ("n", "questions", "search_failed")}
    if not scored:
        return sums | {"benchmarks": 0, "exact_match": [], "exact_match_ci": [], "any": None, "any_ci": None}
    by_attempt = [figures["stop_reasons_by_attempt"] for figures in benchmarks.values() if figures["n"]]
    return {
        **sums,
        "benchmarks": len(scored),
        **_with_oracle(unweighted_mean(scored).figures()),
        "stop_reasons": _mean_shares([figures["stop_reasons"] for figures in benchmarks.values() if figures["n"]]),
        "stop_reasons_by_attempt": [_mean_shares(shares) for shares in zip(*by_attempt, strict=True)],
        "retrieval_n": sum(figures.get("retrieval_n", 0) for figures in benchmarks.values()),
    }


def _shares(values: Sequence[str]) -> dict[str, float]:
    return {name: count / len(values) for name, count in sorted(Counter(values).items())}


def _mean_shares(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = sorted({name for part in parts for name in part})
    return {name: sum(part.get(name, 0.0) for part in parts) / len(parts) for name in names}
