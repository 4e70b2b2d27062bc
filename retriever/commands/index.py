"""`index`: a corpus becomes an index folder, or index folders become one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from retriever.commands.console import errors, one_sentence
from retriever.errors import BadRequest
from retriever.manifest import Manifest

_KINDS = "bm25, flat, hnsw, ivf-sq8, ivf-pq, any FAISS factory string, hybrid, rerank"
_JOINED = ("hybrid", "rerank")


Report = Callable[[str, int, int], None]
"""Told of progress: the stage, how much of it is done, and how much there is."""

Build = Callable[[Path, Path, Report], Manifest]
"""Builds an index of a corpus (first argument) at a folder (second)."""


class Origin(StrEnum):
    """Where a corpus comes from."""

    FILE = "file"
    HUB = "hub"


def index(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="CORPUS",
            help="Corpus: .jsonl, .jsonl.gz, .parquet, or a folder of such; for hybrid and rerank, index folders.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Index folder to create.")],
    kind: Annotated[str, typer.Option("--type", help=f"One of {_KINDS}.")] = "bm25",
    origin: Annotated[
        Origin, typer.Option("--from", help="With hub, CORPUS names a data set on the Hugging Face Hub.")
    ] = Origin.FILE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index at --out.")] = False,
    shards: Annotated[int, typer.Option(min=1, help="Split the corpus over so many indexes, for a cluster.")] = 1,
    k1: Annotated[float, typer.Option(help="BM25: term saturation, at least 0.")] = 0.9,
    b: Annotated[float, typer.Option(help="BM25: length normalisation, from 0 to 1.")] = 0.4,
    stemmer: Annotated[str, typer.Option(help="BM25: porter, krovetz or none.")] = "porter",
    keep_stopwords: Annotated[bool, typer.Option("--keep-stopwords", help="BM25: index stop words.")] = False,
    language: Annotated[str, typer.Option(help="BM25: language of the passages.")] = "en",
    threads: Annotated[int, typer.Option(min=1, help="BM25: threads that analyse passages.")] = 2,
    encoder: Annotated[
        str, typer.Option(help='Dense: hub name or folder of an encoder; "minilm" needs no download.')
    ] = "minilm",
    query_model: Annotated[str | None, typer.Option(help="Dense: the encoder of queries, where it is another.")] = None,
    pooling: Annotated[str | None, typer.Option(help="Dense: mean, cls, last or pooler.")] = None,
    query_prefix: Annotated[str | None, typer.Option(help="Dense: put before every query.")] = None,
    passage_prefix: Annotated[str | None, typer.Option(help="Dense: put before every passage.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Dense: tokens of a text that are read.")] = None,
    device: Annotated[str, typer.Option(help="Dense: cpu, cuda, or auto.")] = "auto",
    vectors: Annotated[
        Path | None, typer.Option(help="Dense: passages encoded before, a flat index folder or .npy file.")
    ] = None,
    adopt: Annotated[Path | None, typer.Option(help="Dense: a published FAISS file to take over as it is.")] = None,
    reranker: Annotated[str | None, typer.Option(help="rerank: hub name or folder of a cross-encoder.")] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="hybrid, rerank: passages taken from each index.")] = None,
) -> None:
    """Build an index of a corpus; an interrupted dense build continues with the same command."""
    with one_sentence(), _progress() as report:
        if kind in _JOINED:
            manifest = _join(kind, [Path(source) for source in sources], out, reranker, depth, overwrite)
        else:
            if kind == "bm25":
                build = _bm25(k1, b, threads, language, stemmer, keep_stopwords, overwrite)
            else:
                options = {
                    "query_model": query_model,
                    "pooling": pooling,
                    "query_prefix": query_prefix,
                    "passage_prefix": passage_prefix,
                    "max_length": max_length,
                }
                build = _dense(kind, encoder, device, options, vectors, adopt, overwrite)
            manifest = _build(build, _corpus(sources, origin), out, shards, overwrite, report)
    typer.echo(f"{manifest.passages} passages indexed in {manifest.build.get('seconds', 0.0):.1f} s: {out}")
    if recall := manifest.build.get("recall_at_10_against_flat"):
        typer.echo(f"trained on {manifest.build['training_vectors']:,} vectors; recall@10 against flat {recall:.3f}")


def _corpus(sources: Sequence[str], origin: Origin) -> Path:
    if len(sources) != 1:
        raise BadRequest(f"Such an index is built of one corpus, found {len(sources)}.")
    if origin is Origin.FILE:
        return Path(sources[0])
    from retriever.corpus import hub_corpus

    return hub_corpus(sources[0])


def _bm25(
    k1: float, b: float, threads: int, language: str, stemmer: str, keep_stopwords: bool, overwrite: bool
) -> Build:
    from retriever.indexes.analyzer import Analyzer
    from retriever.indexes.bm25 import build_index

    analyzer = Analyzer(language, stemmer, keep_stopwords)

    def build(corpus: Path, out: Path, report: Report) -> Manifest:
        return build_index(
            corpus,
            out,
            k1=k1,
            b=b,
            analyzer=analyzer,
            threads=threads,
            overwrite=overwrite,
            progress=lambda done, total: report("indexing", done, total),
        )

    return build


def _dense(
    kind: str,
    model: str,
    device: str,
    options: dict[str, Any],
    vectors: Path | None,
    adopted: Path | None,
    overwrite: bool,
) -> Build:
    from retriever.encoders import new_encoder
    from retriever.indexes.dense import adopt, build_dense

    encoder = new_encoder(model, device=device, **options)

    def build(corpus: Path, out: Path, report: Report) -> Manifest:
        if adopted:
            return adopt(adopted, corpus, out, encoder, overwrite=overwrite)
        return build_dense(corpus, out, encoder, kind=kind, vectors=vectors, overwrite=overwrite, progress=report)

    return build


def _build(build: Build, corpus: Path, out: Path, shards: int, overwrite: bool, report: Report) -> Manifest:
    if shards == 1:
        return build(corpus, out, report)
    from retriever.indexes.sharding import build_shards

    return build_shards(corpus, out, shards, lambda part, folder: build(part, folder, report), overwrite=overwrite)


def _join(
    kind: str, folders: list[Path], out: Path, reranker: str | None, depth: int | None, overwrite: bool
) -> Manifest:
    settings: dict[str, Any] = {"overwrite": overwrite} | ({"depth": depth} if depth else {})
    if kind == "hybrid":
        from retriever.indexes.hybrid import build_hybrid

        return build_hybrid(folders, out, **settings)
    if len(folders) != 1 or not reranker:
        raise BadRequest("An index of type rerank takes one index folder and --reranker with a cross-encoder.")
    from retriever.indexes.rerank import build_rerank

    return build_rerank(folders[0], out, reranker, **settings)


@contextmanager
def _progress() -> Iterator[Report]:
    """One bar on standard error; each stage begins it anew."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)
