"""Files of vectors and of FAISS indexes: streamed, mapped, and refused where they are broken."""

import re
from pathlib import Path

import faiss
import numpy as np
import pytest

from retriever.encoders.base import Vectors
from retriever.errors import BadIndex, BadRequest
from retriever.indexes.dense import inverted
from retriever.indexes.dense.engine import open_engine
from retriever.indexes.dense.faiss_files import map_index, write_index
from retriever.indexes.dense.inverted import fill, is_inverted
from retriever.indexes.dense.recipe import Recipe, check_memory, choose_recipe, training_rows
from retriever.indexes.dense.vectors import open_vectors, write_flat


def random_vectors(count: int, dimension: int = 16) -> Vectors:
    return np.random.default_rng(0).standard_normal((count, dimension), dtype=np.float32)


@pytest.mark.parametrize("kept", [0, 300])
def test_a_streamed_flat_file_is_what_faiss_writes(tmp_path: Path, kept: int) -> None:
    vectors = random_vectors(1000)
    index = faiss.IndexFlatIP(16)
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "faiss"))
    path, noted = tmp_path / "streamed", []
    if kept:
        path.write_bytes((tmp_path / "faiss").read_bytes()[: 45 + (kept + 7) * 64 + 3])
    streamed = write_flat(
        path,
        1000,
        16,
        lambda start: (vectors[row : row + 100] for row in range(start, 1000, 100)),
        done=kept,
        on_chunk=noted.append,
    )
    assert path.read_bytes() == (tmp_path / "faiss").read_bytes()
    assert noted == list(range(kept + 100, 1001, 100))
    assert open_vectors(path) == streamed


@pytest.mark.parametrize("factory", ["IVF16,SQ8", "IVF16,Flat", "OPQ8,IVF16,PQ4x4", "IVF16_HNSW8,SQ4"])
def test_merged_lists_are_what_faiss_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: str) -> None:
    vectors = random_vectors(3000)
    np.save(tmp_path / "vectors.npy", vectors)
    index = Recipe(factory).new_index(16)
    assert is_inverted(index)
    index.train(vectors)
    write_index(index, tmp_path / "trained")
    monkeypatch.setattr(inverted, "BLOCK_BYTES", 700 * 16 * 4)
    rows: list[int] = []
    fill(tmp_path / "trained", open_vectors(tmp_path / "vectors.npy"), tmp_path / "merged", rows.append)
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "whole"))
    assert (tmp_path / "merged").read_bytes() == (tmp_path / "whole").read_bytes()
    assert rows == [700, 1400, 2100, 2800, 3000]


@pytest.mark.parametrize("factory", ["IVF16,SQ8,RFlat", "IVF16,PQ8x4fs", "SQ8", "HNSW8", "PCA8,HNSW8"])
def test_other_types_are_built_in_memory(factory: str) -> None:
    assert not is_inverted(Recipe(factory).new_index(16))


