"""How long credit assignment takes: prints JSON figures of `mrsearch.credit` and of plain Python loops.

Run: PYTHONPATH=. python tests/bench/credit.py [--repeats N]
"""

import argparse
import json
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from mrsearch.credit import spread, turn_rloo

QUESTIONS, GROUP, ATTEMPTS, TOKENS = 512, 5, 3, 8192

Credit = Callable[[npt.NDArray[np.float64], list[str], npt.NDArray[np.int8]], npt.NDArray[np.float32]]


def vectorised(
    rewards: npt.NDArray[np.float64], groups: list[str], attempts: npt.NDArray[np.int8]
) -> npt.NDArray[np.float32]:
    return spread(turn_rloo(rewards, groups, np.ones(len(rewards), bool)), attempts)


def loops(
    rewards: npt.NDArray[np.float64], groups: list[str], attempts: npt.NDArray[np.int8]
) -> npt.NDArray[np.float32]:
    """The baseline: over groups, members and attempts, as the equations read."""
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    out = np.zeros(attempts.shape, np.float32)
    for rows in members.values():
        for i in rows:
            peers = [j for j in rows if j != i]
            own = [rewards[i, n] - np.mean([rewards[j, n] for j in peers]) for n in range(ATTEMPTS)]
            for n in range(ATTEMPTS):
                out[i, attempts[i] == n] = sum(own[n:])
    return out


def inputs() -> tuple[npt.NDArray[np.float64], list[str], npt.NDArray[np.int8]]:
    """Rewards of 0 and 1, UUID groups, and tokens of which a third nobody sampled."""
    rng = np.random.default_rng(0)
    batch = QUESTIONS * GROUP
    rewards = rng.integers(0, 2, (batch, ATTEMPTS)).astype(np.float64)
    groups = [group for group in (str(uuid4()) for _ in range(QUESTIONS)) for _ in range(GROUP)]
    attempts = np.sort(rng.integers(0, ATTEMPTS, (batch, TOKENS), np.int8), axis=1)
    stretches = np.repeat(rng.integers(0, 3, (batch, TOKENS // 64)) == 0, 64, axis=1)
    attempts[stretches] = -1
    return rewards, groups, attempts


def seconds(credit: Credit, repeats: int) -> dict[str, float]:
    arguments = inputs()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        credit(*arguments)
        times.append(time.perf_counter() - start)
    return {
        "median_s": round(statistics.median(times), 4),
        "least_s": round(min(times), 4),
        "most_s": round(max(times), 4),
    }


def peak_mib(credit: Credit) -> float:
    """Most memory allocated while it runs, its inputs aside."""
    arguments = inputs()
    tracemalloc.start()
    credit(*arguments)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(peak / 2**20, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    arguments = inputs()
    same = np.allclose(vectorised(*arguments), loops(*arguments), atol=1e-6)
    figures = {
        "what": "turn_rloo + spread, rewards to token advantages",
        "shapes": {"B": QUESTIONS * GROUP, "group": GROUP, "N": ATTEMPTS, "T": TOKENS, "attempt_BT": "int8"},
        "repeats": repeats,
        "mrsearch.credit": seconds(vectorised, repeats),
        "baseline: python loops over groups, members, attempts": seconds(loops, repeats),
        "results_agree": bool(same),
        "output_mib": round(QUESTIONS * GROUP * TOKENS * 4 / 2**20, 1),
        "peak_mib": peak_mib(vectorised),
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
