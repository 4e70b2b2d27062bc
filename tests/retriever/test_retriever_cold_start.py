"""The single process: how it starts, fails and ends."""

import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from retriever_server import address, await_ready, serve_command
from typer.testing import CliRunner

from retriever.commands import app
from retriever.errors import BadRequest, ServeFailed
from retriever.service.process import listen


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_and_ends_cleanly(index_folder: Path, number: signal.Signals) -> None:
    with serve_command(index_folder, "--port", "0", "--no-access-log") as server:
        assert server.stdout is not None and server.stderr is not None
        line = server.stdout.readline()
        url = line.split()[3]
        assert line == f"Serving {index_folder} at {url} (POST /retrieve, GET /docs); Ctrl-C ends it.\n"
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.get("/ready").json() == {"status": "ready"}
            [[fox]] = client.post("/retrieve", json={"queries": ["fox"]}).json()["result"]
            assert fox["id"] == "fox"
            started = psutil.Process(server.pid).children(recursive=True)
            server.send_signal(number)
            assert server.wait(timeout=60) == 0
        assert (server.stdout.read(), server.stderr.read()) == ("", "")
    assert psutil.wait_procs(started, timeout=30)[1] == []


@pytest.mark.slow
def test_the_port_is_open_while_the_index_loads(index_folder: Path) -> None:
    with listen("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    with (
        serve_command(index_folder, "--port", str(port)) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        assert set(await_ready(client)) <= {0, 503}
        client.post("/retrieve", json={"queries": ["fox", "wolf"]})
        server.terminate()
        assert server.wait(timeout=60) == 0
        assert server.stderr is not None
        entries = [json.loads(line) for line in server.stderr.read().splitlines()]
    assert (entries[-1]["path"], entries[-1]["status"], entries[-1]["queries"]) == ("/retrieve", 200, 2)


@pytest.mark.slow
def test_a_token_from_a_file_and_an_open_address(index_folder: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    options = ("--host", "0.0.0.0", "--port", "0", "--no-access-log")
    with serve_command(index_folder, *options, "--token-file", str(token)) as server:
        assert server.stderr is not None
        url = address(server).replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/v1/index", trust_env=False).status_code == 401
        headers = {"Authorization": "Bearer secret"}
        assert httpx.get(f"{url}/v1/index", trust_env=False, headers=headers).json()["passages"] == 7
        server.terminate()
        server.wait(timeout=60)
        assert server.stderr.read() == ""
    with serve_command(index_folder, *options) as server:
        assert server.stderr is not None
        assert server.stderr.readline() == (
            "Warning: 0.0.0.0 can be reached from other machines and no token is asked for; set RETRIEVER_TOKEN.\n"
        )


@pytest.mark.slow
def test_an_index_that_cannot_be_loaded_ends_the_process(index_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((index_folder / "manifest.json").read_bytes())
    with serve_command(tmp_path, "--port", "0") as server:
        output, errors = server.communicate(timeout=60)
    assert (server.returncode, output) == (1, "")
    assert errors.count("\n") == 1
    assert errors.startswith(str(tmp_path))


HANGING = """
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from retriever import indexes
from retriever.manifest import Manifest
from retriever.service import process
from retriever.service.core import PROBE_QUERY
from retriever.service.settings import ServiceSettings

class Hanging(indexes.Index):
    def submit(self, queries, topk):
        future = Future()
        if queries == [PROBE_QUERY]:
            future.set_result([[]])
        return future

    def documents(self, ids):
        threading.Event().wait()

    def close(self):
        threading.Event().wait()

manifest = Manifest("hanging", 0, "", {}, {}, {})
indexes.OPENERS["hanging"] = lambda folder: Hanging(folder, manifest)
folder = Path(sys.argv[1])
manifest.write(folder)
process.GRACE_S = 1
process.run(folder, "127.0.0.1", 0, ServiceSettings(), lambda url: print("ready at", url, flush=True))
"""


@pytest.mark.slow
def test_a_hanging_engine_does_not_keep_the_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HANGING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        url = address(server)
        with ThreadPoolExecutor(1) as threads, httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            asking = threads.submit(client.post, "/retrieve", json={"queries": ["a"]})
            while "retriever_batch_queries_count 1.0" not in client.get("/metrics").text:
                assert server.poll() is None
            server.terminate()
            assert server.wait(timeout=60) == 1
            assert asking.result().status_code == 500


def test_a_folder_that_is_no_index_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["serve", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr == (
        f"{tmp_path} is not an index folder (no manifest.json); build one with the index command.\n"
    )


def test_a_port_in_use_is_one_sentence_before_anything_starts(index_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", str(index_folder), "--port", str(port)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Port {port} on 127.0.0.1 cannot be used (Address already in use); choose another port.\n"
    )


def test_a_port_or_host_that_cannot_be_is_one_sentence() -> None:
    with pytest.raises(BadRequest, match="port must be from 1 to 65535, or 0 for a free one, found 65536"):
        listen("127.0.0.1", 65536)
    with pytest.raises(ServeFailed, match=r"Port 80 on no such host cannot be used \(.+\); choose another port"):
        listen("no such host", 80)


@pytest.mark.parametrize("option", [("--replicas", "2"), ("--max-replicas", "2"), ("--ray-address", "auto")])
def test_options_of_ray_need_ray(index_folder: Path, option: tuple[str, str]) -> None:
    result = CliRunner().invoke(app, ["serve", str(index_folder), *option])
    assert result.exit_code == 1
    assert result.stderr == "Replicas and a Ray address need --ray; without it the service is one process.\n"


def test_a_token_has_no_place_on_the_command_line() -> None:
    assert CliRunner().invoke(app, ["serve", "folder", "--token", "secret"]).exit_code == 2
