"""What tunes Ray Serve, and what guards the HAProxy it starts; without Ray."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest

from retriever.errors import BadRequest, ServeFailed
from retriever.service.ray_cluster import ray_cluster, ray_environment
from retriever.service.ray_serve import Scaling

CONFIGURATION = """
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend prometheus
    bind :{metrics}
frontend http_frontend
    bind *:{front}
listen stats
  bind *:{stats}
  stats enable
"""


def test_what_the_user_has_set_wins() -> None:
    with patch.dict(os.environ, {"RAY_SERVE_ENABLE_HA_PROXY": "0"}):
        assert ray_environment()["RAY_SERVE_ENABLE_HA_PROXY"] == "0"
    assert ray_environment()["RAY_SERVE_ENABLE_HA_PROXY"] == "1"


def test_clusters_of_a_machine_keep_apart(tmp_path: Path) -> None:
    one, two = ray_environment(tmp_path), ray_environment(tmp_path)
    ports = [name for name in one if name.endswith("_PORT")]
    assert len({one[name] for name in ports} | {two[name] for name in ports}) == 2 * len(ports) == 6
    assert [name for name in ray_environment() if "PORT" in name or "PATH" in name] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="HAProxy comes with Ray on Linux only")
def test_haproxy_ends_with_its_parent_and_shows_statistics_on_loopback_only(tmp_path: Path) -> None:
    environment = ray_environment(tmp_path)
    ports = {
        "metrics": int(environment["RAY_SERVE_HAPROXY_METRICS_PORT"]),
        "stats": int(environment["RAY_SERVE_HAPROXY_STATS_PORT"]),
        "front": int(environment["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"]),
    }
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(CONFIGURATION.format(**ports))
    script = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, environment["RAY_SERVE_HAPROXY_BINARY_PATH"], "-db", "-f", configuration]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    ) as parent:
        assert parent.stdout is not None
        haproxy = psutil.Process(int(parent.stdout.readline()))
        listening = await_listening(haproxy, 3)
        os.kill(parent.pid, signal.SIGKILL)
    assert listening == {
        (ports["front"], "0.0.0.0"),
        (ports["stats"], "127.0.0.1"),
        (ports["metrics"], "127.0.0.1"),
    }
    assert psutil.wait_procs([haproxy], timeout=30)[1] == []


def await_listening(process: psutil.Process, count: int) -> set[tuple[int, str]]:
    """Ports and addresses, once the process listens on so many."""
    deadline = time.monotonic() + 30
    found: set[tuple[int, str]] = set()
    while len(found) < count and time.monotonic() < deadline:
        found = {(c.laddr.port, c.laddr.ip) for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    return found


def test_no_cluster_at_the_address_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(ServeFailed, match=f"No Ray cluster at '127.0.0.1:{port}' admits this process"):
        ray_cluster(f"127.0.0.1:{port}").__enter__()
    assert [name for name in os.environ if name.startswith("RAY_SERVE_")] == []


def test_a_fixed_number_of_replicas() -> None:
    scaling = Scaling(2, max_requests=8, max_queued=4, cpus=2, gpus=1)
    expected = {"num_replicas": 2, "max_ongoing_requests": 8, "max_queued_requests": 4}
    assert scaling.options(encodes=True) == expected | {"ray_actor_options": {"num_cpus": 2, "num_gpus": 1}}
    assert scaling.options(encodes=False) == expected | {"ray_actor_options": {"num_cpus": 2, "num_gpus": 0}}


def test_replicas_that_follow_the_load() -> None:
    assert Scaling(1, max_replicas=4, target_requests=16).options(encodes=True)["autoscaling_config"] == {
        "min_replicas": 1,
        "max_replicas": 4,
        "target_ongoing_requests": 16,
    }


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"replicas": 0}, "replicas must be at least 1, found 0."),
        ({"replicas": 3, "max_replicas": 2}, "max_replicas must be at least replicas, 3, found 2."),
        ({"target_requests": 0}, "target_requests must be more than 0, found 0."),
        ({"max_requests": 0}, "max_requests must be at least 1, found 0."),
        ({"max_queued": -1}, "max_queued must be at least 0, found -1."),
        ({"cpus": -1}, "cpus must be at least 0, found -1."),
        ({"gpus": -1}, "gpus must be at least 0, found -1."),
    ],
)
def test_scaling_outside_the_limits_is_refused(fields: dict[str, int], complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Scaling(**fields)  # type: ignore[arg-type]
    assert str(caught.value) == complaint
