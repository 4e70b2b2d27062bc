"""The encoder of dense indexes: a Hugging Face model, or a pair of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retriever.encoders.base import Vectors
from retriever.encoders.batches import apart, by_length
from retriever.encoders.checkpoint import Checkpoint
from retriever.encoders.spec import EncoderSpec
from retriever.encoders.tower import Tower
from retriever.types import Document

_CPU_ROWS = 32
_CPU_MULTIPLE = 4
_GPU_ROWS = 128
_GPU_MULTIPLE = 16


class TransformerEncoder:
    """Encodes with a Hugging Face model as a spec says; may be called from any thread.

    **Queries do not depend on each other.** The shape in which a query is computed depends on that query alone: its
    length is rounded up to a multiple of 4, and on a CPU one thread computes a batch. Its vector then is the same to
    the last bit alone and in any batch (MiniLM, 805 queries, 32-bit floats); padded to the longest of a batch and
    computed by two threads it moved by 2e-7. On a GPU, whose kernels differ by shape, batches besides have one number
    of rows, filled up with repetitions, and lengths are rounded up to a multiple of 16.

    **Passages** are sorted by length, to save padding; this moves their vectors by rounding errors only.

    Args:
        spec: the model and what is done with it.
        device: `auto` (a GPU where there is one), or a torch device.

    Raises:
        BadModel: a model is missing, is not the one of the spec, or cannot be used.
    """

    def __init__(self, spec: EncoderSpec, device: str = "auto") -> None:
        self._spec = spec
        self._passages = Tower(Checkpoint.find(spec.model, spec.revision or None), spec, device)
        self._queries = self._passages
        if spec.query_model:
            self._queries = Tower(Checkpoint.find(spec.query_model, spec.query_revision or None), spec, device)

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self._passages.dimension

    @property
    def spec(self) -> dict[str, Any]:
        """What `load_encoder` needs to make this encoder again."""
        return self._spec.to_dict()

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        """One vector per query, shape (queries, dimension)."""
        rows = self._queries.tokenize([self._spec.query(query) for query in queries])
        lengths = [len(row) for row in rows]
        if self._queries.on_gpu:
            batches = apart(lengths, _GPU_ROWS, _GPU_MULTIPLE, self._spec.max_length)
            return self._queries.vectors(rows, batches, fill=_GPU_ROWS)
        return self._queries.vectors(rows, apart(lengths, _CPU_ROWS, _CPU_MULTIPLE, self._spec.max_length))

    def encode_passages(self, documents: Sequence[Document]) -> Vectors:
        """One vector per passage, shape (passages, dimension); give many at once, they are sorted by length."""
        rows = self._passages.tokenize([self._spec.passage(document.title, document.text) for document in documents])
        batch_rows = _GPU_ROWS if self._passages.on_gpu else _CPU_ROWS
        return self._passages.vectors(rows, by_length([len(row) for row in rows], batch_rows))
