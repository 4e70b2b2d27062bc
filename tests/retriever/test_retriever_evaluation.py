"""Retrieval quality: figures by hand on the sample, and the known ones on real questions."""

import gzip
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from retriever.commands.evaluate import evaluate as command
from retriever.errors import BadQuestions, BadRequest
from retriever.evaluation import Question, evaluate, read_questions
from retriever.evaluation.answers import first_answer_rank
from retriever.indexes.bm25 import Bm25Index, build_index
from retriever.types import Passage


def write_lines(path: Path, records: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def figures_of(index: Bm25Index, questions: Sequence[Question], ks: Sequence[int]) -> dict[str, Any]:
    return {name: value for name, value in evaluate(index.search, questions, ks).items() if not name.endswith("_ci95")}


def test_recall_mrr_and_ndcg_of_gold_titles(index: Bm25Index) -> None:
    # The ranking of "wolf" is Wolf, Dog; that of "fox" is Red fox alone.
    questions = [Question("wolf", gold_titles=("Dog", "Paris")), Question("fox", gold_titles=("Red fox",))]
    ideal = 1 + 1 / math.log2(3)
    assert figures_of(index, questions, [1, 3]) == {
        "n": 2,
        "recall@1": pytest.approx((0 + 1) / 2),
        "recall@3": pytest.approx((1 / 2 + 1) / 2),
        "mrr@3": pytest.approx((1 / 2 + 1) / 2),
        "ndcg@1": pytest.approx((0 + 1) / 2),
        "ndcg@3": pytest.approx((1 / math.log2(3) / ideal + 1) / 2),
    }


def test_a_second_passage_of_a_gold_title_finds_nothing_more_but_takes_a_place(index: Bm25Index) -> None:
    [ranked] = index.search(["identical twin deer"], 3)
    assert [passage.id for passage in ranked] == ["twin-a", "twin-b", "wolf"]
    question = Question("identical twin deer", gold_titles=("Twin", "Wolf"))
    figures = figures_of(index, [question], [1, 2, 3])
    assert [figures[f"recall@{k}"] for k in (1, 2, 3)] == [0.5, 0.5, 1.0]


def test_gold_passages_by_id(index: Bm25Index) -> None:
    figures = figures_of(index, [Question("identical twin", gold_ids=("twin-b",))], [1, 2])
    assert (figures["recall@1"], figures["recall@2"], figures["mrr@2"]) == (0.0, 1.0, 0.5)


def test_a_question_that_finds_nothing_counts(index: Bm25Index) -> None:
    questions = [Question("zebra", gold_titles=("Wolf",)), Question("wolf", gold_titles=("Wolf",))]
    figures = figures_of(index, questions, [3])
    assert (figures["n"], figures["recall@3"], figures["mrr@3"], figures["ndcg@3"]) == (2, 0.5, 0.5, 0.5)


def test_questions_without_gold_passages_are_measured_by_their_answers_apart(index: Bm25Index) -> None:
    questions = [
        Question("wolf", answers=("a DOMESTICATED descendant",)),
        Question("wolf", answers=("sheep", "the northern forests")),
        Question("fox", answers=("sheep",)),
        Question("fox", gold_titles=("Red fox",), answers=("nothing",)),
    ]
    figures = figures_of(index, questions, [1, 2])
    assert {name: figures[name] for name in figures if "answer" in name} == {
        "answers_n": 3,
        "answer_recall@1": pytest.approx(1 / 3),
        "answer_recall@2": pytest.approx(2 / 3),
    }
    assert (figures["n"], figures["recall@2"]) == (1, 1.0)


@pytest.mark.parametrize(
    ("answers", "rank"),
    [
        (["emile zola"], 1),
        (["Germinal!"], 2),
        (["germ"], math.inf),
        (["coal mine"], math.inf),
        (["the novel about the coal-miners"], 2),
        (["the", "!"], math.inf),
        (["sheep", "miners"], 2),
    ],
)
def test_answers_are_whole_words_without_case_accents_and_articles(answers: list[str], rank: float) -> None:
    ranked = [
        Passage("1", "Émile Zola", "was a writer", 2.0),
        Passage("2", "Novels", "Germinal, a novel about coal miners", 1.0),
    ]
    assert first_answer_rank(ranked, answers) == rank


def test_intervals_hold_the_mean_and_do_not_depend_on_the_order(index: Bm25Index) -> None:
    questions = [Question("wolf", gold_titles=("Wolf",)), Question("zebra", gold_titles=("Wolf",))] * 25
    figures = evaluate(index.search, questions, [3])
    low, high = figures["recall@3_ci95"]
    assert figures["recall@3"] == 0.5
    # Half of the questions find theirs, so the standard error of 50 is 0.071.
    assert (low, high) == (pytest.approx(0.5 - 1.96 * 0.071, abs=0.02), pytest.approx(0.5 + 1.96 * 0.071, abs=0.02))
    random.Random(0).shuffle(questions)
    assert evaluate(index.search, questions, [3]) == figures


def test_a_cutoff_out_of_range_is_refused(index: Bm25Index) -> None:
    with pytest.raises(BadRequest, match="topk must be a whole number from 1 to 1000, found 0"):
        evaluate(index.search, [Question("fox", gold_titles=("Dog",))], [0, 3])


def test_reads_every_form_of_gold(tmp_path: Path) -> None:
    records = [
        {"question": "one", "metadata": {"supporting_facts": {"title": ["A", "B", "A"], "sent_id": [0, 1, 2]}}},
        {"question": "two", "gold_ids": ["7", "8"], "golden_answers": ["yes"]},
        {"question": "three", "golden_ids": ["9"], "metadata": {}},
        {"question": "four", "golden_answers": ["no"], "metadata": None},
    ]
    expected = [
        Question("one", gold_titles=("A", "B")),
        Question("two", gold_ids=("7", "8"), answers=("yes",)),
        Question("three", gold_ids=("9",)),
        Question("four", answers=("no",)),
    ]
    path = write_lines(tmp_path / "questions.jsonl", records)
    assert read_questions(path) == expected
    zipped = tmp_path / "questions.jsonl.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes() + b"\n\n"))
    assert read_questions(zipped) == expected


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 2: not a line of JSON"),
        ('"text"', "line 2: must be a JSON object, found str"),
        ('{"question": 3}', 'line 2: field "question" must be a string that is not empty, found 3'),
        ('{"question": " "}', 'line 2: field "question" must be a string that is not empty, found " "'),
        ('{"question": "q"}', "line 2: nothing tells a good passage from a bad one; give "),
        ('{"question": "q", "gold_ids": "7"}', 'line 2: field "gold_ids" must be a list of strings'),
        ('{"question": "q", "golden_answers": [3]}', r'field "golden_answers" must be a list .*, found \[3\]'),
        ('{"question": "q", "metadata": []}', 'line 2: field "metadata" must be an object, found'),
        (
            '{"question": "q", "metadata": {"supporting_facts": 1}}',
            'field "metadata.supporting_facts" must be an object',
        ),
        (
            '{"question": "q", "metadata": {"supporting_facts": {"title": "T"}}}',
            'field "metadata.supporting_facts.title" must be a list of strings that are not empty, found "T"',
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "q", "gold_ids": ["1"]}\n' + line + "\n")
    with pytest.raises(BadQuestions, match=sentence):
        read_questions(path)


def test_bad_files_of_questions_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadQuestions, match=r"none\.jsonl is not a file"):
        read_questions(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(BadQuestions, match="holds no questions"):
        read_questions(tmp_path / "empty.jsonl")
    (tmp_path / "broken.jsonl.gz").write_bytes(gzip.compress(b'{"question": "q", "gold_ids": ["1"]}\n')[:-10])
    with pytest.raises(BadQuestions, match=r"broken\.jsonl\.gz cannot be read"):
        read_questions(tmp_path / "broken.jsonl.gz")


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command("eval")(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    gold = {"question": "wolf", "metadata": {"supporting_facts": {"title": ["Wolf", "Paris"]}}}
    return write_lines(tmp_path / "questions.jsonl", [gold, {"question": "fox", "golden_answers": ["sheep"]}])


def test_the_command_as_json(index_folder: Path, questions: Path) -> None:
    found = json.loads(run(index_folder, "--questions", questions, "--k", "3,1", "--json").stdout)
    assert (found["target"], found["ks"]) == (str(index_folder), [1, 3])
    [figures] = found["results"]
    assert (figures["questions"], figures["n"], figures["recall@3"]) == (str(questions), 1, 0.5)
    assert (figures["answers_n"], figures["answer_recall@3"], figures["recall@3_ci95"]) == (1, 0.0, [0.5, 0.5])


def test_the_command_for_people(index_folder: Path, questions: Path) -> None:
    shown = run(index_folder, "--questions", questions, "--questions", questions).stdout
    assert shown.count("recall@10") == 4
    assert "0.500" in shown
    assert "0.500 to 0.500" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--k", "three"), '--k must be whole numbers with commas between them, such as 3,10; found "three".'),
        (("--k", "0"), "topk must be a whole number from 1 to 1000, found 0."),
        (("--questions", "none.jsonl"), "none.jsonl is not a file"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_status_1(
    index_folder: Path, questions: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    result = run(index_folder, "--questions", questions, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(sentence)
    assert run("nowhere", "--questions", questions).exit_code == 1


@pytest.mark.slow
def test_bm25_on_real_questions(tmp_path: Path, shared_qa: Path) -> None:
    build_index(shared_qa / "corpus" / "wiki_mini.jsonl", tmp_path / "index", k1=0.9, b=0.4)
    index = Bm25Index.open(tmp_path / "index")
    for name, at_3, at_10 in (("hotpotqa", 0.665, 0.835), ("musique", 0.448, 0.567)):
        figures = evaluate(index.search, read_questions(shared_qa / "questions" / f"{name}.jsonl"), [3, 10])
        assert figures["n"] == 100
        assert (figures["recall@3"], figures["recall@10"]) == (
            pytest.approx(at_3, abs=6e-4),
            pytest.approx(at_10, abs=6e-4),
        )
    index.close()
