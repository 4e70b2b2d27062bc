"""Recall of every type of index at its shipped defaults, side by side on the same questions.

python -m retriever.bench.quality CORPUS --questions FILE [--questions FILE …]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from retriever.encoders import Encoder, new_encoder
from retriever.evaluation import Question, evaluate, read_questions
from retriever.indexes import Index, open_index
from retriever.indexes.bm25 import build_index
from retriever.indexes.hybrid import build_hybrid

APPROXIMATE = ("hnsw", "ivf-sq8", "ivf-pq")

Recalls = dict[str, float]
"""By the name of the figure, such as `recall@10`."""


def compare(
    corpus: Path, questions: Sequence[Path], work: Path, encoder: Encoder, *, vectors: Path | None = None
) -> dict[str, Any]:
    """Builds BM25, dense indexes of each type and the hybrids of BM25 with dense, and measures their recall@3 and @10.

    Args:
        corpus: see `retriever.corpus`.
        questions: see `read_questions`; each needs gold passages.
        work: folder for the indexes, which are built where they are missing.
        encoder: of the dense indexes.
        vectors: the passages encoded before, see `build_dense`.

    Returns:
        By the name of the file of questions and by index, the figures of `evaluate`. Approximate types also have
        `loss`, which is the recall of the flat index less theirs; a hybrid has `gain`, its recall less that of the
        better of its two.
    """
    _build(corpus, work, encoder, vectors)
    sets = {path.stem: read_questions(path) for path in questions}
    measured = {
        name: _measure(work / name, sets) for name in ("bm25", "flat", *APPROXIMATE, "hybrid", "hybrid-ivf-sq8")
    }
    return {asked: _compared({name: found[asked] for name, found in measured.items()}) for asked in sets}


def _build(corpus: Path, work: Path, encoder: Encoder, vectors: Path | None) -> None:
    from retriever.indexes.dense import build_dense

    if not (work / "bm25").exists():
        build_index(corpus, work / "bm25")
    for kind in ("flat", *APPROXIMATE):
        if not (work / kind).exists():
            build_dense(corpus, work / kind, encoder, kind=kind, vectors=vectors if kind == "flat" else work / "flat")
    for name, dense in (("hybrid", "flat"), ("hybrid-ivf-sq8", "ivf-sq8")):
        build_hybrid([work / "bm25", work / dense], work / name, overwrite=True)


def _measure(folder: Path, sets: dict[str, list[Question]]) -> dict[str, dict[str, Any]]:
    with _opened(folder) as index:
        return {asked: evaluate(index.search, questions, [3, 10]) for asked, questions in sets.items()}


@contextmanager
def _opened(folder: Path) -> Iterator[Index]:
    index = open_index(folder)
    try:
        yield index
    finally:
        index.close()


def _compared(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    recalls = {name: _recalls(figures) for name, figures in found.items()}
    for name in APPROXIMATE:
        found[name]["loss"] = _less(recalls["flat"], recalls[name])
    for name, dense in (("hybrid", "flat"), ("hybrid-ivf-sq8", "ivf-sq8")):
        better = {figure: max(recalls["bm25"][figure], recalls[dense][figure]) for figure in recalls[name]}
        found[name]["gain"] = _less(recalls[name], better)
    return found


def _recalls(figures: dict[str, Any]) -> Recalls:
    return {name: value for name, value in figures.items() if name.startswith("recall@") and isinstance(value, float)}


def _less(left: Recalls, right: Recalls) -> Recalls:
    return {name: round(left[name] - right[name], 4) for name in left}


def main(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS")],
    questions: Annotated[list[Path], typer.Option(help="Questions with gold passages; may be repeated.")],
    encoder: Annotated[str, typer.Option(help="Hub name or folder of an encoder.")] = "minilm",
    vectors: Annotated[Path | None, typer.Option(help="Passages encoded before: a .npy file.")] = None,
    work: Annotated[Path | None, typer.Option(help="Folder to keep the indexes in.")] = None,
) -> None:
    """Prints the figures of `compare` as JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        found = compare(corpus, questions, work or Path(scratch), new_encoder(encoder), vectors=vectors)
    typer.echo(json.dumps(found, indent=2))


if __name__ == "__main__":
    typer.run(main)
