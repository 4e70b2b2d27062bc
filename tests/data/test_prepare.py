"""Question sets made ready: what comes out, that nothing is lost, and what is refused."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from mrsearch.data import Question, read_questions
from mrsearch.data.benchmarks import ASEARCHER, BENCHMARKS, FLASHRAG, find_benchmark
from mrsearch.data.cli import app
from mrsearch.data.parquet import read_provenance
from mrsearch.data.prepare import prepare
from mrsearch.data.questions import gold_titles
from mrsearch.errors import UserError
from mrsearch.files import sha256

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GOOD = {"question": "Who?", "golden_answers": ["Ada"]}


def write(path: Path, *rows: Mapping[str, Any] | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def made(names: Sequence[str], origin: Path | str | None, out: Path, split: str = "eval") -> list[Path]:
    return [file.path for file in prepare(names, origin and str(origin), out, split)]


def test_all_eight_benchmarks_come_back_as_they_were(shared_qa: Path, tmp_path: Path) -> None:
    given = shared_qa / "questions"
    out = tmp_path / "out"
    arguments = ["prepare", *BENCHMARKS, "--from", str(given), "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    counts = {"nq": 500, "triviaqa": 500, "popqa": 500, "hotpotqa": 100, "2wikimultihopqa": 500, "musique": 100}
    counts |= {"bamboogle": 125, "asearcher": 1399}
    for name, count in counts.items():
        original = next(path for path in given.iterdir() if path.stem == name)
        path = find_benchmark(out, name)
        questions = read_questions(path)
        assert path == out / f"{name}.parquet"
        assert questions == read_questions(original)
        assert {question.source for question in questions} == {name}
        provenance = read_provenance(path)
        assert provenance is not None
        assert (provenance["set"], provenance["questions"]) == (name, count)
        assert provenance["sources"] == [{"file": str(original), "sha256": sha256(original)}]
        assert provenance["with_gold_passages"] == (100 if name in ("hotpotqa", "musique") else 0)
        assert f"{count:,}" in result.output
    assert sorted(path.name for path in out.iterdir()) == sorted(f"{name}.parquet" for name in counts)


def test_the_same_questions_make_the_same_file(tmp_path: Path) -> None:
    given = write(tmp_path / "own.jsonl", GOOD, GOOD | {"metadata": {"b": 1.5, "a": None}})
    [first], [second] = made([str(given)], None, tmp_path / "a"), made([str(given)], None, tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


def test_a_question_asked_twice_is_two_occurrences(tmp_path: Path) -> None:
    [path] = made([str(write(tmp_path / "own.jsonl", GOOD, GOOD))], None, tmp_path / "out")
    assert [(question.id, question.question) for question in read_questions(path)] == [("1", "Who?"), ("2", "Who?")]
    provenance = read_provenance(path)
    assert provenance is not None
    assert provenance["duplicates"] == 1


def test_the_joint_set_has_both_and_an_id_for_each(tmp_path: Path) -> None:
    write(tmp_path / "nq" / "train.jsonl", GOOD | {"id": "train_0"}, GOOD | {"id": "train_1"})
    write(tmp_path / "hotpotqa.train.jsonl", GOOD | {"id": "train_0"})
    [path] = made(["nq_hotpotqa"], tmp_path, tmp_path / "out")
    assert path.name == "nq_hotpotqa.train.parquet"
    assert [(question.id, question.source) for question in read_questions(path)] == [
        ("nq:train_0", "nq"),
        ("nq:train_1", "nq"),
        ("hotpotqa:train_0", "hotpotqa"),
    ]
    extra = pq.read_table(path)["extra_info"].to_pylist()
    assert [(row["index"], row["split"]) for row in extra] == [(0, "train"), (1, "train"), (2, "train")]


def test_splits_have_files_of_their_own(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        write(tmp_path / "nq" / f"{split}.jsonl", GOOD | {"id": split})
    names = {split: made(["nq"], tmp_path, tmp_path / "out", split)[0].name for split in ("train", "dev", "eval")}
    assert names == {"train": "nq.train.parquet", "dev": "nq.dev.parquet", "eval": "nq.parquet"}
    assert read_questions(tmp_path / "out" / "nq.parquet")[0].id == "test"
    assert (read_provenance(tmp_path / "out" / "nq.parquet") or {})["split"] == "test"


def test_more_questions_than_are_held_at_once(tmp_path: Path) -> None:
    given = write(tmp_path / "own.jsonl", *(GOOD | {"question": f"{number}?"} for number in range(9_000)))
    [path] = made([str(given)], None, tmp_path / "out")
    assert read_questions(path) == read_questions(given)
    assert [row["index"] for row in pq.read_table(path)["extra_info"].to_pylist()] == list(range(9_000))


def test_gold_titles_stay_and_the_paragraphs_of_others_go(tmp_path: Path) -> None:
    facts = {"title": ["A", "B", "A"], "sent_id": [0, 1, 2]}
    context = {"title": ["A", "X"], "sentences": [["long"], ["text"]]}
    write(tmp_path / "hotpotqa.jsonl", GOOD | {"metadata": {"supporting_facts": facts, "context": context}})
    [path] = made(["hotpotqa"], tmp_path, tmp_path / "out")
    [question] = read_questions(path)
    assert question.metadata == {"supporting_facts": facts}
    assert gold_titles(question) == ("A", "B")


@pytest.mark.parametrize("facts", [None, [], ["A"], {"title": []}, {"title": "A"}, {"title": [1]}, {"titles": ["A"]}])
def test_gold_titles_are_not_guessed(facts: Any) -> None:
    assert gold_titles(Question("1", "Who?", ("Ada",), "own", {"supporting_facts": facts})) is None


def test_csv_answers_stand_alone_in_a_list_or_between_bars(tmp_path: Path) -> None:
    given = tmp_path / "own.csv"
    given.write_bytes(
        b"\xef\xbb\xbfid,question,golden_answers,note\r\n"
        b'a,Who?,Ada | Ida,x\r\n\r\n,"Where,\nthen?","[""Rome"", ""R|ma""]",\r\nc,When?,1999,\r\n'
    )
    [path] = made([str(given)], None, tmp_path / "out")
    assert read_questions(path) == [
        Question("a", "Who?", ("Ada", "Ida"), "own"),
        Question("5", "Where,\nthen?", ("Rome", "R|ma"), "own"),
        Question("c", "When?", ("1999",), "own"),
    ]


def test_asearchers_own_form_is_read(tmp_path: Path) -> None:
    row = {"qid": 7, "question": "Who?", "answer": ["Ada"], "aug_answer": ["Ada", "Ida"], "source": "synthetic"}
    write(tmp_path / "asearcher.jsonl", row, {"question": "When?", "answer": "1999"})
    [path] = made(["asearcher"], tmp_path, tmp_path / "out")
    assert read_questions(path) == [
        Question("7", "Who?", ("Ada", "Ida"), "asearcher"),
        Question("2", "When?", ("1999",), "asearcher"),
    ]


def test_the_split_of_asearcher_is_its_authors(shared_qa: Path, tmp_path: Path) -> None:
    published = shared_qa / "questions" / "asearcher.parquet"
    pool = [{"extra_info": {"question": f"Filler {n}", "ground_truth": "none"}} for n in range(13_985)]
    for row in pq.read_table(published, columns=["raw_id", "raw_question", "raw_ground_truth"]).to_pylist():
        pool[row["raw_id"]]["extra_info"] = {
            "id": "left out",
            "question": row["raw_question"],
            "ground_truth": row["raw_ground_truth"],
        }
    (tmp_path / "ASearcher_en_nomath_rejectsample.json").write_text(json.dumps(pool))
    [test] = made(["asearcher"], tmp_path, tmp_path / "out")
    [train] = made(["asearcher"], tmp_path, tmp_path / "out", "train")
    assert read_questions(test) == read_questions(published)
    rest = read_questions(train)
    assert (len(rest), rest[0].id) == (12_586, "train_0")
    assert {question.question[:7] for question in rest} == {"Filler "}


def cached(hub: Path, repo: str, files: Mapping[str, str]) -> None:
    """A repository in the hub's cache, as its library lays it out."""
    repository = hub / f"datasets--{repo.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for name, content in files.items():
        write(repository / "snapshots" / COMMIT / name, content)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no way to the hub."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_takes_sets_from_the_hubs_cache(hub: Path, tmp_path: Path) -> None:
    cached(hub, FLASHRAG, {"nq/test.jsonl": json.dumps(GOOD), "2wikimultihopqa/dev.jsonl": json.dumps(GOOD)})
    pool = [{"extra_info": {"question": "Who", "ground_truth": "Ada"}}]
    cached(hub, ASEARCHER, {"ASearcher_en_nomath_rejectsample.json": json.dumps(pool)})
    paths = made(["nq", "2wiki", "asearcher"], "hub", tmp_path / "out")
    assert [path.name for path in paths] == ["nq.parquet", "2wikimultihopqa.parquet", "asearcher.parquet"]
    assert read_questions(paths[0]) == [Question("1", "Who?", ("Ada",), "nq")]
    assert read_questions(paths[2]) == [Question("test_0", "Who?", ("Ada",), "asearcher")]
    [origin] = (read_provenance(paths[1]) or {})["sources"]
    assert (origin["hub"], origin["revision"]) == (FLASHRAG, COMMIT)
    assert origin["file"].endswith("2wikimultihopqa/dev.jsonl")


