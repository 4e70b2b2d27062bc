"""Reranked indexes: the first passages of another index, put in order by a cross-encoder.

The folder holds only a manifest that names the folder of the other index and the model.
"""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from retriever.encoders.cross_encoder import CrossEncoder, CrossEncoderSpec
from retriever.errors import BadRequest
from retriever.folder import new_folder
from retriever.indexes.base import Index
from retriever.indexes.hybrid import check_out_is_apart, check_same_corpus
from retriever.limits import MAX_TOPK, check_topk, clean_queries
from retriever.manifest import Manifest, read_manifest
from retriever.types import Document, Passage


def build_rerank(
    member: Path, out: Path, model: str, *, depth: int = 50, overwrite: bool = False, **options: Any
) -> Manifest:
    """Puts a cross-encoder on top of an index, which stays where it is and is found by a relative path.

    Args:
        member: an index folder.
        out: a folder that does not exist, is empty or, with `overwrite`, is an index.
        model: hub name or folder of a cross-encoder with one score.
        depth: passages that are put in order, from 1 to 1,000; more where a search asks for more.
        options: `revision`, `max_length` and `dtype`, see `CrossEncoderSpec`.

    Raises:
        BadIndex: `member` is no index; `out` is taken.
        BadModel: the model is missing or is no such cross-encoder.
        BadRequest: an argument is not accepted.
    """
    started = time.monotonic()
    if not 1 <= depth <= MAX_TOPK:
        raise BadRequest(f"depth must be from 1 to {MAX_TOPK}, found {depth}.")
    check_out_is_apart([member], out)
    below = read_manifest(member)
    spec = CrossEncoderSpec.resolve(model, **options)
    with new_folder(out, overwrite) as building:
        manifest = Manifest(
            type="rerank",
            passages=below.passages,
            corpus_sha256=below.corpus_sha256,
            parameters={"member": os.path.relpath(member, out), "depth": depth, "reranker": spec.to_dict()},
            versions={name: importlib.metadata.version(name) for name in ("torch", "transformers")},
            build={"seconds": round(time.monotonic() - started, 3)},
        )
        manifest.write(building)
    return manifest


class RerankIndex(Index):
    """An index whose first passages a cross-encoder puts in order; equal scores are ordered by id.

    Scores are the model's logits: larger is better, and below 0 is no rarity.
    """

    def __init__(self, folder: Path, manifest: Manifest, member: Index, reranker: CrossEncoder) -> None:
        super().__init__(folder, manifest)
        self._member = member
        self._reranker = reranker
        self._depth: int = manifest.parameter("depth", int, folder)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="retriever-rerank")

    @classmethod
    def open(cls, folder: Path, open_index: Callable[[Path], Index]) -> RerankIndex:
        """Opens the index below and loads the model.

        Args:
            folder: a folder that `build_rerank` made.
            open_index: opens the folder of the index below.

        Raises:
            BadIndex: the manifest or the index below is missing or broken, or is now over another corpus.
            BadModel: the model is missing or no longer the same.
        """
        manifest = read_manifest(folder)
        below = folder / manifest.parameter("member", str, folder)
        reranker = CrossEncoder(CrossEncoderSpec.from_dict(manifest.parameter("reranker", dict, folder)))
        member = open_index(below)
        try:
            check_same_corpus(folder, manifest, below, member.manifest)
            return cls(folder, manifest, member, reranker)
        except BaseException:
            member.close()
            raise

    def submit(self, queries: Sequence[str], topk: int) -> Future[list[list[Passage]]]:
        """See `Index.submit`; batches are answered in order."""
        check_topk(topk)
        cleaned = clean_queries(queries)
        candidates = self._member.submit(cleaned, max(topk, self._depth))
        return self._thread.submit(self._rerank, cleaned, candidates, topk)

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """See `Index.documents`."""
        return self._member.documents(ids)

    def close(self) -> None:
        """Closes the index below."""
        self._member.close()
        self._thread.shutdown()

    def _rerank(self, queries: list[str], answer: Future[list[list[Passage]]], topk: int) -> list[list[Passage]]:
        candidates = answer.result()
        reranked = []
        for passages, scores in zip(candidates, self._reranker.scores(queries, candidates), strict=True):
            scored = [replace(passage, score=score) for passage, score in zip(passages, scores, strict=True)]
            reranked.append(sorted(scored, key=lambda passage: (-passage.score, passage.id))[:topk])
        return reranked
