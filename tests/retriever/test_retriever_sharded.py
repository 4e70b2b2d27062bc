"""An index in several shards, opened in one process."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from retriever_sample import PASSAGES, write_corpus

from retriever.bench.table import TableEncoder
from retriever.corpus import read_corpus
from retriever.encoders import Vectors, new_encoder
from retriever.errors import BadIndex, BadRequest
from retriever.indexes import Index, open_index
from retriever.indexes.bm25 import Bm25Index, build_index
from retriever.indexes.dense import DenseIndex, build_dense
from retriever.indexes.sharded import LocalShard, ShardedIndex, shard_folders
from retriever.indexes.sharding import build_shards, join_shards, split_corpus
from retriever.manifest import Manifest, read_manifest
from retriever.types import Passage

KEYS = list(PASSAGES)


@pytest.fixture(scope="module")
def sharded_folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "sharded"
    build_shards(corpus, folder, 3, build_index)
    return folder


@pytest.fixture(scope="module")
def sharded(sharded_folder: Path) -> Iterator[Index]:
    opened = open_index(sharded_folder)
    yield opened
    opened.close()


def test_a_corpus_is_dealt_out_to_parts(corpus: Path, index_folder: Path, tmp_path: Path) -> None:
    paths, fingerprint = split_corpus(corpus, 3, tmp_path)
    assert [path.name for path in paths] == ["part-0.jsonl", "part-1.jsonl", "part-2.jsonl"]
    assert [[document.id for document in read_corpus(path)] for path in paths] == [KEYS[0::3], KEYS[1::3], KEYS[2::3]]
    assert fingerprint == read_manifest(index_folder).corpus_sha256


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [(0, "shards must be at least 1, found 0."), (8, r"corpus.jsonl holds 7 passages, too few for 8 shards.")],
)
def test_parts_must_have_passages(corpus: Path, tmp_path: Path, parts: int, complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        split_corpus(corpus, parts, tmp_path)


def test_the_folder_holds_shards_and_a_manifest(sharded_folder: Path, index_folder: Path) -> None:
    whole, manifest = read_manifest(index_folder), read_manifest(sharded_folder)
    assert sorted(path.name for path in sharded_folder.iterdir()) == ["manifest.json", "shard-0", "shard-1", "shard-2"]
    assert (manifest.type, manifest.passages, manifest.corpus_sha256) == ("sharded", 7, whole.corpus_sha256)
    assert manifest.parameters == {"shards": ["shard-0", "shard-1", "shard-2"], "shard_type": "bm25"}
    assert [read_manifest(sharded_folder / f"shard-{n}").passages for n in range(3)] == [3, 2, 2]


def test_the_best_of_all_shards_are_merged(sharded: Index, sharded_folder: Path) -> None:
    shards = [Bm25Index.open(sharded_folder / f"shard-{number}") for number in range(3)]
    expected = [passage for shard in shards for passage in shard.search(["fox dog wolf paris"], 7)[0]]
    expected.sort(key=lambda passage: (-passage.score, passage.id))
    assert len(expected) == 4
    assert sharded.search(["fox dog wolf paris"], 7) == [expected]
    assert sharded.search(["", "fox dog wolf paris"], 2) == [[], expected[:2]]
    for shard in shards:
        shard.close()


def test_equal_scores_are_ordered_by_id(tmp_path: Path) -> None:
    twins = dict.fromkeys(("b", "a"), ("Twin", "identical words"))
    build_shards(write_corpus(tmp_path / "twins.jsonl", twins), tmp_path / "index", 2, build_index)
    index = open_index(tmp_path / "index")
    [found] = index.search(["identical"], 2)
    assert [passage.id for passage in found] == ["a", "b"]
    index.close()


def vectors_of(count: int, dimension: int = 8) -> Vectors:
    return np.random.default_rng(count).standard_normal((count, dimension), dtype=np.float32)


def test_dense_shards_score_as_one_index(corpus: Path, tmp_path: Path) -> None:
    queries = ["0", "1", "2"]
    passages, encoder = vectors_of(len(PASSAGES)), TableEncoder(vectors_of(len(queries)))
    numbers = count()

    def build(part: Path, folder: Path) -> Manifest:
        rows = passages if part == corpus else passages[next(numbers) :: 3]
        np.save(tmp_path / "vectors.npy", rows)
        return build_dense(part, folder, encoder, kind="flat", vectors=tmp_path / "vectors.npy")

    build(corpus, tmp_path / "whole")
    manifest = build_shards(corpus, tmp_path / "sharded", 3, build)
    whole = DenseIndex.open(tmp_path / "whole", encoder=encoder)
    shards = [LocalShard(folder, open_index) for folder in shard_folders(tmp_path / "sharded", manifest)]
    sharded = ShardedIndex(tmp_path / "sharded", manifest, shards, encoder)
    for topk in (1, 3, 100):
        assert sharded.search(queries, topk) == whole.search(queries, topk)
    assert sharded.search([], 3) == []
    whole.close()
    sharded.close()


def scores(passages: list[Passage]) -> dict[str, float]:
    return {passage.id: passage.score for passage in passages}


@pytest.mark.slow
def test_a_sharded_index_brings_its_encoder(corpus: Path, tmp_path: Path) -> None:
    encoder = new_encoder("minilm")
    build_dense(corpus, tmp_path / "whole", encoder, kind="flat")
    build_shards(corpus, tmp_path / "sharded", 2, lambda part, folder: build_dense(part, folder, encoder, kind="flat"))
    whole, sharded = open_index(tmp_path / "whole"), open_index(tmp_path / "sharded")
    queries = ["an animal", "who wrote about miners?"]
    for one, other in zip(sharded.search(queries, 7), whole.search(queries, 7), strict=True):
        # Passages encoded in other batches move by rounding errors.
        assert scores(one) == pytest.approx(scores(other), abs=1e-5)
        assert one[0].id == other[0].id
    whole.close()
    sharded.close()


def test_topk_may_be_larger_than_every_shard(sharded: Index) -> None:
    assert len(sharded.search(["fox dog wolf germinal capital identical"], 1000)[0]) == 7


def test_documents_come_from_whichever_shard_holds_them(sharded: Index) -> None:
    found = sharded.documents([*reversed(KEYS), "none"])
    assert [document and document.title for document in found] == [*(PASSAGES[key][0] for key in reversed(KEYS)), None]


def test_existing_indexes_are_joined_where_they_are(corpus: Path, tmp_path: Path) -> None:
    folders = []
    for part in split_corpus(corpus, 2, tmp_path)[0]:
        folders.append(tmp_path / "shards" / part.stem)
        build_index(part, folders[-1])
    manifest = join_shards(folders, tmp_path / "joined")
    assert manifest.parameters["shards"] == ["../shards/part-0", "../shards/part-1"]
    (tmp_path / "moved").mkdir()
    for name in ("shards", "joined"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    index = open_index(tmp_path / "moved" / "joined")
    assert [document and document.id for document in index.documents(["fox", "twin-a"])] == ["fox", "twin-a"]
    index.close()


def test_shards_that_differ_are_not_joined(corpus: Path, sharded_folder: Path, tmp_path: Path) -> None:
    build_index(corpus, tmp_path / "other", k1=1.2)
    first = sharded_folder / "shard-0"
    with pytest.raises(BadIndex, match=r"other and .*shard-0 differ in parameters; shards must be built alike."):
        join_shards([first, tmp_path / "other"], tmp_path / "out")
    with pytest.raises(BadIndex, match='is an index of type "sharded"; shards are of type bm25 or dense'):
        join_shards([sharded_folder], tmp_path / "out")
    with pytest.raises(BadRequest, match="a shard is named twice"):
        join_shards([first, first], tmp_path / "out")
    with pytest.raises(BadRequest, match="at least one shard"):
        join_shards([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"passages": 8}, "says 8 passages, its shards hold 7; join them again."),
        ({"parameters": {"shards": []}}, 'parameter "shards" must be a list of folders'),
        ({"parameters": {"shards": [1]}}, 'parameter "shards" must be a list of folders'),
        ({"parameters": {}}, 'parameter "shards" must be of type list'),
        ({"parameters": {"shards": ["gone"]}}, r"gone is not an index folder"),
    ],
)
def test_a_manifest_that_does_not_fit_its_shards_is_refused(
    sharded_folder: Path, tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    for shard in sharded_folder.glob("shard-*"):
        (tmp_path / shard.name).symlink_to(shard)
    record = json.loads((sharded_folder / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(record | change))
    with pytest.raises(BadIndex, match=complaint):
        open_index(tmp_path)


def test_a_shard_that_cannot_be_built_leaves_nothing(corpus: Path, tmp_path: Path) -> None:
    def build(part: Path, folder: Path) -> None:
        if part.name == "part-1.jsonl":
            raise BadIndex("No space.")
        build_index(part, folder)

    with pytest.raises(BadIndex, match="No space"):
        build_shards(corpus, tmp_path / "out", 2, build)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.slow
def test_shards_rank_real_text_nearly_as_one_index_does(shared_qa: Path, tmp_path: Path) -> None:
    """BM25 weighs words per shard; even with only 4,400 passages in each, most of the best ten stay."""
    corpus = shared_qa / "corpus" / "wiki_mini.jsonl"
    questions = (shared_qa / "questions" / "hotpotqa.jsonl").read_text(encoding="utf-8").splitlines()
    queries = [json.loads(line)["question"] for line in questions]
    build_index(corpus, tmp_path / "one")
    build_shards(corpus, tmp_path / "four", 4, build_index)
    ranked = []
    for name in ("one", "four"):
        index = open_index(tmp_path / name)
        ranked.append([{passage.id for passage in found} for found in index.search(queries, 10)])
        index.close()
    overlap = sum(len(one & four) for one, four in zip(*ranked, strict=True)) / (10 * len(queries))
    assert 0.95 < overlap < 1
