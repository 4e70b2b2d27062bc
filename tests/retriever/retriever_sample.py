"""A small handmade corpus."""

import json
from collections.abc import Mapping
from pathlib import Path

PASSAGES = {
    "fox": ("Red fox", "The red fox is the largest of the true foxes."),
    "dog": ("Dog", "The dog is a domesticated descendant of the wolf."),
    "wolf": ("Wolf", "The wolf hunts deer in packs across northern forests."),
    "zola": ("Émile Zola", "Émile Zola wrote Germinal, a novel about coal miners \U0001f600."),
    "paris": ("Paris", "Paris is the capital of France."),
    "twin-b": ("Twin", "identical words"),
    "twin-a": ("Twin", "identical words"),
}


def write_corpus(path: Path, passages: Mapping[str, tuple[str, str]] = PASSAGES) -> Path:
    """Writes passages in Search-R1's form."""
    records = ({"id": key, "contents": f'"{title}"\n{text}'} for key, (title, text) in passages.items())
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path
