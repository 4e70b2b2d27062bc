"""Corpora published on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retriever.corpus.files import SUFFIXES
from retriever.errors import BadCorpus

WIKI_18 = "PeterJinGo/wiki-18-corpus"
"""Wikipedia of December 2018 in 21 million passages of 100 words (DPR, arXiv:2004.04906), as Search-R1 published it."""


def hub_corpus(
    name: str = WIKI_18,
    *,
    revision: str | None = None,
    filename: str | None = None,
    cache_dir: Path | None = None,
) -> Path:
    """Downloads a corpus, or finds it in the hub's cache, and returns where it lies, for `read_corpus` or a build.

    The environment variables of `huggingface_hub` apply: `HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE`.

    Args:
        name: a dataset repository that holds passages as `retriever.corpus` describes them.
        revision: its branch, tag or commit; the main branch if absent.
        filename: the corpus file in it; all files of the accepted endings if absent.
        cache_dir: the hub's cache folder; where `huggingface_hub` keeps it if absent.

    Returns:
        The file, or the folder of all files.

    Raises:
        BadCorpus: the repository, the revision or the file does not exist or cannot be reached.
    """
    import httpx
    from huggingface_hub import hf_hub_download, is_offline_mode, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError

    place: dict[str, Any] = {"repo_type": "dataset", "revision": revision, "cache_dir": cache_dir}
    try:
        if filename:
            return Path(hf_hub_download(name, filename, **place))
        wanted = [f"*{suffix}" for suffix in SUFFIXES]
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=is_offline_mode(), **place))
    except LocalEntryNotFoundError as error:
        raise _not_loaded(name, "it is not in the local cache and the hub cannot be reached") from error
    except (OSError, httpx.HTTPError, EntryNotFoundError, HFValidationError) as error:
        raise _not_loaded(name, str(error)) from error


def _not_loaded(name: str, cause: str) -> BadCorpus:
    cause = " ".join(cause.split()).rstrip(".")
    return BadCorpus(f"The dataset {name} cannot be loaded from the Hugging Face Hub: {cause}.")
