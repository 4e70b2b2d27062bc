"""What an unfinished build has done, kept beside it, so that the next one goes on from there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

_FILE = "build.json"


class Checkpoint:
    """The settings of a build, how many passages it has encoded, and whether all is done.

    Args:
        folder: of the unfinished build; emptied where it was begun with other settings.
        settings: all that decides what is built, as JSON holds it.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._path = folder / _FILE
        self._settings: dict[str, Any] = json.loads(json.dumps(settings))
        earlier = self._read()
        self.encoded: int = earlier["encoded"] if earlier else 0
        self.complete: bool = earlier["complete"] if earlier else False
        if not earlier:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            self.note(0)

    def note(self, encoded: int, complete: bool = False) -> None:
        """Writes down how many passages are encoded and on the disk, and whether nothing is left to do."""
        self.encoded, self.complete = encoded, complete
        unfinished = self._path.with_suffix(".unfinished")
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump({"settings": self._settings, "encoded": encoded, "complete": complete}, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path)

    def remove(self) -> None:
        """The folder is a complete index."""
        self._path.unlink()

    def _read(self) -> dict[str, Any] | None:
        if not self._path.is_file():
            return None
        found: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        return found if found["settings"] == self._settings else None