def test_without_hub_and_cache_one_sentence_says_so(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        made(["musique"], "hub", tmp_path / "out")
    assert str(refusal.value) == (
        f"musique/dev.jsonl of the dataset {FLASHRAG} cannot be loaded from the Hugging Face Hub: it is not in the "
        "local cache and the hub cannot be reached; connect to it, or give the folder of a copy with --from DIR."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("nq.jsonl", '{"question": " ", "golden_answers": ["a"]}', 'line 2: question is " "; it must be a string'),
        ("nq.jsonl", '{"question": "q", "golden_answers": []}', "line 2: golden_answers is []; it must be a list"),
        ("nq.jsonl", '{"question": "q"}', "line 2: golden_answers is missing; it must be a list of at least one"),
        ("nq.jsonl", '{"question": "q", "golden_answers": ["a", ""]}', 'line 2: golden_answers is ["a", ""]; it must'),
        ("nq.jsonl", '{"question": 3, "golden_answers": ["a"]}', "line 2: question is 3; it must be a string"),
        ("nq.jsonl", '{"id": "1", "question": "q", "golden_answers": ["a"]}', "line 2: id '1' is the id of line 1 too"),
        ("nq.jsonl", '{"question": "q", "gold', "line 2: broken JSON (Unterminated string"),
        ("nq.jsonl", '{"question": "\\ud800", "golden_answers": ["a"]}', "line 2: broken JSON (half of a surrogate"),
        ("nq.jsonl", "[" * 100_000, "line 2: broken JSON (it is nested too deeply)"),
        ("own.csv", '"q"x,a', "line 2: broken CSV (',' expected after '\"'); check its double quotes."),
        ("own.csv", '"q,a', "line 2: broken CSV (unexpected end of data)"),
        ("own.csv", "q,a,b", "line 2: the row has 3 cells, but there are 2 columns"),
        ("own.csv", "q,", "line 2: golden_answers is []; it must be a list of at least one string"),
        ("own.csv", ",a", "line 2: question is missing; it must be a string that is not empty."),
        ("own.csv", "q,[a]", "line 2: golden_answers is no JSON list; it must be a list such as"),
        ("own.csv", "q,a||b", 'line 2: golden_answers is ["a", "", "b"]; it must be a list'),
    ],
)
def test_bad_rows_are_refused_by_file_and_line(tmp_path: Path, file: str, content: str, message: str) -> None:
    first = "question,golden_answers" if file == "own.csv" else json.dumps(GOOD)
    path = write(tmp_path / file, first, content)
    with pytest.raises(UserError) as refusal:
        made(["nq" if file == "nq.jsonl" else str(path)], tmp_path, tmp_path / "out")
    assert str(refusal.value).startswith(f"{path}, {message}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("question,answer", "has no column 'golden_answers' (its first line names 'question', 'answer'); it needs"),
        ("question;golden_answers", "has no column 'question' and no column 'golden_answers'"),
        ("question,golden_answers,question", "names a column twice in its first line"),
    ],
)
def test_columns_that_lack_are_named(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        made([str(write(tmp_path / "own.csv", header, "q,a"))], None, tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "origin", "split", "message"),
    [
        (["squad"], "DIR", "eval", "There is no data set 'squad'; give nq, triviaqa,"),
        (["nq"], None, "eval", "Where nq comes from is not said; give --from hub, or --from DIR."),
        (["nq"], "DIR/none", "eval", "there is no such folder; give a folder of question files, or hub."),
        (["nq"], "DIR", "eval", "holds no test split of nq; it may be any of nq.jsonl, nq.parquet, nq.test.jsonl,"),
        (["nq_hotpotqa"], "DIR", "dev", "nq_hotpotqa has no split 'dev'; it has train."),
        (["popqa"], "DIR", "train", "popqa has no split 'train'; it has test."),
        (["DIR/none.jsonl"], None, "eval", "There is no question file"),
    ],
)
def test_wrong_words_are_one_sentence(
    tmp_path: Path, names: list[str], origin: str | None, split: str, message: str
) -> None:
    names = [name.replace("DIR", str(tmp_path)) for name in names]
    with pytest.raises(UserError, match=re.escape(message)):
        made(names, origin and origin.replace("DIR", str(tmp_path)), tmp_path / "out", split)
    assert not (tmp_path / "out").exists()


