"""Builds a folder beside its final place and moves it there only when it is complete."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retriever.errors import BadIndex
from retriever.manifest import MANIFEST


@contextmanager
def new_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """Yields a temporary sibling of `out`; renames it to `out` on success, removes it on any failure.

    Raises:
        BadIndex: `out` is taken, by something that `overwrite` does not cover.
    """
    _check_free(out, overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{out.name}.building-", dir=out.parent))
    except OSError as error:
        raise BadIndex(f"{out.parent} cannot be written ({error.strerror}); choose another --out.") from error
    try:
        building.chmod(0o755)
        yield building
        _move(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _check_free(out: Path, overwrite: bool) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadIndex(f"{out} exists and is not a folder; choose another --out.")
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / MANIFEST).is_file():
        raise BadIndex(f"{out} is neither empty nor an index; choose an empty or new folder for --out.")
    if not overwrite:
        raise BadIndex(f"{out} already holds an index; add --overwrite to replace it or choose another --out.")


def _move(building: Path, out: Path) -> None:
    if not out.exists() or not any(out.iterdir()):
        building.rename(out)
        return
    retired = Path(tempfile.mkdtemp(prefix=f".{out.name}.retired-", dir=out.parent))
    try:
        out.rename(retired)
        try:
            building.rename(out)
        except OSError:
            retired.rename(out)
            raise
    finally:
        shutil.rmtree(retired, ignore_errors=True)
