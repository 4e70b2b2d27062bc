"""Dense indexes of every type: built, opened, searched, taken over, and the same answer in any batch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from retriever_sample import PASSAGES

from retriever.encoders.base import Vectors
from retriever.errors import BadIndex, BadModel, BadRequest
from retriever.indexes import open_index
from retriever.indexes.dense import DenseIndex, adopt, build_dense
from retriever.indexes.dense.vectors import write_flat
from retriever.types import Document

DIMENSION = 32


class WordEncoder:
    """Adds up a random vector for each word: passages that share words are near. Counts what it encodes."""

    def __init__(self, dimension: int = DIMENSION) -> None:
        self.dimension = dimension
        self.spec: dict[str, Any] = {"model": "words", "dimension": dimension}
        self.passages_encoded = 0

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        return np.stack([self._vector(query) for query in queries])

    def encode_passages(self, documents: Sequence[Document]) -> Vectors:
        self.passages_encoded += len(documents)
        return np.stack([self._vector(f"{document.title} {document.text}") for document in documents])

    def _vector(self, text: str) -> Vectors:
        words = text.lower().replace(".", "").split() or [""]
        total = sum(np.random.default_rng(list(word.encode())).standard_normal(self.dimension) for word in words)
        return (total / np.linalg.norm(total)).astype(np.float32)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 passages of ten words each."""
    rng = np.random.default_rng(0)
    lines = [
        json.dumps({"id": f"p{number}", "contents": f'"Title {number}"\n{" ".join(f"w{word}" for word in row)}'})
        for number, row in enumerate(rng.integers(400, size=(3000, 10)))
    ]
    path = tmp_path_factory.mktemp("many") / "corpus.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def flat(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flat") / "index"
    build_dense(many, folder, WordEncoder(), kind="flat")
    return folder


def test_finds_the_passage_that_says_what_is_asked(corpus: Path, tmp_path: Path) -> None:
    manifest = build_dense(corpus, tmp_path / "index", WordEncoder(), kind="flat")
    assert (manifest.type, manifest.passages, manifest.encoder) == ("dense", 7, WordEncoder().spec)
    index = DenseIndex.open(tmp_path / "index", encoder=WordEncoder())
    title, text = PASSAGES["wolf"]
    [passages] = index.search([f"{title} {text}"], 1000)
    assert (passages[0].id, passages[0].title, passages[0].text) == ("wolf", title, text)
    assert passages[0].score == pytest.approx(1.0)
    assert len(passages) == 7
    assert index.search([], 3) == []
    assert index.documents(["paris", "nowhere"]) == [Document("paris", *PASSAGES["paris"]), None]
    index.close()


def test_equal_scores_are_in_the_order_of_the_corpus(corpus: Path, tmp_path: Path) -> None:
    build_dense(corpus, tmp_path / "index", WordEncoder(), kind="flat")
    index = DenseIndex.open(tmp_path / "index", encoder=WordEncoder())
    assert [passage.id for passage in index.search(["Twin identical words"], 2)[0]] == ["twin-b", "twin-a"]
    index.close()


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf-sq8", "ivf-pq", "IVF16,Flat", "SQ8"])
def test_a_query_has_one_answer_alone_and_in_any_batch(many: Path, flat: Path, tmp_path: Path, kind: str) -> None:
    build_dense(many, tmp_path / "index", WordEncoder(), kind=kind, vectors=flat)
    index = DenseIndex.open(tmp_path / "index", encoder=WordEncoder())
    rng = np.random.default_rng(1)
    queries = [" ".join(f"w{word}" for word in row) for row in rng.integers(400, size=(64, 3))]
    together = index.search(queries, 10)
    alone = [index.search([query], 10)[0] for query in queries]
    assert together == alone
    assert index.search(queries[5:25], 10) == together[5:25]
    index.close()


def test_approximate_indexes_say_how_much_they_lose(many: Path, flat: Path, tmp_path: Path) -> None:
    manifest = build_dense(many, tmp_path / "index", WordEncoder(), kind="IVF64,Flat", vectors=flat)
    assert manifest.parameters["search"] == {"nprobe": 64}
    assert manifest.build["recall_at_10_against_flat"] == 1.0
    exact = DenseIndex.open(flat, encoder=WordEncoder())
    whole = DenseIndex.open(tmp_path / "index", encoder=WordEncoder())
    narrow = DenseIndex.open(tmp_path / "index", encoder=WordEncoder(), search={"nprobe": 1})
    expected, [found], [fewer] = (index.search(["w1 w2 w3"], 50) for index in (exact, whole, narrow))
    assert [passage.id for passage in found] == [passage.id for passage in expected[0]]
    assert len({passage.id for passage in fewer} & {passage.id for passage in found}) < 50
    for index in (exact, whole, narrow):
        index.close()


def test_a_streamed_flat_file_is_what_faiss_writes(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((1000, 24), dtype=np.float32)
    index = faiss.IndexFlatIP(24)
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "faiss"))
    chunks = [vectors[:300], vectors[300:]]
    write_flat(tmp_path / "ours", 1000, 24, lambda start: iter(chunks), done=0, on_chunk=lambda rows: None)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "faiss").read_bytes()


def test_a_folder_may_be_moved(many: Path, flat: Path, tmp_path: Path) -> None:
    build_dense(many, tmp_path / "index", WordEncoder(), kind="ivf-sq8", vectors=flat)
    first = DenseIndex.open(tmp_path / "index", encoder=WordEncoder())
    expected = first.search(["w7 w9"], 5)
    first.close()
    (tmp_path / "index").rename(tmp_path / "moved")
    moved = DenseIndex.open(tmp_path / "moved", encoder=WordEncoder())
    assert moved.search(["w7 w9"], 5) == expected
    moved.close()


