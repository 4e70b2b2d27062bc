"""Building, opening and searching dense indexes, with an encoder that needs no model."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from dense_sample import DIMENSION, WordEncoder, write_word_corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from retriever_sample import PASSAGES

from retriever.corpus import read_corpus
from retriever.encoders.base import Vectors
from retriever.errors import BadCorpus, BadIndex, BadModel, BadRequest
from retriever.indexes import open_index
from retriever.indexes.dense import DenseIndex, build_dense
from retriever.manifest import read_manifest
from retriever.types import Document, Passage

KINDS = (
    "flat",
    "hnsw",
    "ivf-sq8",
    "IVF8,PQ8x4",
    "IVF16,SQ8,RFlat",
    "PCA16,IVF16_HNSW8,SQ4",
    "HNSW8_SQ8",
    "IVF16,PQ8x4fs",
)
EXACT = ("flat", "hnsw", "ivf-sq8", "IVF16,SQ8,RFlat")
ROWS = 1000


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 passages, of which 40 are one text and 40 another that hardly differs."""
    path = write_word_corpus(tmp_path_factory.mktemp("words") / "corpus.jsonl", ROWS - 80)
    same = " ".join(f"w{word}" for word in range(30))
    with path.open("a") as file:
        for row in range(ROWS - 80, ROWS):
            text = same if row % 2 else f"{same} w1"
            file.write(json.dumps({"id": str(row), "title": "", "text": text}) + "\n")
    return path


@pytest.fixture(scope="module")
def folders(words: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    parent = tmp_path_factory.mktemp("indexes")
    found = {kind: parent / kind.replace(",", "-") for kind in KINDS}
    build_dense(words, found["flat"], WordEncoder(), kind="flat")
    for kind in KINDS[1:]:
        build_dense(words, found[kind], WordEncoder(), kind=kind, vectors=found["flat"])
    return found


@pytest.fixture(scope="module")
def opened(folders: dict[str, Path]) -> Iterator[dict[str, DenseIndex]]:
    indexes = {kind: DenseIndex.open(folder, encoder=WordEncoder()) for kind, folder in folders.items()}
    yield indexes
    for index in indexes.values():
        index.close()


def ids(ranked: Sequence[Passage]) -> list[str]:
    return [passage.id for passage in ranked]


def by_hand(corpus: Path, query: str, topk: int) -> tuple[list[str], list[float]]:
    """The exact answer: by falling score, near ties by row."""
    documents = list(read_corpus(corpus))
    encoder = WordEncoder()
    scores = encoder.encode_passages(documents).astype(np.float64) @ encoder.encode_queries([query])[0]
    order = np.lexsort((np.arange(len(scores)), -scores.round(5)))[:topk]
    return [documents[row].id for row in order], scores[order].tolist()


@pytest.mark.parametrize("kind", EXACT)
def test_finds_what_exact_search_finds(opened: dict[str, DenseIndex], words: Path, kind: str) -> None:
    for query in ("w107 w108 w109", "t12 w103", "w499 w498"):
        [found] = opened[kind].search([query], 5)
        expected, scores = by_hand(words, query, 5)
        assert ids(found) == expected
        tolerance = 1e-5 if kind in ("flat", "hnsw") else 0.02
        assert [passage.score for passage in found] == pytest.approx(scores, abs=tolerance)
        assert {type(passage.score) for passage in found} == {float}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_finds_a_passage_by_its_own_text(opened: dict[str, DenseIndex], words: Path, kind: str) -> None:
    documents = list(read_corpus(words))[:200]
    found = opened[kind].search([f"{document.title} {document.text}" for document in documents], 10)
    hits = sum(document.id in ids(ranked) for document, ranked in zip(documents, found, strict=True))
    assert hits >= (200 if kind in EXACT else 150)
    assert found[0][0].title == "t0"


def test_equal_scores_are_ordered_by_row(opened: dict[str, DenseIndex]) -> None:
    query = " ".join(f"w{word}" for word in range(30))
    for kind in ("flat", "ivf-sq8", "IVF16,SQ8,RFlat"):
        [found] = opened[kind].search([query], 40)
        assert ids(found) == [str(row) for row in range(ROWS - 79, ROWS, 2)]
        assert len({passage.score for passage in found}) == 1
    # Beyond what is fetched to spare, 40 equal scores are cut at any number; flat cuts by row.
    assert ids(opened["flat"].search([query], 5)[0]) == [str(row) for row in range(ROWS - 79, ROWS - 69, 2)]


texts = st.lists(st.integers(0, 60).map("w{}".format), min_size=0, max_size=6).map(" ".join)
queries = st.one_of(texts, st.just(" ".join(f"w{word}" for word in range(30))))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=12)
@given(batch=st.lists(queries, min_size=1, max_size=80), topk=st.sampled_from([1, 3, 10, 100]))
def test_a_query_gets_the_same_answer_alone_and_in_any_batch(
    opened: dict[str, DenseIndex], kind: str, batch: list[str], topk: int
) -> None:
    index = opened[kind]
    together = index.search(batch, topk)
    assert together == [index.search([query], topk)[0] for query in batch]
    assert index.search(batch[::-1], topk) == together[::-1]


