"""`info`: what an index folder or a server holds."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from retriever.commands.console import one_sentence
from retriever.errors import SearchFailed
from retriever.indexes import index_type, open_index
from retriever.manifest import MANIFEST, Manifest, read_manifest
from retriever.service.settings import TOKEN_VARIABLE

_TIMEOUT_S = 10.0


def info(
    target: Annotated[str, typer.Argument(metavar="DIR|URL", help="Index folder or server address.")],
    as_json: Annotated[bool, typer.Option("--json", help="The whole manifest as one JSON object.")] = False,
) -> None:
    """Show what an index folder or a server holds; a folder's files are checked against its manifest."""
    with one_sentence():
        if target.startswith(("http://", "https://")):
            manifest, place = _served(target), "served"
        else:
            manifest, place = _checked(Path(target)), f"{_bytes_on_disk(Path(target)) / 1e6:,.1f} MB on disk"
    if as_json:
        typer.echo(json.dumps(asdict(manifest), indent=2, ensure_ascii=False))
        return
    typer.echo(f"{manifest.type}, {manifest.passages:,} passages, {place}: {target}")
    for name in ("parameters", "encoder", "corpus_sha256", "versions", "build"):
        if value := getattr(manifest, name):
            typer.echo(f"  {name:<14}{_plain(value)}")


def _checked(folder: Path) -> Manifest:
    index_type(folder)
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        manifest.check_files(folder)
        return manifest
    # An index that Pyserini built says what it holds only when it is opened.
    index = open_index(folder)
    index.close()
    return index.manifest


def _bytes_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _served(url: str) -> Manifest:
    import httpx

    address = f"{url.rstrip('/')}/v1/index"
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        response = httpx.get(address, headers=headers, timeout=_TIMEOUT_S, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise SearchFailed(f"{address} did not answer ({error}); check the address.") from error
    try:
        if response.status_code == 200:
            return Manifest(**response.json())
    except (ValueError, TypeError):
        pass
    said = " ".join(response.text.split())[:200]
    raise SearchFailed(f"{address} answered with HTTP status {response.status_code}: {said}; is it a retriever?")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return str(value)
