"""What a person sees of a job; everything else its process prints goes to a file."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console


@contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """A console for people, while all that libraries write to standard output and error goes to `log`.

    The redirection is made at the level of file descriptors, so it holds for native code and child processes.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    out, err = os.dup(1), os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        with os.fdopen(os.dup(out), "w", encoding="utf-8") as stream:
            yield Console(file=stream, force_terminal=os.isatty(out))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