@pytest.mark.parametrize("kind", KINDS)
def test_topk_beyond_the_index_gives_no_passage_twice(opened: dict[str, DenseIndex], kind: str) -> None:
    [found] = opened[kind].search(["w1 w2"], 1000)
    assert len(found) == len(set(ids(found))) <= ROWS
    if kind in ("flat", "ivf-sq8"):
        assert len(found) == ROWS


def test_places_that_faiss_leaves_empty_are_dropped(folders: dict[str, Path]) -> None:
    index = DenseIndex.open(folders["ivf-sq8"], encoder=WordEncoder(), search={"nprobe": 1})
    [found] = index.search(["w1 w2"], 1000)
    assert 0 < len(found) < ROWS
    index.close()


def test_no_queries_and_empty_queries(opened: dict[str, DenseIndex]) -> None:
    assert opened["flat"].search([], 3) == []
    [found] = opened["flat"].search([""], 3)
    assert (ids(found), {passage.score for passage in found}) == (["0", "1", "2"], {0.0})


@pytest.mark.parametrize("topk", [0, -1, 1001, 10**9, True])
def test_refuses_topk_out_of_range(opened: dict[str, DenseIndex], topk: int) -> None:
    with pytest.raises(BadRequest, match="topk must be a whole number from 1 to 1000"):
        opened["flat"].search(["w1"], topk)


def test_documents_by_id(opened: dict[str, DenseIndex], words: Path) -> None:
    documents = list(read_corpus(words))
    assert opened["flat"].documents(["7", "none", "3"]) == [documents[7], None, documents[3]]


def test_the_manifest_describes_the_index(folders: dict[str, Path]) -> None:
    flat, sq8 = read_manifest(folders["flat"]), read_manifest(folders["ivf-sq8"])
    assert (flat.type, flat.passages, flat.encoder) == ("dense", ROWS, {"model": "words"})
    assert flat.parameters == {"kind": "flat", "factory": "Flat", "dimension": DIMENSION, "search": {}}
    assert flat.files["index.faiss"] == 45 + ROWS * DIMENSION * 4
    assert set(flat.files) == set(sq8.files) > {"index.faiss", "corpus/passages.arrow"}
    assert sq8.corpus_sha256 == flat.corpus_sha256
    assert sq8.parameters["factory"] == "IVF16,SQ8"
    assert sq8.parameters["search"] == {"nprobe": 16}
    assert sq8.build["training_vectors"] == ROWS
    assert sq8.build["recall_at_10_against_flat"] > 0.9
    assert set(sq8.build["stages"]) == {"reading", "encoding", "training", "adding", "measuring"}


