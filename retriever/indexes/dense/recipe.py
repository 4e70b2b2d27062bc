"""What to build: the FAISS factory string of each kind of index, and its parameters by the size of the corpus."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import faiss
import psutil

from retriever.errors import BadIndex, BadRequest
from retriever.indexes.dense.engine import set_parameters
from retriever.indexes.dense.faiss_files import faiss_errors

KINDS = ("flat", "hnsw", "ivf-sq8", "ivf-pq")
_ACCEPTED = f'{", ".join(KINDS)} and FAISS factory strings such as "OPQ48,IVF4096,PQ48"'
_MIN_PQ = 256
_EF_SEARCH = 256


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an index is built and searched.

    Attributes:
        factory: FAISS's name for the structure of the index.
        build: FAISS parameters set before vectors are added.
        search: FAISS parameters set before queries are answered.
    """

    factory: str
    build: Mapping[str, float] = field(default_factory=dict)
    search: Mapping[str, float] = field(default_factory=dict)

    def new_index(self, dimension: int) -> Any:
        """An empty index of inner products with these parameters, which it keeps when it is written to a file.

        Raises:
            BadRequest: FAISS knows no such structure or parameter, or has none for vectors of this dimension.
        """
        try:
            with faiss_errors("FAISS"):
                index = faiss.index_factory(dimension, self.factory, faiss.METRIC_INNER_PRODUCT)
        except BadIndex as error:
            said = str(error).removeprefix("FAISS ").rstrip(".")
            raise BadRequest(
                f'"{self.factory}" is no type of index for vectors of {dimension} numbers {said}; '
                f"accepted are {_ACCEPTED}."
            ) from error
        set_parameters(index, {**self.build, **self.search})
        _shorten_rotation(index)
        return index


def choose_recipe(kind: str, passages: int, dimension: int) -> Recipe:
    """The recipe of a kind of index.

    The defaults were chosen so that, of the gold passages of HotpotQA and MuSiQue questions that a flat index of
    MiniLM vectors finds among 3 and 10, HNSW and IVF-SQ8 lose at most 0.02. Questions lie apart from the passages,
    which makes this harder than finding the neighbours of a passage: 64 lists of 256 lost 0.028.

    * An IVF index has the largest power of two of lists that is at most 4 √passages and leaves 39 passages a list, what
      FAISS asks for; 128 of them are searched, or 2 √lists where that is more.
    * HNSW has 32 links a passage, found with efConstruction 100, and searches with efSearch 256.
    * Product quantisation takes a byte for 8 dimensions (fewer where 8 do not divide the dimension), after a rotation.

    A factory string gets the search parameters of the kind that is like it.

    Raises:
        BadRequest: the kind is neither one of `KINDS` nor a factory string, or the corpus is too small for it.
    """
    factory = _factory(kind, passages, dimension)
    index = Recipe(factory).new_index(dimension)
    ivf = faiss.try_extract_index_ivf(index)
    if ivf is not None and not 1 <= ivf.nlist <= passages:
        raise BadRequest(f'"{kind}" has {ivf.nlist} lists; for {passages} passages, give from 1 to {passages}.')
    build = {"efConstruction": 100.0} if kind == "hnsw" else {}
    return Recipe(factory, build, default_search(index))


def default_search(index: Any) -> dict[str, float]:
    """The search parameters that suit an index, by FAISS's names for them."""
    ivf = faiss.try_extract_index_ivf(index)
    if ivf is not None:
        return {"nprobe": _probes(ivf.nlist)}
    return {"efSearch": _EF_SEARCH} if isinstance(index, faiss.IndexHNSW) else {}


def training_rows(index: Any, passages: int) -> int:
    """How many vectors an index learns from: 64 for a list and at least 65,536, in at most 2 GiB; 0 if it need not."""
    if index.is_trained:
        return 0
    ivf = faiss.try_extract_index_ivf(index)
    wanted = max(65_536, 64 * ivf.nlist if ivf is not None else 0)
    return int(min(passages, wanted, (2 << 30) // (4 * index.d)))


def check_memory(index: Any, passages: int) -> None:
    """Refuses an index that is built in memory and would not fit there; the free memory is what psutil tells.

    Raises:
        BadRequest: it would not.
    """
    needed, free = passages * _bytes_a_passage(index), psutil.virtual_memory().available
    if needed > free:
        raise BadRequest(
            f"This type of index is built in memory and needs {needed / 2**30:.3g} GiB for {passages:,} passages; "
            f"{free / 2**30:.3g} GiB are free, so take ivf-sq8 or ivf-pq, which are built on the disk."
        )


def _bytes_a_passage(index: Any) -> int:
    if isinstance(index, faiss.IndexHNSW):
        graph: Any = index.hnsw
        # The links of the lowest layer and a sixteenth more for those above, each of 4 bytes; offset, level, code.
        return int(4.25 * graph.nb_neighbors(0)) + 12 + int(index.storage.sa_code_size())
    try:
        return int(index.sa_code_size()) + 8
    except RuntimeError:
        # Other graphs, whose size FAISS does not tell: the vector and 64 links.
        return 4 * int(index.d) + 256


def _factory(kind: str, passages: int, dimension: int) -> str:
    if kind not in KINDS:
        return kind
    if kind in ("flat", "hnsw"):
        return {"flat": "Flat", "hnsw": "HNSW32"}[kind]
    lists = _lists(passages)
    if kind == "ivf-sq8":
        return f"IVF{lists},SQ8"
    if passages < _MIN_PQ:
        raise BadRequest(f"An ivf-pq index learns from at least {_MIN_PQ} passages, found {passages}; use flat.")
    width = max(number for number in (1, 2, 4, 8) if dimension % number == 0)
    return f"OPQ{dimension // width},IVF{lists},PQ{dimension // width}"


def _shorten_rotation(index: Any) -> None:
    """FAISS's 50 rounds of OPQ take minutes for a small gain; the recall at build shows what these reach."""
    if isinstance(index, faiss.IndexPreTransform):
        chain: Any = index.chain
        rotation = faiss.downcast_VectorTransform(chain.at(0))
        if isinstance(rotation, faiss.OPQMatrix):
            rotation.niter, rotation.niter_pq_0 = 8, 10


def _lists(passages: int) -> int:
    return 1 << int(math.log2(max(1, min(4 * math.sqrt(passages), passages / 39))))


def _probes(lists: int) -> int:
    return min(lists, max(128, round(2 * math.sqrt(lists))))
