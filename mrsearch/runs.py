"""The run folder: everything a run produces lies in it, and reports and viewer read nothing else."""

import json
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from mrsearch.files import whole_file


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names of the things in a run folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def data(self) -> Path:
        """What the run was given, in the form the trainer reads."""
        return self.path / "data"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """What Ray, verl and vLLM say."""
        return self.path / "logs"

    @property
    def metrics(self) -> Path:
        """Folder of JSON lines, one file per start of the run, named by the step it started after."""
        return self.path / "metrics"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    def episodes(self, split: str, step: int) -> Path:
        """JSON lines of the meta-episodes sampled for one training step of one split."""
        return self.path / "episodes" / split / f"{step:06d}.jsonl"

    def last_checkpoint(self) -> tuple[int, Path] | None:
        """The newest whole checkpoint: its step and folder."""
        marker = self.checkpoints / "latest_checkpointed_iteration.txt"
        if not marker.is_file():
            return None
        step = int(marker.read_text())
        return step, self.checkpoints / f"global_step_{step}"

    def read_metrics(self) -> list[dict[str, Any]]:
        """All steps in order, `step` beside the figures; a step that was run again counts as run last."""
        steps: dict[int, dict[str, Any]] = {}
        for file in sorted(self.metrics.glob("*.jsonl")):
            steps = {step: figures for step, figures in steps.items() if step <= int(file.stem)}
            for record in read_json_lines(file):
                steps.setdefault(record["step"], {"step": record["step"]}).update(record["data"])
        return [steps[step] for step in sorted(steps)]

    def forget_after(self, step: int) -> None:
        """Removes the meta-episodes of training steps after `step`, which are about to be run again."""
        for file in (self.path / "episodes").glob("*/*.jsonl"):
            if int(file.stem) > step:
                file.unlink()


def append_json_line(path: Path, value: Any) -> None:
    """Appends one line in one write, so that processes can share the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(_json_line(value))


def _json_line(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half of a surrogate pair, which JSON may hold as an escape and UTF-8 may not
        return json.dumps(value).encode() + b"\n"


def read_json_lines(path: Path) -> Iterator[Any]:
    """The values of a file's whole lines; a last line cut short by an interruption is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def cut_torn_line(path: Path) -> None:
    """Cuts off a last line that an interruption left unfinished, so that lines can be appended again."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb+") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        whole = data.rfind(b"\n") + 1
    os.truncate(path, whole)


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
