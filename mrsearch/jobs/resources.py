"""Time and memory that a job takes, summed over interruptions."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from mrsearch.runs import write_atomically

_GIB = 2**30
_SAMPLE_SECONDS = 3.0


class Resources:
    """Minutes spent and the largest memory of this process and all its descendants together.

    Memory is the sum of proportional set sizes, so pages that processes share count once. A job that is
    interrupted and continued adds its minutes and keeps its largest memory.

    Args:
        file: keeps the figures between starts.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        before = json.loads(file.read_text()) if file.is_file() else {"minutes": 0.0, "peak_memory_gib": 0.0}
        self._minutes_before: float = before["minutes"]
        self.peak_memory_gib: float = before["peak_memory_gib"]
        self._start = time.monotonic()

    @property
    def minutes(self) -> float:
        return self._minutes_before + (time.monotonic() - self._start) / 60

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Samples memory in the background for the time of the job."""
        done = threading.Event()
        sampler = threading.Thread(target=self._sample_until, args=(done,), daemon=True)
        sampler.start()
        try:
            yield
        finally:
            done.set()
            sampler.join()
            self._save()

    def _sample_until(self, done: threading.Event) -> None:
        while not done.wait(_SAMPLE_SECONDS):
            self.peak_memory_gib = max(self.peak_memory_gib, _memory_of_all() / _GIB)
            self._save()

    def _save(self) -> None:
        figures = {"minutes": self.minutes, "peak_memory_gib": self.peak_memory_gib}
        write_atomically(self._file, json.dumps(figures))


def _memory_of_all() -> int:
    me = psutil.Process()
    return sum(_memory(process) for process in [me, *me.children(recursive=True)])


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:  # it ended meanwhile
        return 0
