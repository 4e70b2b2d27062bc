"""A folder appears complete or not at all, whatever happens to the process that builds it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retriever.errors import BadIndex
from retriever.folder import new_folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def build(out: Path, content: str, overwrite: bool = False) -> None:
    with new_folder(out, overwrite) as building:
        (building / "manifest.json").write_text(content)


BUILD_UNTIL_KILLED = """
import signal, sys
from pathlib import Path
from retriever.folder import new_folder
with new_folder(Path(sys.argv[1]), overwrite=True, resume=bool(sys.argv[2])) as building:
    (building / "half").write_text("written")
    print("building", flush=True)
    signal.pause()
"""


def kill_a_build(out: Path, resume: bool = False) -> None:
    command = [sys.executable, "-c", BUILD_UNTIL_KILLED, out, "resume" if resume else ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "building\n"
        child.kill()


def test_the_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    with new_folder(tmp_path / "index", overwrite=False) as building:
        assert building.parent == tmp_path
        assert "index" not in names(tmp_path)
    assert names(tmp_path) == {"index"}


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    build(tmp_path / "index", "old")
    kill_a_build(tmp_path / "index")
    assert names(tmp_path) == {"index", ".index.building", ".index.lock"}
    assert (tmp_path / "index" / "manifest.json").read_text() == "old"
    build(tmp_path / "index", "new", overwrite=True)
    assert names(tmp_path) == {"index"}
    assert names(tmp_path / "index") == {"manifest.json"}


def test_what_a_killed_build_left_can_be_resumed(tmp_path: Path) -> None:
    kill_a_build(tmp_path / "index", resume=True)
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "index", False, resume=True) as building:
        assert (building / "half").read_text() == "written"
        raise ZeroDivisionError
    with new_folder(tmp_path / "index", False, resume=True) as building:
        assert (building / "half").read_text() == "written"
    assert names(tmp_path) == {"index"}


def test_a_build_under_way_is_left_alone(tmp_path: Path) -> None:
    with new_folder(tmp_path / "index", overwrite=False) as building:
        (building / "half").touch()
        with pytest.raises(BadIndex, match="index is being built by another process; wait for it or choose another"):
            build(tmp_path / "index", "other")
        assert names(building) == {"half"}
    build(tmp_path / "index-2", "of another name")
    assert names(tmp_path) == {"index", "index-2"}


def test_a_kill_before_the_new_index_took_its_place_loses_nothing(tmp_path: Path) -> None:
    build(tmp_path / ".index.retired", "old")
    (tmp_path / "index").mkdir()
    with pytest.raises(BadIndex, match="already holds an index"):
        build(tmp_path / "index", "newer")
    assert names(tmp_path) == {"index"}
    assert (tmp_path / "index" / "manifest.json").read_text() == "old"


def test_a_kill_after_the_new_index_took_its_place_loses_nothing(tmp_path: Path) -> None:
    build(tmp_path / "index", "new")
    build(tmp_path / ".index.retired", "old")
    with pytest.raises(BadIndex, match="already holds an index"):
        build(tmp_path / "index", "newer")
    assert names(tmp_path) == {"index"}
    assert (tmp_path / "index" / "manifest.json").read_text() == "new"


def test_an_old_index_is_not_removed_for_what_is_no_index(tmp_path: Path) -> None:
    build(tmp_path / ".index.retired", "old")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "notes.txt").touch()
    with pytest.raises(BadIndex, match="is neither empty nor an index"):
        build(tmp_path / "index", "newer", overwrite=True)
    assert names(tmp_path) == {"index", ".index.retired"}


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        RuntimeError("java.io.IOException: No space left on device"),
    ],
)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    with (
        pytest.raises(BadIndex, match=r"index was not built \((No space|Disk quota).*\); free disk space or choose"),
        new_folder(tmp_path / "index", overwrite=False),
    ):
        raise error
    assert names(tmp_path) == set()


def test_refuses_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadIndex, match=r"file cannot be written \(.*\); choose another --out"):
        build(tmp_path / "file" / "index", "x")
