"""Writes a world's folder."""

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from mrsearch.data.questions import write_parquet, write_questions
from mrsearch.data.world.making import World
from mrsearch.data.world.parameters import SPLITS
from mrsearch.errors import UserError


def write_world(world: World, out: Path) -> None:
    """Writes the folder of a world, whole or not at all; an earlier world there is replaced.

    Files: `corpus.jsonl` (Search-R1's form: `id`, `contents`), one `.jsonl` per split (FlashRAG's form),
    `train.parquet` and `test.parquet` (verl's form) and `world.json` (parameters, seed, counts).

    Raises:
        UserError: `out` is a file, or a folder that holds something else.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give the path of a folder for the world.")
    if out.is_dir() and any(out.iterdir()) and not (out / "world.json").is_file():
        raise UserError(f"{out} holds files that are not a world's; give an empty or new folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        _write_files(world, partial)
        # mkdtemp makes folders that only their owner can enter.
        partial.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_files(world: World, folder: Path) -> None:
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for number, fact in world.passages.items():
            line = {"id": number, "contents": f'"{fact.subject.name}"\n{fact.text}'}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    for split in SPLITS:
        write_questions(world.questions[split], folder / f"{split}.jsonl")
    for split in ("train", "test"):
        write_parquet(world.questions[split], folder / f"{split}.parquet", split)
    about = {"seed": world.seed, "parameters": asdict(world.parameters), "counts": world.counts}
    (folder / "world.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
