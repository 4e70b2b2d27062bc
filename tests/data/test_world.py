"""The synthetic world: determinism, splits, answerability, retrieval, refusals."""

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mrsearch.data import World, WorldParameters, make_world, read_questions, write_world
from mrsearch.data.cli import app
from mrsearch.data.world import SPLITS, Fact, Person, parse_fact, parse_person
from mrsearch.data.world.names import EMPLOYERS, FIRST_NAMES, LAST_NAMES, OCCUPATIONS, RELATIONS, TOWNS
from mrsearch.errors import UserError
from retriever.indexes.bm25 import Bm25Index

SMALL = WorldParameters(names=200, warm_start_questions=150, train_questions=90, test_questions=60, distractors=0.5)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names_in(world: World, split: str) -> set[str]:
    """The name combinations that a split's questions and their chains are about."""
    names = set()
    for question in world.questions[split]:
        for step in question.metadata["chain"]:
            people = (parse_person(step["subject"]), parse_person(step["value"]))
            names |= {person.name for person in people if person}
    return names


def test_words_are_distinct() -> None:
    words = [*FIRST_NAMES, *LAST_NAMES, *TOWNS, *EMPLOYERS, *OCCUPATIONS, *RELATIONS]
    assert len(words) == len({word.lower() for word in words}) == 100 + 100 + 80 + 80 + 16 + 6


def test_same_seed_same_files(small_folder: Path, tmp_path: Path) -> None:
    write_world(make_world(SMALL, seed=3), tmp_path / "again")
    write_world(make_world(SMALL, seed=4), tmp_path / "other")
    assert contents(tmp_path / "again") == contents(small_folder)
    assert contents(tmp_path / "other")["corpus.jsonl"] != contents(small_folder)["corpus.jsonl"]


def test_files_of_a_world(small_world: World, small_folder: Path) -> None:
    questions = {"warm_start.jsonl", "train.jsonl", "test.jsonl", "train.parquet", "test.parquet"}
    assert set(contents(small_folder)) == {"corpus.jsonl", "world.json"} | questions
    about = json.loads((small_folder / "world.json").read_text())
    assert about["seed"] == 3
    assert about["parameters"] == asdict(SMALL) | {"hops": [1.0, 1.0, 1.0]}
    assert about["counts"] == small_world.counts
    for split in SPLITS:
        assert read_questions(small_folder / f"{split}.jsonl") == small_world.questions[split]
    for split in ("train", "test"):
        assert read_questions(small_folder / f"{split}.parquet") == small_world.questions[split]
    passages = [json.loads(line) for line in (small_folder / "corpus.jsonl").read_text().splitlines()]
    assert [p["id"] for p in passages] == list(small_world.passages)
    fact = small_world.passages["0"]
    assert passages[0]["contents"] == f'"{fact.subject.name}"\n{fact.text}'


def test_the_default_world_has_its_size() -> None:
    counts = make_world(WorldParameters(), seed=0).counts
    assert counts["passages"] == 58_366
    assert [counts[f"{split}_questions"] for split in SPLITS] == [12_000, 6_000, 600]


def test_splits_share_no_names(small_world: World) -> None:
    warm_start, train, test = (names_in(small_world, split) for split in SPLITS)
    assert warm_start and train and test
    assert not warm_start & train and not warm_start & test and not train & test


def test_hops_in_equal_parts_and_questions_once(small_world: World) -> None:
    for split, each in (("warm_start", 50), ("train", 30), ("test", 20)):
        questions = small_world.questions[split]
        assert Counter(q.metadata["hops"] for q in questions) == {1: each, 2: each, 3: each}
        assert len({q.question for q in questions}) == len({q.id for q in questions}) == 3 * each


def test_gold_passages_lead_from_the_question_to_the_answer(small_world: World) -> None:
    for split in SPLITS:
        for question in small_world.questions[split]:
            follow(small_world, question.question, question.metadata, question.golden_answers)


def follow(world: World, question: str, metadata: dict[str, Any], answers: tuple[str, ...]) -> None:
    """Reads the question, then only its gold passages' texts."""
    relations, _, start = question.removesuffix("?").partition(" is the ")[2].rpartition(" of ")
    value: Person | str | None = parse_person(start)
    met = {value}
    for relation, number in zip(reversed(relations.split(" of the ")), metadata["gold_passage_ids"], strict=True):
        fact = parse_fact(world.passages[number].text)
        assert fact is not None and not fact.denied
        assert (fact.subject, fact.relation) == (value, relation)
        value = fact.value
        assert value not in met
        met.add(value)
    assert (str(value),) == answers


