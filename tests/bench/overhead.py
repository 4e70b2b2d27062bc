"""How much of a training step's CPU time goes to our own code.

    python tests/bench/overhead.py [--steps 8]

Trains as the quickstart does, with verl, vLLM, Ray Serve and BM25, while a thread in every Python process notes
fifty times a second which package's code each of its threads is in, and how much CPU time that thread has used since.
Counted from the end of the second step, when engines are warm, to the end of the last: CPU seconds of all processes
(Java, Ray's own and native threads included), and those in `mrsearch` and `retriever` together with what these call of
the standard library and of small helpers. Shares of CPU time stay what they are on a busy machine.

Prints JSON: seconds by owner and step, and our share.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from mrsearch.data.world import WorldParameters, make_world, write_world
from mrsearch.runs import RunFolder, read_json_lines

OURS = ("mrsearch", "retriever")


def train(folder: Path, steps: int) -> tuple[list[float], list[float]]:
    """Runs a training; returns when each step ended, and the CPU seconds of the whole family by then."""
    world, run = folder / "world", RunFolder(folder / "run")
    write_world(make_world(WorldParameters(), 0), world)
    samples = folder / "samples"
    samples.mkdir()
    environment = os.environ | {
        "MRSEARCH_SAMPLES": str(samples),
        "PYTHONPATH": f"{Path(__file__).parent / 'sampled'}:{os.environ.get('PYTHONPATH', '')}",
    }
    command = [sys.executable, "-m", "mrsearch", "train", "quickstart", "--out", run.path]
    command += ["--questions", world / "train.jsonl", "--corpus", world / "corpus.jsonl"]
    command += [f"trainer.total_training_steps={steps}", "trainer.save_freq=1000"]
    ends: list[float] = []
    cpu: list[float] = []
    with subprocess.Popen(list(map(str, command)), env=environment, stdout=sys.stderr) as process:
        while process.poll() is None:
            time.sleep(0.2)
            if len(run.read_metrics() if run.metrics.is_dir() else []) > len(ends):
                ends.append(time.time())
                cpu.append(family_cpu(process.pid))
    if process.returncode:
        raise SystemExit(f"The training failed; see {run.logs}.")
    return ends, cpu


def family_cpu(pid: int) -> float:
    """CPU seconds so far of a process and all below it."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


def by_owner(samples: Path, start: float, end: float) -> Counter[str]:
    """CPU seconds by owner between two moments, over all processes."""
    total: Counter[str] = Counter()
    for file in samples.glob("*.jsonl"):
        lines = [line for line in read_json_lines(file) if start <= line["time"] <= end]
        if len(lines) > 1:
            total.update({name: lines[-1][name] - lines[0].get(name, 0.0) for name in lines[-1] if name != "time"})
    return total


def measure(steps: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ends, cpu = train(folder, steps)
        start, end, counted = ends[1], ends[-1], len(ends) - 2
        owners = by_owner(folder / "samples", start, end)
    owners.pop("process")
    total = cpu[-1] - cpu[1]
    ours = sum(owners[owner] for owner in OURS)
    return {
        "what": "CPU seconds of a training step by whose code they went to; the rest is native or Java",
        "steps": counted,
        "wall_seconds_per_step": round((end - start) / counted, 2),
        "cpu_seconds_per_step": round(total / counted, 3),
        "by_owner": {owner: round(seconds / counted, 4) for owner, seconds in owners.most_common()},
        "ours_per_step": round(ours / counted, 4),
        "ours_share_of_cpu": round(ours / total, 4),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    print(json.dumps(measure(parser.parse_args().steps), indent=2))
