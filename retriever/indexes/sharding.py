"""Making sharded indexes: splitting a corpus, building its shards, joining existing ones."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from retriever.corpus import read_corpus
from retriever.errors import BadIndex, BadRequest
from retriever.folder import new_folder
from retriever.manifest import Manifest, read_manifest

_PARTS = "parts"
_TYPES = ("bm25", "dense")
_OWN = ("factory", "search")
"""Parameters of a dense index that follow from its size, so that shards may differ in them."""


def join_shards(shards: Sequence[Path], out: Path, *, overwrite: bool = False) -> Manifest:
    """Makes one index of existing ones, which stay where they are and are found by relative paths.

    Args:
        shards: index folders of one type, built alike, over different passages.
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


def _manifest(names: Sequence[str], shards: Sequence[tuple[Path, Manifest]], fingerprint: str) -> Manifest:
    if not shards:
        raise BadRequest("a sharded index needs at least one shard.")
    if len(set(names)) < len(names):
        raise BadRequest(f"a shard is named twice in {', '.join(names)}.")
    first_folder, first = shards[0]
    for folder, manifest in shards:
        if manifest.type not in _TYPES:
            raise BadIndex(f'{folder} is an index of type "{manifest.type}"; shards are of type {" or ".join(_TYPES)}.')
        for field in ("type", "parameters", "encoder"):
            if _comparable(manifest, field) != _comparable(first, field):
                raise BadIndex(f"{folder} and {first_folder} differ in {field}; shards must be built alike.")
    return Manifest(
        type="sharded",
        passages=sum(manifest.passages for _, manifest in shards),
        corpus_sha256=fingerprint,
        parameters={"shards": list(names), "shard_type": first.type},
        versions=first.versions,
        build={"seconds": sum(manifest.build.get("seconds", 0) for _, manifest in shards)},
        encoder=first.encoder,
    )


def _comparable(manifest: Manifest, field: str) -> object:
    value = getattr(manifest, field)
    return {key: item for key, item in value.items() if key not in _OWN} if field == "parameters" else value
