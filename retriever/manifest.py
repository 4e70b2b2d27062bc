"""`manifest.json`: what an index folder holds, of what it was made and how."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

from retriever.errors import BadIndex

MANIFEST = "manifest.json"

Kind: TypeAlias = type[str] | type[int] | type[float] | type[bool] | type[list[Any]] | type[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Description of one index.

    Attributes:
        type: what kind of index this is, a key of `retriever.indexes.OPENERS`.
        passages: how many passages it holds.
        corpus_sha256: fingerprint of the corpus, taken over the canonical JSON lines of its passages in order, so
            that it is the same for every file form. Empty where the index was built elsewhere.
        parameters: what shapes its answers: k1 and b, the FAISS factory string, the members of a hybrid.
        encoder: how texts become vectors (see `retriever.encoders`); empty where there is none.
        versions: of the packages that built it.
        build: figures of the build, `seconds` among them.
        files: size in bytes of each large file, by its path in the folder; checked when the index is opened.
    """

    type: str
    passages: int
    corpus_sha256: str
    parameters: dict[str, Any]
    versions: dict[str, str]
    build: dict[str, Any]
    files: dict[str, int] = field(default_factory=dict)
    encoder: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes the manifest into an index folder."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def parameter(self, name: str, kind: Kind, folder: Path) -> Any:
        """A parameter of the index, checked.

        Raises:
            BadIndex: it is missing or of another type.
        """
        value = self.parameters.get(name)
        accepted = (int, float) if kind is float else (kind,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise BadIndex(
                f'{folder / MANIFEST}: parameter "{name}" must be of type {kind.__name__}; build the index again.'
            )
        return value

    def check_files(self, folder: Path) -> None:
        """Compares the sizes of the files with those noted when they were written.

        Raises:
            BadIndex: a file is missing or of another size.
        """
        for name, size in self.files.items():
            path = folder / name
            found = path.stat().st_size if path.is_file() else None
            if found is None:
                raise BadIndex(f"{path} is missing; build the index again.")
            if found != size:
                raise BadIndex(f"{path} has {found:,} bytes, its manifest says {size:,}; build the index again.")


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
    return Manifest(**{field.name: _value(record, field.name, str(field.type), path) for field in fields(Manifest)})


def _value(record: dict[str, Any], name: str, type_name: str, path: Path) -> Any:
    accepted = {"str": str, "int": int}.get(type_name, dict)
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise BadIndex(f'{path}: field "{name}" must be of type {accepted.__name__}; build the index again.')
    return value
