"""Dense indexes: passages as vectors, searched by inner product with FAISS."""

import os

# OpenMP's threads otherwise wait in a busy loop, which on shared cores slows training down twentyfold. Read by the
# library when FAISS is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from retriever.indexes.dense.adopt import adopt
from retriever.indexes.dense.build import build_dense
from retriever.indexes.dense.index import DenseIndex

__all__ = ["DenseIndex", "adopt", "build_dense"]
