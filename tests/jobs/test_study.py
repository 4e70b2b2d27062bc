"""The study's plan, its result files and what is made of them; no training here."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrsearch.data.questions import Question
from mrsearch.errors import UserError
from mrsearch.jobs.study import PLAN
from mrsearch.jobs.study.analysis import arms_of, by_seed, curve, difference, estimate, final, matched
from mrsearch.jobs.study.plan import Job, Plan
from mrsearch.jobs.study.report import write_report
from mrsearch.jobs.study.results import (
    Result,
    counts,
    digits,
    is_done,
    read_results,
    result_path,
    scored,
    scored_independently,
    write_result,
)

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan.read(PLAN)


def record(question: str, answers: list[str | None], shown: list[list[str]], sample: int = 0) -> dict[str, Any]:
    """What an evaluation writes, as far as the study reads it; the gold answer is "yes"."""
    passages = [[{"id": name, "title": name} for name in names] for names in shown]
    attempts = [
        {
            "stop_reason": "answered",
            "tokens": 10,
            "model_seconds": 0.0,
            "search_seconds": 0.0,
            "turns": [{"kind": "search", "passages": found}] if found else [],
        }
        for found in passages
    ]
    return {
        "id": question,
        "source": "world",
        "question": f"{question}?",
        "sample": sample,
        "golden_answers": ["yes"],
        "normalised_answers": answers,
        "attempts": attempts,
    }


def question(name: str, gold: list[str]) -> Question:
    return Question(name, f"{name}?", ("yes",), "world", {"gold_passage_ids": gold})


def result(arm: str, seed: int, right: Mapping[str, float], attempts: int = 6, questions: int = 50) -> Result:
    """A made-up result; `right` is the chance of a right answer by test."""
    tests: dict[str, Any] = {}
    for test, chance in right.items():
        rows = RNG.random((attempts, questions)) < chance
        figures = {name: [1.0] * attempts for name in ("searches", "tokens", "coverage")}
        of_questions = dict.fromkeys(("right", "vote", "searched", "found"), digits(rows))
        tests[test] = {**of_questions, "gold": "1" * questions, **figures}
    trained = not arm.startswith("untrained")
    curve = [{"tokens": 100 * step, "reward": [0.1 * step], "searches": [1.0], "entropy": 1.0} for step in range(1, 6)]
    training = {"attempts": 3, "searches": 1, "steps": 5, "tokens": 500, "minutes": 1.0} if trained else None
    return Result(Job("main", arm, seed), "0123", training, curve if trained else [], tests)


def test_plan_names_every_comparison_of_the_main_experiment(plan: Plan) -> None:
    main = plan.experiments["main"]
    assert [main.budget(shape) for shape in ("several", "single", "long")] == [(3, 1), (1, 1), (1, 3)]
    jobs = list(plan.jobs(["main"], 3))
    assert len(jobs) == 6 * 3 + 2, "six trained arms with three seeds, two untrained ones with one"
    assert [job.seed for job in jobs] == sorted(job.seed for job in jobs), "whole seeds first"


def test_plan_with_what_is_not_known_is_refused(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(UserError, match="There is no experiment 'mian'; choose of main"):
        list(plan.jobs(["mian"], 1))
    bad = tmp_path / "plan.yaml"
    for text, sentence in (
        ("a: [", "is no plan of a study"),
        (PLAN.read_text().replace("shape: long", "shap: long"), "unexpected keyword argument 'shap'"),
        (PLAN.read_text().replace("arms: [untrained,", "arms: [untained,"), "names 'untained', which is no arm"),
        (PLAN.read_text().replace("distractors: 1.0", "distractors: 2.0"), "distractors is 2.0"),
    ):
        bad.write_text(text)
        with pytest.raises(UserError, match=sentence):
            Plan.read(bad)


def test_tested_goes_by_the_questions_and_counts_gold_passages_so_far() -> None:
    records = [
        record("b", ["no", "yes"], [["x"], ["g2", "y"]]),
        record("a", ["yes", None], [["g1"], []]),
        record("b", ["no", "yes"], [["x"], ["g2", "y"]]),  # written twice by an interruption
    ]
    figures = scored(records, [question("a", ["g1"]), question("b", ["g2", "g3"])])
    assert figures["right"] == ["10", "01"]
    assert figures["coverage"] == [0.5, 0.75]
    assert figures["searches"] == [1.0, 0.5]
    assert (figures["searched"], figures["found"], figures["gold"]) == (["11", "01"], ["10", "11"], "12")


def test_a_test_that_lost_a_search_is_no_result() -> None:
    lost = record("a", [None], [[]])
    lost["attempts"][0]["stop_reason"] = "search_failed"
    with pytest.raises(ValueError, match="1 meta-episodes lost a search"):
        scored([lost], [question("a", ["g"])])


def test_votes_of_the_first_samples() -> None:
    said = ["no", "yes", "yes", None]
    records = [record("a", [answer], [["g"]], sample) for sample, answer in enumerate(said)]
    figures = scored_independently(reversed(records), [question("a", ["g"])])
    assert figures["right"] == ["0", "1", "1", "0"]
    assert figures["vote"] == ["0", "0", "1", "1"], "of equally common answers the first counts"


def test_result_comes_back_as_written_and_a_broken_one_is_named(tmp_path: Path) -> None:
    one = result("mr_search", 1, {"greedy": 0.5})
    write_result(tmp_path, one)
    assert read_results(tmp_path) == [one]
    path = result_path(tmp_path, one.job)
    assert json.loads(path.read_text())["training"]["steps"] == 5
    path.write_text("{")
    with pytest.raises(UserError, match=r"mr_search-1\.json is no result of a study"):
        read_results(tmp_path)


def test_a_result_of_other_settings_is_not_taken_for_done(tmp_path: Path, plan: Plan) -> None:
    job = Job("main", "mr_search", 0)
    assert plan.fingerprint(job) == plan.fingerprint(Job("main", "mr_search", 1)), "a seed is no setting"
    others = [plan.fingerprint(job, ["mrsearch.token_budget=1"]), plan.smaller(questions=3).fingerprint(job)]
    others += [plan.fingerprint(Job("main", "gamma_0", 0)), plan.fingerprint(Job("deep", "mr_search", 0))]
    assert len({plan.fingerprint(job), *others}) == 5
    assert not is_done(tmp_path, job, plan.fingerprint(job))
    write_result(tmp_path, replace(result("mr_search", 0, {"greedy": 0.5}), settings=plan.fingerprint(job)))
    assert is_done(tmp_path, job, plan.fingerprint(job))
    with pytest.raises(UserError, match=r"mr_search-0\.json was made with another plan or other settings"):
        is_done(tmp_path, job, others[0])


def test_counts_and_digits_are_each_others_reverse() -> None:
    rows = RNG.integers(0, 10, (3, 20))
    assert (counts(digits(rows)) == rows).all()
    assert digits([[12, 0]]) == ["90"]


def test_interval_holds_the_mean_and_narrows_with_questions() -> None:
    few, many = (estimate((RNG.random((3, n)) < 0.5).astype(float)) for n in (50, 5000))
    for found in (few, many):
        assert found.low < found.value < found.high
    assert many.high - many.low < (few.high - few.low) / 3


def test_seeds_that_disagree_widen_the_interval_that_questions_alone_would_give() -> None:
    alike = np.tile(RNG.random(400) < 0.5, (3, 1)).astype(float)
    apart = np.stack([np.full(400, x) for x in (0.0, 0.5, 1.0)])
    assert estimate(apart).high - estimate(apart).low > 3 * (estimate(alike).high - estimate(alike).low)


def test_difference_is_paired_by_question_and_seed() -> None:
    a = (RNG.random((3, 300)) < 0.5).astype(float)
    same = difference(a, a)
    assert (same.value, same.low, same.high) == (0, 0, 0) and not same.is_apart_from_zero
    assert difference(a, a[:1] * 0).value == pytest.approx(a.mean()), "one seed stands beside every other"
    assert by_seed(a, a * 0) == pytest.approx(a.mean(axis=1).tolist())


def test_arms_are_matched_by_seed(plan: Plan) -> None:
    results = [result("mr_search", seed, {"greedy": 0.5}) for seed in (1, 0)]
    results += [result("long", seed, {"greedy": 0.5}) for seed in (2, 1)]
    arms = {arm.name: arm for arm in arms_of(plan, "main", [*results, result("untrained", 0, {"greedy": 0.5})])}
    ours, long = matched(arms["mr_search"], arms["long"])
    assert [r.job.seed for r in (*ours.results, *long.results)] == [1, 1]
    ours, untrained = matched(arms["mr_search"], arms["untrained"])
    assert [r.job.seed for r in (*ours.results, *untrained.results)] == [0, 1, 0], "one seed stands beside every other"


def test_final_is_the_attempt_with_which_training_ends(plan: Plan) -> None:
    results = [result(arm, 0, {"greedy": 0.5}) for arm in ("mr_search", "long")]
    arms = {arm.name: arm for arm in arms_of(plan, "main", results)}
    assert (final(arms["mr_search"], plan.experiments["main"], "greedy") == arms["mr_search"].right("greedy", 3)).all()
    assert (final(arms["long"], plan.experiments["main"], "greedy") == arms["long"].right("greedy", 1)).all()


def test_curve_is_interpolated_over_tokens() -> None:
    points = np.array([100.0, 250.0, 500.0])
    assert curve(result("long", 0, {"greedy": 1}), points) == pytest.approx([0.1, 0.25, 0.5])


def test_report_has_every_arm_and_difference(tmp_path: Path, plan: Plan) -> None:
    chances = {"greedy": 0.6, "sampled": 0.5}
    for arm in ("untrained", "mr_search", "long", "single"):
        alone = {"independent": 0.4} if arm != "mr_search" else {}
        for seed in range(1 if arm == "untrained" else 3):
            write_result(tmp_path, result(arm, seed, chances | alone))
    text = write_report(plan, tmp_path).read_text()
    for part in (
        "## main",
        "50 held-out questions",
        "best of 3 (oracle)",
        "`mr_search` minus each, last",
        "`mr_search` minus each, first",
    ):
        assert part in text
    rows = [line for line in text.splitlines() if line.startswith("| `long` | 3 |")]
    assert len(rows) == 2, "greedy and sampled"
    for name in ("main_attempts", "main_curves", "differences"):
        assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_report_tells_questions_of_one_hop_from_those_of_two(tmp_path: Path, plan: Plan) -> None:
    half, figures = "0" * 25 + "1" * 25, result("long", 0, {"greedy": 1, "sampled": 1, "independent": 1}).tests
    for arm, right in (("mr_search", "1" * 50), ("long", half)):
        greedy = {**figures["greedy"], "right": [right] * 3, "gold": "2" * 25 + "1" * 25}
        write_result(tmp_path, replace(result(arm, 0, {}), tests={**figures, "greedy": greedy}))
    text = write_report(plan, tmp_path).read_text()
    rows = text.partition("last attempt by hops")[2].splitlines()
    assert rows[2].startswith("| arm | greedy, 1 hop | greedy, 2 hops | temperature 1, 1 hop |")
    assert rows[4].startswith("| `long` | +0.000 (+0.000 to +0.000) | +1.000 (+1.000 to +1.000) | +0.000 ")


def test_nothing_to_report_is_one_sentence(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(UserError, match="holds no result yet"):
        write_report(plan, tmp_path)
