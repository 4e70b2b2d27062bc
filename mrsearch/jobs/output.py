"""The file that `--out` names."""

from pathlib import Path

from mrsearch.errors import UserError
from mrsearch.runs import write_atomically


def write_out(out: Path, text: str, what: str) -> None:
    """Writes a text whole or not at all; `what` is its name in the message.

    Raises:
        UserError: it cannot be written.
    """
    try:
        write_atomically(out, text)
    except OSError as error:
        raise UserError(f"{what} cannot be written to {out} ({error.strerror}); give --out another file.") from error
