"""`mrsearch score`: stored transcripts become scores."""

import json
from pathlib import Path

from rich.console import Console

from mrsearch.errors import UserError
from mrsearch.evaluation.reports import benchmarks_table
from mrsearch.evaluation.scoring import score_file
from mrsearch.jobs.output import write_out


def score(file: Path, out: Path | None, console: Console, *, as_json: bool) -> None:
    """Scores a file, writes its rows with their scores, and shows the summary.

    Args:
        file: JSON lines (see `score_file`).
        out: where the rows go; beside the file, as `NAME.scores.jsonl`, where None.
        console: shows the summary.
        as_json: show it as JSON and nothing else.

    Raises:
        UserError: the file is not of the expected form, or the rows cannot be written.
    """
    out = out or file.with_name(f"{file.stem}.scores.jsonl")
    if out.resolve() == file.resolve():
        raise UserError(f"--out is {out}, the file that is scored; give another one.")
    rows, summary = score_file(file)
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    # Half of a surrogate pair, which JSON may hold and UTF-8 may not, becomes its JSON escape.
    text = "".join(f"{line}\n".encode("utf-8", "backslashreplace").decode() for line in lines)
    write_out(out, text, "The scores")
    if as_json:
        console.print(json.dumps(summary, indent=2), markup=False, highlight=False, soft_wrap=True)
        return
    console.print(benchmarks_table(summary))
    console.print(f"Rows with their scores: {out}", markup=False, highlight=False, soft_wrap=True)
