"""The service without HTTP, over an index that a test can hold up and break."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from retriever_echo import Echo, passage

from retriever.errors import BadIndex, BadRequest, Busy, NotReady, SearchFailed
from retriever.indexes import Index
from retriever.service import core
from retriever.service.cache import AnswerCache
from retriever.service.core import SearchService
from retriever.service.settings import ServiceSettings
from retriever.types import Document


def with_service(
    test: Callable[[SearchService, Echo], Coroutine[Any, Any, None]], settings: ServiceSettings | None = None
) -> None:
    """Runs a test with a loaded service."""

    async def run() -> None:
        index = Echo()
        service = SearchService(lambda: index, settings or ServiceSettings())
        await service.load()
        await test(service, index)
        await service.close()
        assert index.closed

    asyncio.run(run())


def counted(service: SearchService, name: str) -> float:
    return service.metrics.registry.get_sample_value(f"retriever_{name}") or 0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def test_a_query_asked_before_is_not_asked_again() -> None:
    async def test(service: SearchService, index: Echo) -> None:
        assert await service.search(["a", "b"], 1) == [[passage("a")], [passage("b")]]
        assert await service.search(["b", "c", "a"], 1) == [[passage("b")], [passage("c")], [passage("a")]]
        assert await service.search(["a"], 2) == [[passage("a")] * 2]
        assert index.calls == [(["a", "b"], 1), (["c"], 1), (["a"], 2)]
        assert [counted(service, f"cache_{kind}_total") for kind in ("hits", "misses")] == [2, 4]
        assert (counted(service, "batch_queries_count"), counted(service, "batch_queries_sum")) == (3, 4)

    with_service(test)


def test_equal_queries_under_way_are_asked_once() -> None:
    async def test(service: SearchService, index: Echo) -> None:
        index.free.clear()
        running = [asyncio.create_task(service.search([query], 1)) for query in "aab"]
        await until(lambda: index.held == 1)
        running += [asyncio.create_task(service.search([query], 1)) for query in "abcc"]
        await until(lambda: counted(service, "queue_length") == 4)
        index.free.set()
        assert await asyncio.gather(*running) == [[[passage(query)]] for query in "aababcc"]
        assert index.calls == [(["a", "b"], 1), (["c"], 1)]

    with_service(test)


def test_without_a_cache_every_call_asks_again() -> None:
    async def test(service: SearchService, index: Echo) -> None:
        for _ in range(2):
            assert await service.search(["a", "a"], 1) == [[passage("a")]] * 2
        assert index.calls == [(["a"], 1)] * 2

    with_service(test, ServiceSettings(cache_passages=0))


def test_a_failure_is_not_remembered() -> None:
    async def test(service: SearchService, index: Echo) -> None:
        index.broken = True
        with pytest.raises(SearchFailed, match="The engine is broken"):
            await service.search(["a"], 1)
        index.broken = False
        assert await service.search(["a"], 1) == [[passage("a")]]

    with_service(test)


def test_an_engine_call_asks_for_few_passages() -> None:
    async def test(service: SearchService, index: Echo) -> None:
        queries = [str(number) for number in range(10)]
        await service.search(queries, 1000)
        assert [len(queries) for queries, _ in index.calls] == [4, 4, 2]

    with_service(test)


def test_a_full_queue_takes_no_more() -> None:
    async def test(service: SearchService, index: Echo) -> None:
        index.free.clear()
        running = [asyncio.create_task(service.search(["a"], 1))]
        await until(lambda: index.held == 1)
        running += [asyncio.create_task(service.search([query], 1)) for query in "bc"]
        await until(lambda: counted(service, "queue_length") == 2)
        with pytest.raises(Busy, match="2 queries are waiting and at most 2 may"):
            await service.search(["d"], 1)
        fetching = asyncio.create_task(service.documents(["a", "x"]))
        await until(lambda: index.held == 2)
        with pytest.raises(Busy, match="2 ids are waiting and at most 2 may"):
            await service.documents(["b"])
        index.free.set()
        assert await asyncio.gather(*running) == [[[passage(query)]] for query in "abc"]
        assert await fetching == [Document("a", "", "a"), None]

    with_service(test, ServiceSettings(max_waiting=2))


def test_limits_hold_without_http_too() -> None:
    async def test(service: SearchService, index: Echo) -> None:
        with pytest.raises(BadRequest, match="at most 100,000 passages"):
            await service.search(["a"] * 101, 1000)
        with pytest.raises(BadRequest, match="topk must be a whole number from 1 to 1000, found 0"):
            await service.search(["a"], 0)
        with pytest.raises(BadRequest, match="at most 1024 ids"):
            await service.documents(["a"] * 1025)
        assert index.calls == []

    with_service(test)


def test_nothing_is_answered_before_the_index_is_loaded() -> None:
    async def run() -> None:
        service = SearchService(Echo, ServiceSettings())
        for ask in (service.search(["a"], 1), service.documents(["a"]), service.probe()):
            with pytest.raises(NotReady, match="The index is being loaded"):
                await ask
        assert counted(service, "ready") == 0
        await service.load()
        await service.probe()
        assert counted(service, "ready") == 1
        await service.close()

    asyncio.run(run())


def test_an_index_that_cannot_be_opened_is_its_own_error() -> None:
    def broken() -> Index:
        raise BadIndex("The folder is empty.")

    with pytest.raises(BadIndex, match="The folder is empty"):
        asyncio.run(SearchService(broken, ServiceSettings()).load())


def test_a_probe_tells_a_broken_engine_from_a_working_one() -> None:
    async def test(service: SearchService, index: Echo) -> None:
        index.broken = True
        with pytest.raises(NotReady, match="failed to answer a probe query: The engine is broken"):
            await service.probe()
        index.broken = False
        await service.probe()

    with_service(test)


def test_a_probe_waits_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "PROBE_TIMEOUT_S", 0.05)

    async def test(service: SearchService, index: Echo) -> None:
        index.free.clear()
        with pytest.raises(NotReady, match=r"did not answer a probe query within 0\.05 s"):
            await service.probe()
        index.free.set()
        await service.probe()

    with_service(test)


def test_the_cache_forgets_what_was_not_asked_for_the_longest() -> None:
    cache = AnswerCache(places=6)
    for query in "abc":
        cache.put(query, 1, [passage(query)])
    assert cache.get("a", 1) == [passage("a")]
    cache.put("d", 1, [passage("d")])
    assert [cache.get(query, 1) is not None for query in "abcd"] == [True, False, True, True]


def test_the_cache_is_bounded_by_passages() -> None:
    cache = AnswerCache(places=4)
    cache.put("large", 9, [passage("large")] * 4)
    assert cache.get("large", 9) is None
    cache.put("none", 9, [])
    cache.put("two", 9, [passage("two")] * 2)
    assert (cache.get("none", 9), cache.get("two", 9)) == ([], [passage("two")] * 2)
    cache.put("three", 9, [passage("three")] * 3)
    assert (cache.get("none", 9), cache.get("two", 9), len(cache)) == (None, None, 1)


@pytest.mark.parametrize("setting", ["max_batch", "max_waiting", "max_body_bytes", "cache_passages"])
def test_refuses_settings_below_their_least(setting: str) -> None:
    with pytest.raises(BadRequest, match=rf"{setting} must be at least [01], found -1"):
        ServiceSettings(**{setting: -1})
