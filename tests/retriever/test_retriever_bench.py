"""The benchmarks run, on a small scale, and report what they promise."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from retriever.bench.synthetic import queries, write_passages
from retriever.bench.vectors import bench_vectors


def bench(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "retriever", "bench", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def test_synthetic_passages_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_passages(tmp_path / name, 50, seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    first = json.loads((tmp_path / "a").read_text().splitlines()[0])["contents"].split()
    assert set(queries(tmp_path / "a", 3)[0].split()) <= set(first)


def test_vectors_on_a_small_scale(tmp_path: Path) -> None:
    figures = bench_vectors(tmp_path, 3000, 16, "IVF8,PQ4", seconds=0.1)
    assert (figures["count"], figures["factory"]) == (3000, "IVF8,PQ4")
    assert 0 < figures["recall_at_10_against_flat"] <= 1
    assert figures["bytes"] < 4 * 3000 * 16
    assert set(figures["speed"]) == {"1", "64", "512"}


@pytest.mark.slow
def test_servers_are_measured_side_by_side(tmp_path: Path) -> None:
    common = ("--passages", 1000, "--repeats", 1, "--seconds", 1, "--clients", 4, "--work", tmp_path)
    figures = bench(*common, "--only", "http_bm25", "--only", "http_ivf_sq8")
    for name in ("http_bm25", "http_ivf_sq8"):
        for design in ("single_process", "usual_design"):
            measured = figures[name][design]
            assert measured["requests"] > 0
            assert measured["failures"] == 0
            assert measured["p50_ms"] <= measured["p99_ms"]
            assert measured["cpu_ms_per_request"] > 0
