"""Hybrid indexes: the rankings of several indexes over one corpus, fused by reciprocal rank.

The folder holds only a manifest that names the folders of its members.
"""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from retriever.errors import BadIndex, BadRequest
from retriever.folder import new_folder
from retriever.indexes.base import Index
from retriever.limits import MAX_TOPK, check_topk
from retriever.manifest import Manifest, read_manifest
from retriever.types import Document, Passage


def build_hybrid(
    members: Sequence[Path],
    out: Path,
    *,
    weights: Sequence[float] | None = None,
    k: int = 20,
    depth: int = 100,
    overwrite: bool = False,
) -> Manifest:
    """Makes one index of existing ones, which stay where they are and are found by relative paths.

    Args:
        members: two or more index folders over one corpus.
        out: a folder that does not exist, is empty or, with `overwrite`, is an index.
        weights: how much the ranking of each member counts, more than 0; 1 each if not given.
        k: how little the first ranks stand out, at least 1. The paper (see `HybridIndex`) has 60; of 1, 5, 10, 20 and
            60, with a depth of 20 to 200, 20 found most answers to 1,500 questions of NQ, TriviaQA and 2WikiMultihopQA
            with BM25 and MiniLM, by a small margin.
        depth: passages asked of each member, from 1 to 1,000; more where a search asks for more.

    Raises:
        BadIndex: a member is no index, or they are over different corpora; `out` is taken.
        BadRequest: an argument is not accepted.
    """
    started = time.monotonic()
    weights = [1.0] * len(members) if weights is None else [float(weight) for weight in weights]
    _check_arguments(members, out, weights, k, depth)
    manifests = [read_manifest(member) for member in members]
    for member, manifest in zip(members[1:], manifests[1:], strict=True):
        check_same_corpus(members[0], manifests[0], member, manifest)
    with new_folder(out, overwrite) as building:
        manifest = Manifest(
            type="hybrid",
            passages=manifests[0].passages,
            corpus_sha256=next((found.corpus_sha256 for found in manifests if found.corpus_sha256), ""),
            parameters={
                "members": [os.path.relpath(member, out) for member in members],
                "weights": weights,
                "k": k,
                "depth": depth,
            },
            versions={},
            build={"seconds": round(time.monotonic() - started, 3)},
        )
        manifest.write(building)
    return manifest


class HybridIndex(Index):
    """Members searched at once, their rankings fused; closes them when it is closed.

    A passage scores the sum of `weight / (k + rank)` over the members that rank it (reciprocal rank fusion: Cormack,
    Clarke and Büttcher, SIGIR 2009); equal scores are ordered by id.
    """

    def __init__(self, folder: Path, manifest: Manifest, members: Sequence[Index], weights: Sequence[float]) -> None:
        super().__init__(folder, manifest)
        self._members = members
        self._weights = weights
        self._k: int = manifest.parameter("k", int, folder)
        self._depth: int = manifest.parameter("depth", int, folder)
        # Only waits and fuses; more batches than this are never under way at once in practice.
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="retriever-fuse")

    @classmethod
    def open(cls, folder: Path, open_index: Callable[[Path], Index]) -> HybridIndex:
        """Opens all members.

        Args:
            folder: a folder that `build_hybrid` made.
            open_index: opens the folder of one member.

        Raises:
            BadIndex: the manifest or a member is missing or broken, or a member is now over another corpus.
        """
        manifest = read_manifest(folder)
        names, weights = _members(folder, manifest)
        with ExitStack() as opened:
            members = []
            for name in names:
                members.append(open_index(folder / name))
                opened.callback(members[-1].close)
                check_same_corpus(folder, manifest, folder / name, members[-1].manifest)
            index = cls(folder, manifest, members, weights)
            opened.pop_all()
        return index

    def submit(self, queries: Sequence[str], topk: int) -> Future[list[list[Passage]]]:
        """See `Index.submit`; every member is asked at once."""
        check_topk(topk)
        answers = [member.submit(queries, max(topk, self._depth)) for member in self._members]
        return self._pool.submit(self._fuse_answers, answers, topk)

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """See `Index.documents`."""
        return self._members[0].documents(ids)

    def close(self) -> None:
        """Closes all members."""
        for member in self._members:
            member.close()
        self._pool.shutdown()

    def _fuse_answers(self, answers: Sequence[Future[list[list[Passage]]]], topk: int) -> list[list[Passage]]:
        rankings = [answer.result() for answer in answers]
        return [fuse(ranked, self._weights, self._k)[:topk] for ranked in zip(*rankings, strict=True)]


def fuse(rankings: Sequence[Sequence[Passage]], weights: Sequence[float], k: int) -> list[Passage]:
    """Fuses rankings of one query by reciprocal rank; see `HybridIndex`."""
    scores: defaultdict[str, float] = defaultdict(float)
    passages: dict[str, Passage] = {}
    for ranked, weight in zip(rankings, weights, strict=True):
        for rank, passage in enumerate(ranked, start=1):
            scores[passage.id] += weight / (k + rank)
            passages[passage.id] = passage
    order = sorted(scores, key=lambda key: (-scores[key], key))
    return [Passage(key, passages[key].title, passages[key].text, scores[key]) for key in order]


def check_same_corpus(folder: Path, manifest: Manifest, other_folder: Path, other: Manifest) -> None:
    """Compares the corpora of two indexes; one without a fingerprint, built elsewhere, by the number of passages.

    Raises:
        BadIndex: they differ.
    """
    known = manifest.corpus_sha256 and other.corpus_sha256
    if manifest.passages != other.passages or (known and manifest.corpus_sha256 != other.corpus_sha256):
        raise BadIndex(
            f"{folder} ({manifest.passages:,} passages) and {other_folder} ({other.passages:,} passages) are over "
            "different corpora; build both of one corpus."
        )


def check_out_is_apart(members: Sequence[Path], out: Path) -> None:
    """Raises `BadRequest` where writing `out` would replace a member."""
    place = out.resolve()
    for member in members:
        if place == member.resolve() or place in member.resolve().parents:
            raise BadRequest(f"{out} would replace {member}, of which it is to be made; choose another --out.")


def _check_arguments(members: Sequence[Path], out: Path, weights: Sequence[float], k: int, depth: int) -> None:
    if len({member.resolve() for member in members}) < max(2, len(members)):
        raise BadRequest("a hybrid index needs two or more different indexes.")
    check_out_is_apart(members, out)
    if len(weights) != len(members) or not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise BadRequest(f"weights must be {len(members)} numbers above 0, one for each index, found {list(weights)}.")
    if k < 1:
        raise BadRequest(f"k must be at least 1, found {k}.")
    if not 1 <= depth <= MAX_TOPK:
        raise BadRequest(f"depth must be from 1 to {MAX_TOPK}, found {depth}.")


def _members(folder: Path, manifest: Manifest) -> tuple[list[str], list[float]]:
    names: list[str] = manifest.parameter("members", list, folder)
    weights: list[float] = manifest.parameter("weights", list, folder)
    numbers = all(isinstance(weight, (int, float)) for weight in weights)
    if not names or len(names) != len(weights) or not numbers or not all(isinstance(name, str) for name in names):
        raise BadIndex(
            f'{folder}: parameters "members" and "weights" must be as many folders and numbers; build again.'
        )
    return names, weights
