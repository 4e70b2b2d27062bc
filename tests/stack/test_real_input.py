"""Real questions over real passages: nothing in the path is special to the synthetic world."""

import json
from itertools import islice
from pathlib import Path

import pytest
from conftest import mrsearch, train_settings  # type: ignore[import-not-found]

from mrsearch.runs import RunFolder, read_json_lines
from retriever.corpus import read_corpus

pytestmark = pytest.mark.slow

EPISODE = [
    "mrsearch.episode.max_searches=2",
    "mrsearch.episode.observation_tokens=300",
    "mrsearch.episode.context_tokens=2048",
]


@pytest.fixture(scope="module")
def corpus(shared_qa: Path) -> Path:
    return shared_qa / "corpus" / "wiki_mini.jsonl"


@pytest.fixture(scope="module")
def questions(shared_qa: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions of three benchmarks in one file."""
    out = tmp_path_factory.mktemp("questions") / "mixed.jsonl"
    with out.open("w") as mixed:
        for name in ("hotpotqa", "musique", "nq"):
            for row in islice(read_json_lines(shared_qa / "questions" / f"{name}.jsonl"), 8):
                mixed.write(json.dumps(row | {"id": f"{name}-{row['id']}"}) + "\n")
    return out


def shown_passages(records: list[dict]) -> list[dict]:
    return [
        passage
        for record in records
        for attempt in record["attempts"]
        for turn in attempt["turns"]
        for passage in turn["passages"]
    ]


def test_training_and_evaluation_on_real_questions(
    corpus: Path, questions: Path, quickstart_model: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "train")
    given = (f"--out={run.path}", f"--questions={questions}", f"--corpus={corpus}")
    finished = mrsearch("train", "quickstart", *train_settings(2), *EPISODE, *given)
    assert finished.status == 0, finished.output
    assert finished.left == []
    assert [step["episodes/n"] for step in run.read_metrics()] == [16, 16]
    titles = {document.id: document.title for document in read_corpus(corpus)}
    records = [record for step in (1, 2) for record in read_json_lines(run.episodes("train", step))]
    passages = shown_passages(records)
    assert len(passages) > len(records)
    assert all(titles[passage["id"]] for passage in passages)
    assert all(stop != "search_failed" for record in records for stop in _stops(record))

    out = RunFolder(tmp_path / "eval")
    model = run.checkpoints / "global_step_2" / "actor" / "huggingface"
    evaluated = mrsearch(
        "eval",
        *EPISODE,
        "--recipe=quickstart",
        f"--model={model}",
        f"--questions={questions}",
        f"--retriever={run.path / 'index'}",
        f"--out={out.path}",
    )
    assert evaluated.status == 0, evaluated.output
    assert evaluated.left == []
    (figures,) = json.loads(out.report.read_text())["benchmarks"].values()
    assert (figures["n"], figures["search_failed"], len(figures["exact_match"])) == (24, 0, 3)
    assert shown_passages(list(read_json_lines(out.episodes("test", 0))))


def _stops(record: dict) -> list[str]:
    return [attempt["stop_reason"] for attempt in record["attempts"]]
