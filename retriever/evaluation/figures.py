"""Recall, MRR and nDCG of ranked passages against gold ones, computed by ir_measures (trec_eval)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from retriever.evaluation.answers import first_answer_rank
from retriever.evaluation.questions import Question
from retriever.limits import check_topk
from retriever.types import Passage

Search = Callable[[Sequence[str], int], list[list[Passage]]]
"""Queries and topk in, one ranked list per query out: `search` of an index or of a `SyncSearcher`."""

_BATCH = 64
_RESAMPLES = 2000


def evaluate(search: Search, questions: Sequence[Question], ks: Sequence[int]) -> dict[str, Any]:
    """Searches every question and measures how well its gold passages, or else its answers, were found.

    A gold title is found by the first passage with that title; further passages of it count as not relevant, so that
    recall@k is the share of the gold titles among the titles of the first k passages.

    Args:
        search: what to evaluate.
        questions: at least one.
        ks: the cutoffs; as many passages as the largest are asked for.

    Returns:
        Over the questions with gold passages `n`, `recall@k` and `ndcg@k` of each k, and `mrr@k` of the largest;
        over the others `answers_n` and `answer_recall@k`, the share of questions with an answer in the first k
        passages. Each figure has its 95 % interval beside it under `_ci95` (percentile bootstrap over questions,
        2,000 resamples, seed 0).

    Raises:
        BadRequest: a k is not from 1 to 1,000.
        RetrieverError: a search failed.
    """
    for k in ks:
        check_topk(k)
    topk = max(ks)
    ranked: list[list[Passage]] = []
    for start in range(0, len(questions), _BATCH):
        ranked += search([question.text for question in questions[start : start + _BATCH]], topk)
    pairs = list(zip(questions, ranked, strict=True))
    with_gold = [pair for pair in pairs if pair[0].gold_ids or pair[0].gold_titles]
    others = [pair for pair in pairs if not (pair[0].gold_ids or pair[0].gold_titles)]
    figures: dict[str, Any] = {}
    if with_gold:
        figures |= {"n": len(with_gold)} | _with_intervals(_gold_values(with_gold, ks))
    if others:
        figures |= {"answers_n": len(others)} | _with_intervals(_answer_values(others, ks))
    return figures


Values = dict[str, npt.NDArray[np.float64]]
"""By the name of a figure, its value for each question."""


def _gold_values(pairs: Sequence[tuple[Question, list[Passage]]], ks: Sequence[int]) -> Values:
    import ir_measures
    from ir_measures import RR, Qrel, R, ScoredDoc, nDCG

    measures = {RR: f"mrr@{max(ks)}"} | {R @ k: f"recall@{k}" for k in ks} | {nDCG @ k: f"ndcg@{k}" for k in ks}
    qrels, run = [], []
    for number, (question, ranked) in enumerate(pairs):
        qrels += [Qrel(str(number), name, 1) for name in question.gold_ids or question.gold_titles]
        run += [ScoredDoc(str(number), name, -rank) for rank, name in enumerate(_names(question, ranked))]
    values = {name: np.zeros(len(pairs)) for name in measures.values()}
    for metric in ir_measures.pytrec_eval.iter_calc(list(measures), qrels, run):
        values[measures[metric.measure]][int(metric.query_id)] = metric.value
    return {name: values[name] for name in sorted(values, key=_order)}


def _names(question: Question, ranked: Sequence[Passage]) -> list[str]:
    """What each passage counts as: its id; or its title, but only once."""
    if question.gold_ids:
        return [passage.id for passage in ranked]
    seen: set[str] = set()
    names = []
    for rank, passage in enumerate(ranked):
        # No title holds a line break, so this is the name of no gold passage.
        names.append(f"\n{rank}" if passage.title in seen else passage.title)
        seen.add(passage.title)
    return names


def _answer_values(pairs: Sequence[tuple[Question, list[Passage]]], ks: Sequence[int]) -> Values:
    ranks = np.array([first_answer_rank(ranked, question.answers) for question, ranked in pairs])
    return {f"answer_recall@{k}": (ranks <= k).astype(np.float64) for k in ks}


def _with_intervals(values: Values) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, value_B in values.items():
        # Sorted, so that the order of the questions does not move the interval.
        value_B = np.sort(value_B)
        picks_RB = np.random.default_rng(0).integers(len(value_B), size=(_RESAMPLES, len(value_B)))
        low, high = np.percentile(value_B[picks_RB].mean(axis=1), [2.5, 97.5])
        figures[name] = float(value_B.mean())
        figures[f"{name}_ci95"] = [float(low), float(high)]
    return figures


def _order(name: str) -> tuple[int, int]:
    kind, _, k = name.partition("@")
    return ("recall", "mrr", "ndcg").index(kind), int(k)
