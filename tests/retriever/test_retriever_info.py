"""`info`, for a folder and for a server."""

import json
import shutil
from pathlib import Path

import pytest
from retriever_server import await_ready, serving
from typer.testing import CliRunner, Result

from retriever.commands import app
from retriever.indexes.bm25 import Bm25Index
from retriever.service.settings import ServiceSettings


def info(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["info", *map(str, arguments)])


def manifest(folder: Path) -> dict[str, object]:
    return json.loads((folder / "manifest.json").read_text())


def test_of_a_folder(index_folder: Path) -> None:
    assert json.loads(info(index_folder, "--json").stdout) == manifest(index_folder)
    lines = info(index_folder).stdout.splitlines()
    size = sum(path.stat().st_size for path in index_folder.rglob("*") if path.is_file())
    assert lines[0] == f"bm25, 7 passages, {size / 1e6:,.1f} MB on disk: {index_folder}"
    assert lines[1].startswith("  parameters    k1 0.9, b 0.4")


def test_of_an_index_without_a_manifest(index_folder: Path) -> None:
    assert info(index_folder / "lucene").stdout.startswith("bm25, 7 passages, ")


def test_of_a_server(index: Bm25Index, index_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda: index, ServiceSettings(token="secret")) as client:
        await_ready(client)
        monkeypatch.setenv("RETRIEVER_TOKEN", "secret")
        assert json.loads(info(str(client.base_url), "--json").stdout) == manifest(index_folder)
        assert info(str(client.base_url)).stdout.startswith(f"bm25, 7 passages, served: {client.base_url}")
        monkeypatch.delenv("RETRIEVER_TOKEN")
        refused = info(str(client.base_url))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "answered with HTTP status 401" in refused.stderr
    gone = info(str(client.base_url))
    assert gone.exit_code == 1
    assert "/v1/index did not answer" in gone.stderr


def test_a_folder_that_is_no_index(tmp_path: Path) -> None:
    result = info(tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{tmp_path} is not an index folder")


def test_a_truncated_file(index_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(index_folder, tmp_path / "index")
    largest = max((tmp_path / "index" / "lucene").iterdir(), key=lambda path: path.stat().st_size)
    size = largest.stat().st_size
    largest.write_bytes(largest.read_bytes()[:-1])
    result = info(tmp_path / "index")
    assert result.exit_code == 1
    assert result.stderr == (f"{largest} has {size - 1:,} bytes, its manifest says {size:,}; build the index again.\n")
