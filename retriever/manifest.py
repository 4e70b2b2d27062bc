"""`manifest.json`: what an index folder holds and how it was built."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from retriever.errors import BadIndex

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Description of one index.

    `corpus_sha256` is taken over the canonical JSON lines of the passages in file order, so that a corpus has
    the same fingerprint plain and gzipped.
    """

    type: str
    k1: float
    b: float
    passages: int
    corpus_sha256: str
    pyserini: str
    build_seconds: float

    def write(self, folder: Path) -> None:
        """Writes the manifest into an index folder."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Reads and checks the manifest of an index folder.

    Raises:
        BadIndex: the folder or its manifest is missing, or a field is missing or of the wrong type.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BadIndex(f"{folder} is not an index folder (no {MANIFEST}); build one with the index command.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadIndex(f"{path} is not valid JSON ({error}); build the index again.") from error
    if not isinstance(record, dict):
        raise BadIndex(f"{path} is not a JSON object; build the index again.")
    return Manifest(**{field.name: _value(record, field.name, field.type, path) for field in fields(Manifest)})


def _value(record: dict[str, Any], name: str, type_name: Any, path: Path) -> Any:
    accepted = {"str": (str,), "int": (int,), "float": (int, float)}[type_name]
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise BadIndex(f'{path}: field "{name}" must be of type {type_name}; build the index again.')
    return value
