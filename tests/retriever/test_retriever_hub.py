"""Published corpora, loaded by the hub's own code from a cache in the hub's layout."""

import gzip
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from retriever.corpus import WIKI_18, build_store, hub_corpus, read_corpus
from retriever.errors import BadCorpus

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LINES = (
    b'{"id": "0", "contents": "\\"Rome\\"\\nCapital of Italy."}\n{"id": "1", "contents": "\\"Paris\\"\\nOf France."}\n'
)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_HUB_OFFLINE=1 sets when the hub's library is imported."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def cache(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """A cache folder that holds one snapshot of a dataset repository: blobs, and links to them by file name."""
    repository = folder / f"datasets--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "blobs").mkdir()
    for number, (file, content) in enumerate(files.items()):
        blob = repository / "blobs" / f"{number:064}"
        blob.write_bytes(content)
        link = repository / "snapshots" / COMMIT / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return folder


def test_finds_wikipedia_of_2018(tmp_path: Path) -> None:
    hub = cache(tmp_path / "hub", WIKI_18, {"wiki-18.jsonl.gz": gzip.compress(LINES), "README.md": b"About."})
    assert [document.title for document in read_corpus(hub_corpus(cache_dir=hub))] == ["Rome", "Paris"]
    store = build_store(hub_corpus(cache_dir=hub), tmp_path / "store")
    assert store.documents([1])[0].text == "Of France."


def test_finds_the_parquet_shards_of_a_dataset(tmp_path: Path) -> None:
    shards = {}
    for n in range(2):
        pq.write_table(pa.table({"id": [n], "title": ["T"], "text": [f"x{n}"]}), tmp_path / "shard")
        shards[f"data/train-0000{n}-of-00002.parquet"] = (tmp_path / "shard").read_bytes()
    hub = cache(tmp_path / "hub", "someone/passages", shards)
    assert [d.text for d in read_corpus(hub_corpus("someone/passages", cache_dir=hub))] == ["x0", "x1"]


def test_takes_one_file_of_many(tmp_path: Path) -> None:
    files = {"corpora/wiki.jsonl": LINES, "questions/test.jsonl": b'{"question": "?"}\n'}
    hub = cache(tmp_path / "hub", "someone/everything", files)
    path = hub_corpus("someone/everything", filename="corpora/wiki.jsonl", revision=COMMIT, cache_dir=hub)
    assert len(list(read_corpus(path))) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "someone/else"}, "it is not in the local cache and the hub cannot be reached."),
        ({"name": WIKI_18, "revision": "v2"}, "it is not in the local cache and the hub cannot be reached."),
        ({"name": WIKI_18, "filename": "wiki.jsonl"}, "it is not in the local cache and the hub cannot be reached."),
        ({"name": "a/b/c"}, "Repo id must be in the form"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(tmp_path: Path, arguments: dict[str, str], sentence: str) -> None:
    hub = cache(tmp_path / "hub", WIKI_18, {"wiki-18.jsonl.gz": gzip.compress(LINES)})
    with pytest.raises(BadCorpus) as caught:
        hub_corpus(**arguments, cache_dir=hub)  # type: ignore[arg-type]
    start = f"The dataset {arguments['name']} cannot be loaded from the Hugging Face Hub: {sentence}"
    assert str(caught.value).startswith(start)
