"""Whether an encoder gave what it promised."""

from __future__ import annotations

import numpy as np

from retriever.encoders.base import Encoder, Vectors
from retriever.errors import BadModel


def checked(vectors: Vectors, rows: int, encoder: Encoder) -> Vectors:
    """The vectors as FAISS takes them: 32-bit floats in C order.

    Raises:
        BadModel: the shape is not (rows, dimension), or a number is not finite.
    """
    if vectors.shape != (rows, encoder.dimension):
        raise BadModel(f"The encoder gave vectors of shape {vectors.shape}, expected {(rows, encoder.dimension)}.")
    if not np.isfinite(vectors).all():
        raise BadModel("The encoder gave a number that is not finite; check its model, or use 32-bit floats.")
    return np.ascontiguousarray(vectors, dtype=np.float32)
