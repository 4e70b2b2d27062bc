"""Corpus files of Parquet, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retriever.corpus.record import FIELDS
from retriever.errors import BadCorpus

_BATCH_ROWS = 1024
_BUFFER_BYTES = 2**20


def parquet_records(path: Path) -> Iterator[tuple[str, dict[str, Any], int]]:
    """The rows of a Parquet file, as records of the fields that a passage can have.

    Yields:
        File and row (the first is 1) for error messages, the record, and the bytes of the file read so far,
        taken as the share of its rows.

    Raises:
        BadCorpus: the file cannot be read; names the row.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = path.stat().st_size
    row = 0
    try:
        # Buffered, because a row group is otherwise read whole, and may be most of the file.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
            rows = file.metadata.num_rows
            names = [name for name in file.schema_arrow.names if name in FIELDS]
            for batch in file.iter_batches(_BATCH_ROWS, columns=names):
                columns = [_values(path, row, name, batch.column(name)) for name in names]
                for values in zip(*columns, strict=True):
                    row += 1
                    yield f"{path}, row {row}", dict(zip(names, values, strict=True)), row * size // rows
    except (pa.ArrowException, OSError) as error:
        cause = " ".join(str(error).split())
        raise BadCorpus(f"{path} cannot be read as Parquet after row {row}: {cause}") from error


def _values(path: Path, row: int, name: str, column: Any) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError as error:
        raise BadCorpus(f'{path}: field "{name}" is not UTF-8 text, in the rows after row {row}.') from error
    return values
