"""Network calls side by side, one thread each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")

_turn = threading.Lock()


def run_apart(jobs: Sequence[Callable[[], _T]], on_gpu: bool) -> list[_T]:
    """Runs network calls: on a GPU in turn; on the CPU as many at once as torch has threads, each computed by one.

    A call computed by one thread gives the same bits every time, whatever else runs; and threads that share one small
    call spend most of their time waiting for each other where other processes need the cores. One caller at a time:
    the number of threads is a setting of the whole process, which is put back.
    """
    import torch

    if on_gpu:
        return [job() for job in jobs]
    with _turn:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            if len(jobs) <= 1 or threads == 1:
                return [job() for job in jobs]
            # The setting has a part that each thread must make for itself.
            with ThreadPoolExecutor(min(threads, len(jobs)), initializer=torch.set_num_threads, initargs=(1,)) as pool:
                return list(pool.map(lambda job: job(), jobs))
        finally:
            torch.set_num_threads(threads)
