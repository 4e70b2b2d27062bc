"""The encoder of dense indexes: a Hugging Face model, or a pair of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retriever.encoders.base import Vectors
from retriever.encoders.batches import by_length, of_one_length
from retriever.encoders.checkpoint import Checkpoint
from retriever.encoders.spec import EncoderSpec
from retriever.encoders.tower import Tower
from retriever.types import Document

_CPU_ROWS = 32
_GPU_ROWS = 128
_GPU_MULTIPLE = 16


class TransformerEncoder:
    """Encodes with a Hugging Face model as a spec says; may be called from any thread.

    **Queries do not depend on each other.** A query is computed beside others of exactly its length, so that no
    padding touches it (and none is computed). In 32 bits on a CPU its vector then is the same to the last bit alone
    and in any batch if torch runs one thread; if two threads share the rows it moves by 1.4e-7 at most (MiniLM, 1,200
    questions). On a GPU, whose kernels differ by shape, every batch besides has one number of rows, filled up with
    repetitions, and lengths are rounded up to a multiple of 16.

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
            batches = of_one_length(lengths, _GPU_ROWS, _GPU_MULTIPLE, self._spec.max_length)
            return self._queries.vectors(rows, batches, fill=_GPU_ROWS)
        return self._queries.vectors(rows, of_one_length(lengths, _CPU_ROWS))

    def encode_passages(self, documents: Sequence[Document]) -> Vectors:
        """One vector per passage, shape (passages, dimension); give many at once, they are sorted by length."""
        rows = self._passages.tokenize([self._spec.passage(document.title, document.text) for document in documents])
        batch_rows = _GPU_ROWS if self._passages.on_gpu else _CPU_ROWS
        return self._passages.vectors(rows, by_length([len(row) for row in rows], batch_rows))
