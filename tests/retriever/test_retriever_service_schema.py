"""Thousands of requests made up from the OpenAPI document, valid and invalid ones, against a running server."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from prometheus_client.parser import text_string_to_metric_families
from retriever_server import await_ready, serving
from schemathesis import GenerationMode
from schemathesis.schemas import APIOperation

from retriever.indexes.bm25 import Bm25Index

BODIES = ("/retrieve", "/v1/search", "/v1/documents")
ADDRESSES = ("/health", "/ready", "/metrics", "/v1/index", "/v1/documents/{identifier}")


@pytest.mark.slow
def test_no_request_breaks_the_server_or_its_promises(index: Bm25Index) -> None:
    with serving(lambda: index) as client:
        await_ready(client)
        document = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
        for path in BODIES:
            for mode in GenerationMode:
                hold_to_document(document[path]["POST"], mode)
        for path in ADDRESSES:
            hold_to_document(document[path]["GET"], GenerationMode.POSITIVE)
        families = text_string_to_metric_families(client.get("/metrics").text)
        [requests] = [family for family in families if family.name == "retriever_requests"]
    counted = [(sample.labels["status"], sample.value) for sample in requests.samples if sample.name.endswith("_total")]
    # While the index was loading, /ready rightly answered with status 503.
    assert {status for status, _ in counted} <= {"200", "404", "422", "503"}
    assert sum(count for _, count in counted) > 2500


def hold_to_document(operation: APIOperation, mode: GenerationMode) -> None:
    """Sends up to 400 requests; status, content type and schema of each answer must be those promised, never a 5xx."""

    # Without Hypothesis' hill climbing, which on texts this long takes minutes.
    @settings(
        max_examples=400,
        phases=(Phase.explicit, Phase.generate),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate()

    check()
