"""Loaded by every Python process of the overhead benchmark: says twice a second whose code its CPU time went to."""

import contextlib
import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

_INTERVAL_S = 0.02
_OURS = ("mrsearch", "retriever")
_OTHERS = ("verl", "vllm", "ray", "torch", "transfer_queue", "tensordict", "pyserini", "jnius")


def owner(frame: FrameType | None) -> str:
    """The package of the innermost frame that is neither the standard library nor a small helper of its caller."""
    while frame:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package in _OURS or package in _OTHERS:
            return package
        frame = frame.f_back
    return "other"


def owners_now() -> dict[int, str]:
    """By thread. No frame is kept: one that lives on keeps its variables, and shared memory under them cannot close."""
    return {thread: owner(frame) for thread, frame in sys._current_frames().items()}


def watch(folder: Path) -> None:
    out = folder / f"{os.getpid()}.jsonl"
    seconds: Counter[str] = Counter()
    before: dict[int | None, float] = {}
    written = 0.0
    me = threading.get_ident()
    with out.open("a") as file:
        while True:
            time.sleep(_INTERVAL_S)
            owners = owners_now()
            for thread in threading.enumerate():
                if thread.ident != me:
                    # A thread may have ended; asking the C library for its clock would then crash the process.
                    with contextlib.suppress(OSError, ValueError):
                        spent = int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]) / 1e9
                        seconds[owners.get(thread.ident, "other")] += max(
                            0.0, spent - before.get(thread.native_id, spent)
                        )
                        before[thread.native_id] = spent
            if time.monotonic() - written > 0.5:
                written = time.monotonic()
                own = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
                line = {"time": time.time(), "process": time.process_time() - own, **seconds}
                file.write(json.dumps(line) + "\n")
                file.flush()


if folder := os.environ.get("MRSEARCH_SAMPLES"):
    threading.Thread(target=watch, args=(Path(folder),), daemon=True).start()