def anonymous_bytes() -> int:
    """Memory of this process that no file backs."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    found = re.search(r"^Anonymous: +(\d+) kB", rollup, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


@pytest.mark.parametrize("factory", ["Flat", "HNSW4", "IVF64,SQ8", "IVF64,Flat", "SQ8"])
def test_an_opened_index_is_mapped(tmp_path: Path, factory: str) -> None:
    vectors = random_vectors(40_000, 128)
    index = Recipe(factory, {"efConstruction": 4} if factory == "HNSW4" else {}).new_index(128)
    index.train(vectors[:4000])
    index.add(vectors)
    write_index(index, tmp_path / "index")
    size = (tmp_path / "index").stat().st_size
    assert size > 5_000_000
    del index
    before = anonymous_bytes()
    engine = open_engine(tmp_path / "index", {})
    engine.search(vectors[:1], 5)
    assert anonymous_bytes() - before < size / 4
    engine.close()


def test_vectors_are_read_by_range_and_by_sample(tmp_path: Path) -> None:
    vectors = random_vectors(1000).astype(np.float16)
    np.save(tmp_path / "vectors.npy", vectors)
    opened = open_vectors(tmp_path / "vectors.npy")
    assert (opened.count, opened.dimension) == (1000, 16)
    blocks = list(opened.blocks(start=5, stop=30, rows=10))
    assert [first for first, _ in blocks] == [5, 15, 25]
    assert np.array_equal(np.concatenate([block for _, block in blocks]), vectors[5:30].astype(np.float32))
    sample = opened.sample(100, seed=3)
    places = [int(np.flatnonzero((vectors == row).all(axis=1))[0]) for row in sample.astype(np.float16)]
    assert len(set(places)) == 100 and places == sorted(places)
    assert np.array_equal(opened.sample(1000, seed=3), vectors.astype(np.float32))


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((3, 4)), "type float64"),
        (np.zeros(12, np.float32), r"shape \(12,\)"),
        (np.zeros((3, 4), np.float32, order="F"), "in C order"),
        (np.array([None]), "cannot be read as vectors"),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path: Path, array: np.ndarray, complaint: str) -> None:
    np.save(tmp_path / "vectors.npy", array)
    with pytest.raises(BadIndex, match=complaint):
        open_vectors(tmp_path / "vectors.npy")


def test_broken_files_of_vectors_are_refused(tmp_path: Path) -> None:
    vectors = random_vectors(10)
    vectors[7, 3] = np.nan
    np.save(tmp_path / "vectors.npy", vectors)
    with pytest.raises(BadIndex, match="row 7 holds a number that is not finite"):
        list(open_vectors(tmp_path / "vectors.npy").blocks())
    index = faiss.IndexFlatIP(16)
    index.add(random_vectors(10))
    whole = bytes(faiss.serialize_index(index))
    for content in (whole[:-1], whole + b"x", whole[:10], b"", b"IxF2" + whole[4:]):
        (tmp_path / "flat.faiss").write_bytes(content)
        with pytest.raises(BadIndex, match=r"flat\.faiss (has|cannot be read)"):
            open_vectors(tmp_path / "flat.faiss")
    with pytest.raises(BadIndex, match="cannot be read as vectors"):
        open_vectors(tmp_path / "missing.faiss")


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF4,SQ8", "PCA8,IVF4,SQ8"])
@pytest.mark.parametrize("kept", [0, 3, 40, 0.5, -8])
def test_a_truncated_index_is_one_sentence(tmp_path: Path, factory: str, kept: float) -> None:
    index = Recipe(factory).new_index(16)
    index.train(random_vectors(500))
    index.add(random_vectors(500))
    whole = bytes(faiss.serialize_index(index))
    (tmp_path / "index").write_bytes(whole[: int(len(whole) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(BadIndex, match="cannot be opened as a FAISS index") as caught:
        map_index(tmp_path / "index")
    assert "\n" not in str(caught.value)


def test_an_index_of_distances_or_of_nothing_is_refused(tmp_path: Path) -> None:
    faiss.write_index(faiss.IndexFlatL2(16), str(tmp_path / "distances"))
    with pytest.raises(BadIndex, match="ranks by another measure than the inner product"):
        open_engine(tmp_path / "distances", {})
    faiss.write_index(faiss.IndexFlatIP(16), str(tmp_path / "nothing"))
    with pytest.raises(BadIndex, match="holds no vectors"):
        open_engine(tmp_path / "nothing", {})


@pytest.mark.parametrize(
    ("kind", "passages", "factory", "search"),
    [
        ("flat", 7, "Flat", {}),
        ("hnsw", 7, "HNSW32", {"efSearch": 256}),
        ("ivf-sq8", 7, "IVF1,SQ8", {"nprobe": 1}),
        ("ivf-sq8", 17_789, "IVF256,SQ8", {"nprobe": 128}),
        ("ivf-pq", 200_000, "OPQ48,IVF1024,PQ48", {"nprobe": 128}),
        ("ivf-sq8", 21_015_324, "IVF16384,SQ8", {"nprobe": 256}),
        ("IVF64,Flat", 1000, "IVF64,Flat", {"nprobe": 64}),
        ("HNSW16_SQ8", 1000, "HNSW16_SQ8", {"efSearch": 256}),
        ("SQfp16", 1000, "SQfp16", {}),
    ],
)
def test_the_recipe_of_a_kind(kind: str, passages: int, factory: str, search: dict[str, float]) -> None:
    recipe = choose_recipe(kind, passages, 384)
    assert (recipe.factory, recipe.search) == (factory, search)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("hsnw", '"hsnw" is no type of index for vectors of 384 numbers .*; accepted are flat, hnsw, ivf-sq8, ivf-pq'),
        ("IVF8,PQ7", "should be a multiple of the number of subquantizers"),
        ("IVF0,SQ8", '"IVF0,SQ8" has 0 lists; for 200 passages, give from 1 to 200'),
        ("IVF201,SQ8", "has 201 lists"),
        ("ivf-pq", "learns from at least 256 passages, found 200; use flat"),
        ("", "is no type of index"),
    ],
)
def test_a_bad_kind_is_one_sentence(kind: str, complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint) as caught:
        choose_recipe(kind, 200, 384)
    assert "\n" not in str(caught.value)


def test_the_training_sample_is_bounded() -> None:
    def rows(factory: str, passages: int, dimension: int) -> int:
        return training_rows(Recipe(factory).new_index(dimension), passages)

    assert rows("Flat", 1000, 8) == rows("HNSW32", 1000, 8) == 0
    assert rows("IVF16,SQ8", 1000, 8) == 1000
    assert rows("IVF16,SQ8", 10**6, 8) == 65_536
    assert rows("IVF2048,SQ8", 10**6, 8) == 64 * 2048
    assert rows("IVF16384,SQ8", 10**8, 1024) == 2**31 // 4096


def test_an_index_that_does_not_fit_into_memory_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"is built in memory and needs 1\.7e\+06 GiB for 1,000,000,000,000 passages"):
        check_memory(Recipe("HNSW32").new_index(384), 10**12)
    check_memory(Recipe("HNSW32").new_index(384), 1000)
