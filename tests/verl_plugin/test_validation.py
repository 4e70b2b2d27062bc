"""Figures of a validation during training."""

from typing import Any

from mrsearch.verl_plugin.validation import validation_metrics

RIGHT, WRONG = "gold", "lead"


def record(answers: list[str], question: str = "1", *, source: str = "nq", member: int = 0) -> dict[str, Any]:
    attempt = {"stop_reason": "answered", "turns": [], "tokens": 5, "model_seconds": 2.0, "search_seconds": 0.5}
    return {
        "id": question,
        "source": source,
        "member": member,
        "golden_answers": [RIGHT],
        "question": "Which?",
        "normalised_answers": answers,
        "attempts": [attempt] * len(answers),
    }


def test_figures_are_named_by_source_and_attempt() -> None:
    figures = validation_metrics([record([WRONG, RIGHT]), record([WRONG, WRONG], source="popqa")])
    assert (figures["val/nq/exact_match/attempt_1"], figures["val/nq/exact_match/attempt_2"]) == (0.0, 1.0)
    assert (figures["val/nq/any"], figures["val/popqa/any"]) == (1.0, 0.0)
    assert figures["val/nq/n"] == 1.0
    assert figures["val/nq/oracle_stop/attempts"] == 2.0
    assert not [name for name in figures if "_ci" in name], "an interval is no figure of an attempt"


def test_a_meta_episode_recorded_twice_counts_as_recorded_last() -> None:
    first = [record([WRONG]), record([WRONG], member=1)]
    figures = validation_metrics([*first, record([RIGHT])])
    assert (figures["val/nq/n"], figures["val/nq/questions"]) == (2.0, 1.0)
    assert figures["val/nq/exact_match/attempt_1"] == 0.5


def test_an_attempt_on_which_nothing_counts_leaves_the_others_theirs() -> None:
    figures = validation_metrics([record([RIGHT, WRONG, RIGHT])])
    assert "val/nq/improved_of_wrong/attempt_1" not in figures, "nothing was wrong"
    assert figures["val/nq/improved_of_wrong/attempt_2"] == 1.0
    assert figures["val/nq/harmed_of_right/attempt_1"] == 1.0