def test_one_bad_set_leaves_all_files_as_they_were(tmp_path: Path) -> None:
    write(tmp_path / "nq.jsonl", GOOD)
    [path] = made(["nq"], tmp_path, tmp_path / "out")
    before = path.read_bytes()
    write(tmp_path / "nq.jsonl", GOOD, GOOD)
    write(tmp_path / "popqa.jsonl", GOOD, "{")
    with pytest.raises(UserError, match="broken JSON"):
        made(["nq", "popqa"], tmp_path, tmp_path / "out")
    assert path.read_bytes() == before
    assert list((tmp_path / "out").iterdir()) == [path]


def test_no_file_of_anothers_making_is_lost(tmp_path: Path) -> None:
    write(tmp_path / "nq.jsonl", GOOD)
    write(tmp_path / "out" / "nq.parquet", "something else")
    with pytest.raises(UserError, match="was not made by `mrsearch data prepare`; give --out another folder"):
        made(["nq"], tmp_path, tmp_path / "out")
    assert (tmp_path / "out" / "nq.parquet").read_text() == "something else\n"
    [own] = made(["nq"], tmp_path, tmp_path / "again")
    with pytest.raises(UserError, match="is the file to read from; give --out another folder"):
        made([str(own)], None, tmp_path / "again")


def test_two_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = [str(write(tmp_path / folder / "own.jsonl", GOOD)) for folder in "ab"]
    with pytest.raises(UserError, match=r"Two of the sets would be written to .*own\.parquet"):
        made(paths, None, tmp_path / "out")
    assert len(made([paths[0], paths[0]], None, tmp_path / "out")) == 1