def test_nothing_but_the_index_is_left(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        assert {path.name for path in folder.iterdir()} == {"manifest.json", "index.faiss", "corpus"}
    assert set(folders["flat"].parent.iterdir()) == set(folders.values())


def test_progress_names_each_stage(words: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build_dense(words, tmp_path / "index", WordEncoder(), progress=lambda *report: told.append(report))
    size = words.stat().st_size
    assert told == [
        ("reading", size, size),
        ("encoding", ROWS, ROWS),
        ("training on 1,000 vectors", 0, 1),
        ("adding", ROWS, ROWS),
        ("measuring recall", 0, 1),
    ]


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf-sq8"])
def test_an_index_works_where_it_is_moved_to_and_may_be_read_only(
    folders: dict[str, Path], opened: dict[str, DenseIndex], tmp_path: Path, kind: str
) -> None:
    moved = tmp_path / "another" / "place"
    shutil.copytree(folders[kind], moved)
    for path in moved.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    link = tmp_path / "link"
    link.symlink_to(moved)
    index = DenseIndex.open(link, encoder=WordEncoder())
    assert index.search(["w1 w2"], 5) == opened[kind].search(["w1 w2"], 5)
    index.close()


def test_vectors_are_not_encoded_twice(words: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    vectors = WordEncoder().encode_passages(list(read_corpus(words)))
    np.save(tmp_path / "vectors.npy", vectors)
    for source in (folders["flat"], folders["flat"] / "index.faiss", tmp_path / "vectors.npy"):
        for kind in ("flat", "ivf-sq8"):
            encoder = WordEncoder()
            build_dense(words, tmp_path / "index", encoder, kind=kind, vectors=source, overwrite=True)
            assert encoder.passages == 0
            built = (tmp_path / "index" / "index.faiss").read_bytes()
            assert built == (folders[kind] / "index.faiss").read_bytes()


def test_vectors_of_another_corpus_or_encoder_are_refused(
    corpus: Path, words: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(BadIndex, match="holds vectors of another corpus"):
        build_dense(corpus, tmp_path / "index", WordEncoder(), vectors=folders["flat"])
    other = WordEncoder()
    other.spec = {"model": "other"}
    with pytest.raises(BadIndex, match="holds vectors of another encoder"):
        build_dense(words, tmp_path / "index", other, vectors=folders["flat"])
    np.save(tmp_path / "short.npy", np.zeros((5, DIMENSION), np.float32))
    with pytest.raises(BadIndex, match=r"holds 5 vectors of 32 numbers; the corpus and the encoder need 7 of 32"):
        build_dense(corpus, tmp_path / "index", WordEncoder(), vectors=tmp_path / "short.npy")
    with pytest.raises(BadIndex, match="cannot be read as vectors"):
        build_dense(corpus, tmp_path / "index", WordEncoder(), vectors=folders["ivf-sq8"] / "index.faiss")
    assert {path.name for path in tmp_path.iterdir()} == {"short.npy"}


class Wrong(WordEncoder):
    """Gives what `answer` makes of the right vectors."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self._answer = answer

    def encode_passages(self, documents: Sequence[Document]) -> Vectors:
        return self._answer(super().encode_passages(documents))  # type: ignore[operator, no-any-return]

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        return self._answer(super().encode_queries(queries))  # type: ignore[operator, no-any-return]


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda vectors: vectors * np.nan, "gave a number that is not finite"),
        (lambda vectors: vectors[:, :5], r"gave vectors of shape \(\d+, 5\), expected \(\d+, 32\)"),
        (lambda vectors: vectors[1:], r"gave vectors of shape"),
    ],
)
def test_an_encoder_that_gives_something_else_is_one_sentence(
    corpus: Path, tmp_path: Path, answer: object, complaint: str
) -> None:
    with pytest.raises(BadModel, match=complaint):
        build_dense(corpus, tmp_path / "index", Wrong(answer))
    assert list(tmp_path.iterdir()) == []
    build_dense(corpus, tmp_path / "index", WordEncoder())
    index = DenseIndex.open(tmp_path / "index", encoder=Wrong(answer))
    with pytest.raises(BadModel, match=complaint):
        index.search(["fox"], 1)
    index.close()


@pytest.mark.parametrize(("kind", "passages"), [("flat", 7), ("hnsw", 7), ("ivf-sq8", 7), ("IVF2,Flat", 7)])
def test_a_tiny_corpus_will_do(corpus: Path, tmp_path: Path, kind: str, passages: int) -> None:
    build_dense(corpus, tmp_path / "index", WordEncoder(), kind=kind)
    index = DenseIndex.open(tmp_path / "index", encoder=WordEncoder())
    title, text = PASSAGES["wolf"]
    assert index.search([f"{title} {text}"], 1)[0][0].id == "wolf"
    assert len(index.search(["wolf"], 100)[0]) == passages
    index.close()


def test_bad_builds_are_refused_and_leave_nothing(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "index"
    with pytest.raises(BadRequest, match='"hsnw" is no type of index'):
        build_dense(corpus, out, WordEncoder(), kind="hsnw")
    with pytest.raises(BadRequest, match="at least 256 passages, found 7"):
        build_dense(corpus, out, WordEncoder(), kind="ivf-pq")
    with pytest.raises(BadIndex, match="7 vectors are too few to train IVF2,PQ8"):
        build_dense(corpus, out, WordEncoder(), kind="IVF2,PQ8")
    with pytest.raises(BadCorpus, match="is not a file"):
        build_dense(tmp_path / "none.jsonl", out, WordEncoder())
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n")
    with pytest.raises(BadCorpus, match='line 1: missing field "id"'):
        build_dense(broken, out, WordEncoder())
    assert {path.name for path in tmp_path.iterdir()} == {"broken.jsonl"}


def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def change(folder: Path, **fields: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf-sq8"])
def test_a_truncated_index_is_refused(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    folder = copy(folders[kind], tmp_path)
    content = (folder / "index.faiss").read_bytes()
    (folder / "index.faiss").write_bytes(content[:-100])
    with pytest.raises(BadIndex, match=r"index\.faiss has [\d,]+ bytes, its manifest says [\d,]+"):
        DenseIndex.open(folder, encoder=WordEncoder())
    change(folder, files={})
    with pytest.raises(BadIndex, match=r"index\.faiss cannot be opened as a FAISS index"):
        DenseIndex.open(folder, encoder=WordEncoder())


def test_a_manifest_of_another_corpus_is_refused(folders: dict[str, Path], tmp_path: Path, corpus: Path) -> None:
    folder = copy(folders["flat"], tmp_path)
    change(folder, corpus_sha256="0" * 64)
    with pytest.raises(BadIndex, match="is another corpus than the manifest's"):
        DenseIndex.open(folder, encoder=WordEncoder())
    build_dense(corpus, tmp_path / "small", WordEncoder(), kind="flat")
    small = read_manifest(tmp_path / "small")
    shutil.copy(tmp_path / "small" / "index.faiss", folder / "index.faiss")
    change(folder, corpus_sha256=read_manifest(folders["flat"]).corpus_sha256, files={})
    with pytest.raises(BadIndex, match=f"holds {small.passages} vectors, its manifest says {ROWS}"):
        DenseIndex.open(folder, encoder=WordEncoder())


def test_a_missing_or_other_encoder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadModel) as caught:
        open_index(folders["flat"])
    assert "\n" not in str(caught.value)
    folder = copy(folders["flat"], tmp_path)
    change(folder, encoder={})
    with pytest.raises(BadModel):
        open_index(folder)
    narrow = WordEncoder()
    narrow.dimension = 31
    with pytest.raises(BadIndex, match="holds vectors of 32 numbers, its encoder gives 31"):
        DenseIndex.open(folder, encoder=narrow)


def test_search_parameters_can_be_replaced(folders: dict[str, Path], opened: dict[str, DenseIndex]) -> None:
    query = ["w1 w2 w3"]
    narrow = DenseIndex.open(folders["hnsw"], encoder=WordEncoder(), search={"efSearch": 1})
    assert narrow.search(query, 50) != opened["hnsw"].search(query, 50)
    narrow.close()
    for wrong in ({"nprob": 3}, {"efSearch": 3}, {"nprobe": "many"}):
        with pytest.raises(BadRequest, match="has no parameter"):
            DenseIndex.open(folders["ivf-sq8"], encoder=WordEncoder(), search=wrong)  # type: ignore[arg-type]


def test_an_index_of_another_type_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(folders["flat"], tmp_path)
    change(folder, type="bm25")
    with pytest.raises(BadIndex, match='is an index of type "bm25"; this needs one of type "dense"'):
        DenseIndex.open(folder, encoder=WordEncoder())


@pytest.mark.slow
def test_product_quantisation_after_a_rotation(words: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    manifest = build_dense(words, tmp_path / "index", WordEncoder(), kind="ivf-pq", vectors=folders["flat"])
    assert manifest.parameters["factory"] == "OPQ4,IVF16,PQ4"
    assert manifest.build["recall_at_10_against_flat"] > 0.4
    index = DenseIndex.open(tmp_path / "index", encoder=WordEncoder())
    documents = list(read_corpus(words))[:100]
    batch = [f"{document.title} {document.text}" for document in documents]
    together = index.search(batch, 10)
    assert sum(document.id in ids(ranked) for document, ranked in zip(documents, together, strict=True)) > 80
    assert together == [index.search([query], 10)[0] for query in batch]
    index.close()


@pytest.mark.slow
def test_a_real_encoder_from_the_corpus_to_the_answer(corpus: Path, tmp_path: Path) -> None:
    from retriever.encoders import new_encoder

    build_dense(corpus, tmp_path / "index", new_encoder("minilm"))
    index = open_index(tmp_path / "index")
    asked = ["Which animal is related to the wolf and kept at home?", "a French city", "a book about mining"]
    found = index.search(asked, 3)
    assert [ranked[0].id for ranked in found] == ["dog", "paris", "zola"]
    assert found == [index.search([query], 3)[0] for query in asked]
    index.close()
