"""Builds a folder beside its final place and moves it there only when it is complete."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retriever.errors import BadIndex
from retriever.manifest import MANIFEST

# Java and FAISS raise errors of their own for a full disk, with the system's words for it.
_FULL = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]


@contextmanager
def new_folder(out: Path, overwrite: bool, *, resume: bool = False) -> Iterator[Path]:
    """Yields `.NAME.building` beside `out`; renames it to `out` on success, removes it on any failure.

    What a killed build left is removed by the next one of the same `out`.

    Args:
        out: the folder to make.
        overwrite: whether an index there may be replaced; it stays until the new one is complete.
        resume: yields what a killed or failed build left as it is, and leaves it there on failure; the caller finds
            out what of it is of use.

    Raises:
        BadIndex: `out` is taken by something that `overwrite` does not cover, another process builds it, or the
            disk is full.
    """
    building = _beside(out, "building")
    with _only_builder(out):
        _restore(out)
        _check_free(out, overwrite)
        if not resume:
            shutil.rmtree(building, ignore_errors=True)
        try:
            building.mkdir(exist_ok=True)
            yield building
            _move(building, out)
        except Exception as error:
            if cause := next((sentence for sentence in _FULL if sentence in str(error)), None):
                raise BadIndex(f"{out} was not built ({cause}); free disk space or choose another --out.") from error
            raise
        finally:
            if not resume:
                shutil.rmtree(building, ignore_errors=True)


def _beside(out: Path, state: str) -> Path:
    return out.parent / f".{out.name}.{state}"


@contextmanager
def _only_builder(out: Path) -> Iterator[None]:
    """Holds a lock that ends with this process, however it ends."""
    path = _beside(out, "lock")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(path)
    except BlockingIOError as error:
        raise BadIndex(f"{out} is being built by another process; wait for it or choose another --out.") from error
    except OSError as error:
        raise BadIndex(f"{out.parent} cannot be written ({error.strerror}); choose another --out.") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _lock(path: Path) -> int:
    while True:
        lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        except OSError:
            os.close(lock)
            raise
        # Another build removed the file when it was done, after it was opened here.
        os.close(lock)


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
    """Renames `building` to `out`; an index there is renamed first, so that a kill in between loses nothing."""
    if (out / MANIFEST).is_file():
        out.rename(_beside(out, "retired"))
    try:
        building.rename(out)
    finally:
        _restore(out)


def _restore(out: Path) -> None:
    """Brings back the index that a build had renamed and not yet replaced, and removes one that it had replaced."""
    retired = _beside(out, "retired")
    if (out / MANIFEST).is_file():
        shutil.rmtree(retired, ignore_errors=True)
    elif retired.is_dir() and not (out.exists() and any(out.iterdir())):
        retired.rename(out)
