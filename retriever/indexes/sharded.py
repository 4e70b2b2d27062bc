"""Sharded indexes: several index folders of one type, over parts of one corpus, searched as one.

The folder holds only a manifest that names the folders of the shards. Opened in one process, all shards are searched
there; in a cluster each can have a process and a machine of its own (see `retriever.service.ray_serve`). The best
passages of all shards are merged by score, equal scores by id. Scores of dense indexes are the same as without
shards. BM25 weighs a word by how many passages of the shard hold it, so its scores differ slightly.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from retriever.corpus import read_corpus
from retriever.errors import BadIndex, BadRequest
from retriever.folder import new_folder
from retriever.indexes.base import Index
from retriever.manifest import Manifest, read_manifest
from retriever.types import Document, Passage

_PARTS = "parts"


class ShardedIndex(Index):
    """Loaded shards, in this process or elsewhere, searched as one index; closes them when it is closed."""

    def __init__(self, folder: Path, manifest: Manifest, shards: Sequence[Index]) -> None:
        super().__init__(folder, manifest)
        self._shards = shards
        # Only waits and merges; more batches than this are never under way at once in practice.
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="retriever-merge")

    @classmethod
    def open(cls, folder: Path, open_index: Callable[[Path], Index]) -> ShardedIndex:
        """Opens all shards in this process.

        Args:
            folder: a folder that `join_shards` or `build_shards` made.
            open_index: opens the folder of one shard.

        Raises:
            BadIndex: the manifest or a shard is missing or broken, or they contradict each other.
        """
        manifest = read_manifest(folder)
        with ExitStack() as opened:
            shards = [open_index(shard) for shard in shard_folders(folder, manifest)]
            for shard in shards:
                opened.callback(shard.close)
            _check_count(folder, manifest, [shard.manifest for shard in shards])
            opened.pop_all()
        return cls(folder, manifest, shards)

    def submit(self, queries: Sequence[str], topk: int) -> Future[list[list[Passage]]]:
        """See `Index.submit`; every shard is asked at once."""
        answers = [shard.submit(queries, topk) for shard in self._shards]
        return self._pool.submit(_merge_answers, answers, topk)

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """See `Index.documents`; every shard is asked for what those before it do not hold."""
        found: dict[str, Document] = {}
        for shard in self._shards:
            missing = [key for key in ids if key not in found]
            found.update((document.id, document) for document in shard.documents(missing) if document)
        return [found.get(key) for key in ids]

    def close(self) -> None:
        """Closes all shards."""
        for shard in self._shards:
            shard.close()
        self._pool.shutdown()


def shard_folders(folder: Path, manifest: Manifest) -> list[Path]:
    """The index folders of the shards that a sharded index names, in their order.

    Raises:
        BadIndex: the manifest names none.
    """
    names = manifest.parameter("shards", list, folder)
    if not names or not all(isinstance(name, str) for name in names):
        raise BadIndex(f'{folder}: parameter "shards" must be a list of folders; build the index again.')
    return [folder / name for name in names]


def join_shards(shards: Sequence[Path], out: Path, *, overwrite: bool = False) -> Manifest:
    """Makes one index of existing ones, which stay where they are and are found by relative paths.

    Args:
        shards: index folders of one type, with equal parameters and encoder, over different passages.
        out: a folder that does not exist, is empty or, with `overwrite`, is an index.

    Raises:
        BadIndex: a shard is no index, or differs from the first; `out` is taken.
        BadRequest: no shard, or one twice.
    """
    with new_folder(out, overwrite) as building:
        names = [os.path.relpath(shard, out) for shard in shards]
        manifest = _manifest(names, [(shard, read_manifest(shard)) for shard in shards], fingerprint="")
        manifest.write(building)
    return manifest


def build_shards(
    corpus: Path, out: Path, shards: int, build: Callable[[Path, Path], Manifest], *, overwrite: bool = False
) -> Manifest:
    """Splits a corpus and builds one index of each part, inside one folder.

    Args:
        corpus: see `retriever.corpus`.
        out: a folder that does not exist, is empty or, with `overwrite`, is an index.
        shards: how many.
        build: builds an index of a corpus (first argument) at a new folder (second).

    Raises:
        BadCorpus, BadRequest: see `split_corpus`; further, what `build` raises.
    """
    started = time.monotonic()
    with new_folder(out, overwrite) as building:
        parts, fingerprint = split_corpus(corpus, shards, building / _PARTS)
        built: list[tuple[Path, Manifest]] = []
        for number, part in enumerate(parts):
            folder = building / f"shard-{number}"
            built.append((folder, build(part, folder)))
            part.unlink()
        (building / _PARTS).rmdir()
        manifest = _manifest([folder.name for folder, _ in built], built, fingerprint)
        manifest.build["seconds"] = round(time.monotonic() - started, 3)
        manifest.write(building)
    return manifest


def split_corpus(corpus: Path, parts: int, folder: Path) -> tuple[list[Path], str]:
    """Deals the passages of a corpus out to files of JSON lines, `part-0.jsonl` and so on.

    Passage n goes to part n modulo `parts`: so each part is a fair sample of the corpus, the parts of an article
    are in different shards and share the work of a query about it, and words weigh nearly the same in every shard.

    Args:
        corpus: see `retriever.corpus`.
        parts: how many, at least 1.
        folder: where to; made where it is missing.

    Returns:
        The files, and the fingerprint of the corpus (see `Manifest.corpus_sha256`).

    Raises:
        BadCorpus: the corpus cannot be read or holds something else than passages.
        BadRequest: `parts` is less than 1 or more than there are passages.
    """
    if parts < 1:
        raise BadRequest(f"shards must be at least 1, found {parts}.")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part-{number}.jsonl" for number in range(parts)]
    digest = hashlib.sha256()
    passages = 0
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("w", encoding="ascii")) for path in paths]
        for passages, document in enumerate(read_corpus(corpus), start=1):
            line = f"{document.to_json()}\n"
            digest.update(line.encode("ascii"))
            files[(passages - 1) % parts].write(line)
    if passages < parts:
        raise BadRequest(f"{corpus} holds {passages} passages, too few for {parts} shards.")
    return paths, digest.hexdigest()


def _merge_answers(answers: Sequence[Future[list[list[Passage]]]], topk: int) -> list[list[Passage]]:
    by_shard = [answer.result() for answer in answers]
    return [sorted(chain.from_iterable(ranked), key=_rank)[:topk] for ranked in zip(*by_shard, strict=True)]


def _rank(passage: Passage) -> tuple[float, str]:
    return -passage.score, passage.id


def _manifest(names: Sequence[str], shards: Sequence[tuple[Path, Manifest]], fingerprint: str) -> Manifest:
    if not shards:
        raise BadRequest("a sharded index needs at least one shard.")
    if len(set(names)) < len(names):
        raise BadRequest(f"a shard is named twice in {', '.join(names)}.")
    first_folder, first = shards[0]
    for folder, manifest in shards:
        for field in ("type", "parameters", "encoder"):
            if getattr(manifest, field) != getattr(first, field):
                raise BadIndex(f"{folder} and {first_folder} differ in {field}; shards must be built alike.")
    if first.type == "sharded":
        raise BadIndex(f"{first_folder} is itself sharded; name its shards instead.")
    return Manifest(
        type="sharded",
        passages=sum(manifest.passages for _, manifest in shards),
        corpus_sha256=fingerprint,
        parameters={"shards": list(names), "shard_type": first.type},
        versions=first.versions,
        build={"seconds": sum(manifest.build.get("seconds", 0) for _, manifest in shards)},
        encoder=first.encoder,
    )


def _check_count(folder: Path, manifest: Manifest, shards: Sequence[Manifest]) -> None:
    held = sum(shard.passages for shard in shards)
    if held != manifest.passages:
        said = manifest.passages
        raise BadIndex(f"{folder} says {said} passages, its shards hold {held}; join them again.")