def test_nothing_is_printed_on_standard_output(
    many: Path, flat: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    build_dense(many, tmp_path / "index", WordEncoder(), kind="ivf-sq8", vectors=flat)
    DenseIndex.open(tmp_path / "index", encoder=WordEncoder()).close()
    assert capfd.readouterr().out == ""


def test_vectors_made_elsewhere(many: Path, flat: Path, tmp_path: Path) -> None:
    index = faiss.read_index(str(flat / "index.faiss"))
    np.save(tmp_path / "vectors.npy", index.reconstruct_n(0, index.ntotal))
    build_dense(many, tmp_path / "index", WordEncoder(), kind="flat", vectors=tmp_path / "vectors.npy")
    assert (tmp_path / "index" / "index.faiss").read_bytes() == (flat / "index.faiss").read_bytes()


def test_adopts_a_published_file(many: Path, flat: Path, tmp_path: Path) -> None:
    manifest = adopt(flat / "index.faiss", many, tmp_path / "index", WordEncoder())
    assert (manifest.parameters["factory"], manifest.passages) == ("Flat", 3000)
    opened = DenseIndex.open(tmp_path / "index", encoder=WordEncoder())
    original = DenseIndex.open(flat, encoder=WordEncoder())
    assert opened.search(["w1 w2"], 7) == original.search(["w1 w2"], 7)
    opened.close()
    original.close()


def test_refuses_what_does_not_fit(corpus: Path, many: Path, flat: Path, tmp_path: Path) -> None:
    euclidean = faiss.IndexFlatL2(DIMENSION)
    faiss.write_index(euclidean, str(tmp_path / "l2.faiss"))
    out = tmp_path / "index"
    with pytest.raises(BadIndex, match="another measure than the inner product"):
        adopt(tmp_path / "l2.faiss", many, out, WordEncoder())
    with pytest.raises(BadIndex, match="holds 3000 vectors of 32 numbers; the corpus and the encoder need 7 of 32"):
        adopt(flat / "index.faiss", corpus, out, WordEncoder())
    with pytest.raises(BadIndex, match="vectors of another corpus"):
        build_dense(corpus, out, WordEncoder(), vectors=flat)
    with pytest.raises(BadIndex, match="vectors of another encoder"):
        build_dense(many, out, WordEncoder(dimension=16), vectors=flat)
    with pytest.raises(BadRequest, match="IVF,PQ7000"):
        build_dense(many, out, WordEncoder(), kind="IVF,PQ7000", vectors=flat)
    assert not out.exists()


def test_refuses_a_broken_index(corpus: Path, flat: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    build_dense(corpus, folder, WordEncoder(), kind="flat")
    with pytest.raises(BadIndex, match=r"holds vectors of 32 numbers, its encoder gives 16"):
        DenseIndex.open(folder, encoder=WordEncoder(dimension=16))
    with pytest.raises(BadModel, match="field"):
        open_index(folder)
    with pytest.raises(BadRequest, match='no parameter "nprobe"'):
        DenseIndex.open(folder, encoder=WordEncoder(), search={"nprobe": 4})
    manifest = folder / "manifest.json"
    record = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(record | {"corpus_sha256": "0" * 64}))
    with pytest.raises(BadIndex, match="is another corpus than the manifest's"):
        DenseIndex.open(folder, encoder=WordEncoder())
    manifest.write_text(json.dumps(record))
    with (folder / "index.faiss").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(BadIndex, match=r"index\.faiss has 100 bytes, its manifest says"):
        DenseIndex.open(folder, encoder=WordEncoder())


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (np.full((7, DIMENSION), np.nan, np.float32), "not finite"),
        (np.zeros((7, 3), np.float32), r"shape \(7, 3\), expected \(7, 32\)"),
    ],
)
def test_refuses_what_is_no_vector(corpus: Path, tmp_path: Path, answer: Vectors, sentence: str) -> None:
    encoder = WordEncoder()
    encoder.encode_passages = lambda documents: answer  # type: ignore[method-assign]
    with pytest.raises(BadModel, match=sentence):
        build_dense(corpus, tmp_path / "index", encoder, kind="flat")
    assert not (tmp_path / "index").exists()


class Interrupted(Exception):
    """Stands for whatever ends a build."""


def test_an_interrupted_build_goes_on_where_it_was(
    many: Path, flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retriever.indexes.dense.build._CHUNK", 1000)
    monkeypatch.setattr("retriever.indexes.dense.inverted.BLOCK_BYTES", 1000 * 4 * DIMENSION)

    def stop(at: str, rows: int) -> Any:
        def report(stage: str, done: int, total: int) -> None:
            if stage == at and done >= rows:
                raise Interrupted

        return report

    def build(encoder: WordEncoder, out: Path, progress: Any = None) -> None:
        build_dense(many, out, encoder, kind="ivf-sq8", progress=progress)

    encoder = WordEncoder()
    with pytest.raises(Interrupted):
        build(encoder, tmp_path / "index", stop("encoding", 1000))
    assert encoder.passages_encoded == 1000
    with pytest.raises(Interrupted):
        build(encoder, tmp_path / "index", stop("adding", 2000))
    assert encoder.passages_encoded == 3000
    assert not (tmp_path / "index").exists()
    build(encoder, tmp_path / "index")
    assert encoder.passages_encoded == 3000
    build(WordEncoder(), tmp_path / "whole")
    for name in ("index.faiss", "corpus/passages.arrow"):
        assert (tmp_path / "index" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "whole"]
