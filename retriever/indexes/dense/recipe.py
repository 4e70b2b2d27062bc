"""What to build: the FAISS factory string of each kind of index, and its parameters by the size of the corpus."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import faiss

from retriever.errors import BadIndex, BadRequest
from retriever.indexes.dense.engine import set_parameters
from retriever.indexes.dense.faiss_files import faiss_errors

KINDS = ("flat", "hnsw", "ivf-sq8", "ivf-pq")
_ACCEPTED = f'accepted are {", ".join(KINDS)} and FAISS factory strings such as "OPQ48,IVF4096,PQ48"'
_MIN_PQ = 256


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
            raise BadRequest(f'No index "{self.factory}" of {dimension} dimensions: {_ACCEPTED}; {error}') from error
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

    Raises:
        BadRequest: the kind is neither one of `KINDS` nor a factory string, or the corpus is too small for it.
    """
    recipe = _default(kind, passages, dimension)
    index = recipe.new_index(dimension)
    return recipe if kind in KINDS else Recipe(recipe.factory, search=default_search(index))


def default_search(index: Any) -> dict[str, float]:
    """The search parameters of an index that is not one of `KINDS`."""
    ivf = faiss.try_extract_index_ivf(index)
    return {} if ivf is None else {"nprobe": _probes(ivf.nlist)}


def training_rows(index: Any, passages: int) -> int:
    """How many vectors an index learns from: 64 for a list and at least 65,536, in at most 2 GiB; 0 if it need not."""
    if index.is_trained:
        return 0
    ivf = faiss.try_extract_index_ivf(index)
    wanted = max(65_536, 64 * ivf.nlist if ivf is not None else 0)
    return int(min(passages, wanted, (2 << 30) // (4 * index.d)))


def _default(kind: str, passages: int, dimension: int) -> Recipe:
    if kind == "flat":
        return Recipe("Flat")
    if kind == "hnsw":
        return Recipe("HNSW32", build={"efConstruction": 100}, search={"efSearch": 256})
    if kind not in KINDS:
        return Recipe(kind)
    lists = _lists(passages)
    search = {"nprobe": _probes(lists)}
    if kind == "ivf-sq8":
        return Recipe(f"IVF{lists},SQ8", search=search)
    if passages < _MIN_PQ:
        raise BadRequest(f"An ivf-pq index learns from at least {_MIN_PQ} passages, found {passages}; use flat.")
    width = max(number for number in (1, 2, 4, 8) if dimension % number == 0)
    return Recipe(f"OPQ{dimension // width},IVF{lists},PQ{dimension // width}", search=search)


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
