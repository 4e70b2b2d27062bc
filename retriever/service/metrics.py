"""What a service counts, in Prometheus' form."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters of one service, in a registry of their own.

    Args:
        queue_length: how many queries wait now.
        ready: whether the index is loaded.
    """

    def __init__(self, queue_length: Callable[[], int], ready: Callable[[], bool]) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("retriever_requests", "HTTP requests answered.", ("path", "status"), registry=registry)
        self.seconds = Histogram(
            "retriever_request_seconds", "From a request's head to the end of its answer.", ("path",), registry=registry
        )
        self.queries = Counter("retriever_queries", "Queries asked, over HTTP or a handle.", registry=registry)
        self.cache_hits = Counter("retriever_cache_hits", "Queries answered from the cache.", registry=registry)
        self.cache_misses = Counter(
            "retriever_cache_misses", "Queries that the index had to answer.", registry=registry
        )
        self.batch_queries = Histogram(
            "retriever_batch_queries",
            "Queries in one call of the engine.",
            buckets=[2**power for power in range(11)],
            registry=registry,
        )
        self.errors = Counter("retriever_errors", "Requests refused or failed, by kind.", ("kind",), registry=registry)
        queue = Gauge("retriever_queue_length", "Queries waiting for the engine.", registry=registry)
        queue.set_function(queue_length)
        loaded = Gauge("retriever_ready", "1 once the index is loaded.", registry=registry)
        loaded.set_function(ready)

    def text(self) -> bytes:
        """All values, as Prometheus reads them."""
        return generate_latest(self.registry)
