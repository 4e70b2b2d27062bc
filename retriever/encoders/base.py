"""What an encoder offers, whatever model it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from retriever.types import Document

Vectors = npt.NDArray[np.float32]
"""Shape (texts, dimension), one row per text."""


class Encoder(Protocol):
    """Turns queries and passages into vectors whose inner product says how well they match."""

    @property
    def dimension(self) -> int:
        """Components of a vector."""

    @property
    def spec(self) -> dict[str, Any]:
        """What `retriever.encoders.load_encoder` needs to make this encoder again; kept in the manifest."""

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        """One vector per query; that of a query does not depend on the others."""

    def encode_passages(self, documents: Sequence[Document]) -> Vectors:
        """One vector per passage."""