def test_namesakes_differ_by_occupation_and_spouses_agree(small_world: World) -> None:
    people = [person for split in SPLITS for person in small_world.persons[split]]
    assert len(set(people)) == len(people)
    assert set(Counter(person.name for person in people).values()) == {1, 2, 3, 4}
    spouses = {f.subject: f.value for f in small_world.passages.values() if f.relation == "spouse" and not f.denied}
    assert all(spouses[other] == one for one, other in spouses.items() if isinstance(other, Person))


def test_facts_read_back() -> None:
    ada, bo = Person("Ada", "Berg", "baker"), Person("Bo", "Dal", "monk")
    for fact in (Fact(ada, "mentor", bo), Fact(ada, "home", "Elm"), Fact(ada, "rival", bo, denied=True)):
        assert parse_fact(fact.text) == fact
    assert Fact(ada, "mentor", bo).text == "Ada Berg the baker has mentor Bo Dal the monk."
    assert Fact(ada, "home", "Elm", denied=True).text == "Ada Berg the baker has no home like Elm."
    assert parse_fact("It rains.") is None and parse_person("Ada Berg") is None


def test_full_queries_always_hit_and_lazy_ones_miss(small_world: World, small_index: Bm25Index) -> None:
    """Every true fact is first for its full query, misleading passages beside it or not."""
    facts = {number: fact for number, fact in small_world.passages.items() if not fact.denied}
    rankings = small_index.search([fact.full_query for fact in facts.values()], 2)
    assert [ranking[0].id for ranking in rankings] == list(facts)
    lazy = small_index.search([f"{fact.relation} {fact.subject.name}" for fact in facts.values()], 2)
    hits = sum(number in {p.id for p in ranking} for number, ranking in zip(facts, lazy, strict=True))
    assert 0.3 < hits / len(facts) < 0.8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": 10_001}, "names is 10001; it must be a whole number from 10 to 10000."),
        ({"first_names": 5, "last_names": 5}, "names is 200, but 5 first and 5 last names make only 25"),
        ({"occupations": 4}, "max_namesakes is 4; it must be at most half of occupations (4)"),
        ({"distractors": 1.5}, "distractors is 1.5; it must be a number from 0 to 1."),
        ({"hops": (0, 0, 0)}, "hops is (0, 0, 0); it must be three shares, none negative, not all zero."),
        ({"train_share": 0.6}, "warm_start_share and train_share add up to more than 1"),
        ({"test_questions": True}, "test_questions is True; it must be a whole number from 0 to 1000000."),
    ],
)
def test_refuses_parameters(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refusal:
        replace(SMALL, **change)
    assert str(refusal.value).startswith(message)


def test_refuses_more_questions_than_there_are() -> None:
    parameters = replace(SMALL, names=20, warm_start_questions=9, train_questions=9, test_questions=900)
    message = r"test_questions is 900, but the \d+ persons of this split do not allow 300 .* lower it, or raise names\."
    with pytest.raises(UserError, match=message):
        make_world(parameters, seed=0)


def test_replaces_a_world_and_nothing_else(small_world: World, tmp_path: Path) -> None:
    other = tmp_path / "mine"
    other.mkdir()
    (other / "notes.txt").write_text("keep me")
    with pytest.raises(UserError, match="holds files that are not a world's"):
        write_world(small_world, other)
    with pytest.raises(UserError, match="is a file; give the path of a folder"):
        write_world(small_world, other / "notes.txt")
    assert contents(other) == {"notes.txt": b"keep me"}
    write_world(small_world, tmp_path / "world")
    (tmp_path / "world" / "corpus.jsonl").write_text("stale")
    write_world(small_world, tmp_path / "world")
    assert len((tmp_path / "world" / "corpus.jsonl").read_text().splitlines()) == len(small_world.passages)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "world"]


def test_the_command_writes_and_counts(tmp_path: Path) -> None:
    sizes = ["--names", "100", "--warm-start-questions", "9", "--train-questions", "6", "--test-questions", "3"]
    command = ["world", "--out", str(tmp_path / "w"), "--seed", "5", "--hops", "1", "1", "0", *sizes]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    about = json.loads((tmp_path / "w" / "world.json").read_text())
    assert (about["seed"], about["parameters"]["names"], about["parameters"]["hops"]) == (5, 100, [1.0, 1.0, 0.0])
    assert f"{about['counts']['passages']:,}" in result.output
