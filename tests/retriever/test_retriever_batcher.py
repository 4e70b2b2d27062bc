"""The micro-batcher with engines made of plain coroutines."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.batcher import Batcher
from retriever.errors import Busy, SearchFailed
from retriever.types import Passage


def passage(query: str, topk: int) -> Passage:
    return Passage(query, f"top {topk}", query.upper(), 1.0)


class Engine:
    """Answers each query with itself, keeps every call, fails calls that hold the word `bad`."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, queries: list[str], topk: int) -> list[list[Passage]]:
        self.calls.append((queries, topk))
        await self.open.wait()
        if "bad" in queries:
            raise ValueError("bad query")
        return [[passage(query, topk)] for query in queries]


async def settle() -> None:
    """Lets every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_lone_query_leaves_at_once() -> None:
    async def run() -> None:
        engine = Engine()
        batcher = Batcher(engine)
        assert await batcher.search(["a"], 3) == [[passage("a", 3)]]
        assert engine.calls == [(["a"], 3)]
        await batcher.close()

    asyncio.run(run())


def test_queries_gather_while_the_engine_works() -> None:
    async def run() -> None:
        engine = Engine()
        engine.open.clear()
        batcher = Batcher(engine, max_batch=3)
        first = asyncio.create_task(batcher.search(["a"], 1))
        await settle()
        others = [asyncio.create_task(batcher.search([query], 1)) for query in "bcde"]
        await settle()
        engine.open.set()
        assert await first == [[passage("a", 1)]]
        assert await asyncio.gather(*others) == [[[passage(query, 1)]] for query in "bcde"]
        assert engine.calls == [(["a"], 1), (["b", "c", "d"], 1), (["e"], 1)]
        await batcher.close()

    asyncio.run(run())


def test_one_call_for_each_topk() -> None:
    async def run() -> None:
        engine = Engine()
        batcher = Batcher(engine)
        answers = await asyncio.gather(batcher.search(["a", "b"], 5), batcher.search(["c"], 2))
        assert answers == [[[passage("a", 5)], [passage("b", 5)]], [[passage("c", 2)]]]
        assert engine.calls == [(["c"], 2), (["a", "b"], 5)]
        await batcher.close()

    asyncio.run(run())


def test_a_call_asks_for_so_many_passages_at_most() -> None:
    async def run() -> None:
        engine = Engine()
        engine.open.clear()
        batcher = Batcher(engine, max_passages=10)
        running = [asyncio.create_task(batcher.search(queries, topk)) for queries, topk in ((["a"], 4), (["b"], 20))]
        await settle()
        running.append(asyncio.create_task(batcher.search(["c", "d", "e"], 4)))
        await settle()
        assert batcher.waiting == 4
        engine.open.set()
        await asyncio.gather(*running)
        assert engine.calls == [(["a"], 4), (["b"], 20), (["c", "d"], 4), (["e"], 4)]
        assert batcher.waiting == 0
        await batcher.close()

    asyncio.run(run())


def test_only_the_query_at_fault_fails() -> None:
    async def run() -> None:
        engine = Engine()
        batcher = Batcher(engine)
        answers = await asyncio.gather(
            *(batcher.search([query], 1) for query in ("a", "bad", "c")), return_exceptions=True
        )
        assert answers[0] == [[passage("a", 1)]]
        assert isinstance(answers[1], ValueError)
        assert answers[2] == [[passage("c", 1)]]
        await batcher.close()

    asyncio.run(run())


def test_a_failing_engine_is_not_asked_query_by_query() -> None:
    async def run() -> None:
        calls = 0

        async def down(queries: list[str], topk: int) -> list[list[Passage]]:
            nonlocal calls
            calls += 1
            raise SearchFailed("down")

        batcher = Batcher(down)
        answers = await asyncio.gather(*(batcher.search([query], 1) for query in "abc"), return_exceptions=True)
        assert [str(answer) for answer in answers] == ["down"] * 3
        assert calls == 1
        await batcher.close()

    asyncio.run(run())


def test_a_wrong_number_of_answers_is_a_failure() -> None:
    async def run() -> None:
        async def short(queries: list[str], topk: int) -> list[list[Passage]]:
            return [[]]

        batcher = Batcher(short)
        with pytest.raises(SearchFailed, match="gave 1 answers to 2 queries"):
            await batcher.search(["a", "b"], 1)
        await batcher.close()

    asyncio.run(run())


def test_a_full_queue_takes_nothing_of_a_request() -> None:
    async def run() -> None:
        engine = Engine()
        engine.open.clear()
        batcher = Batcher(engine, max_waiting=2)
        running = asyncio.create_task(batcher.search(["a"], 1))
        await settle()
        waiting = asyncio.create_task(batcher.search(["b"], 1))
        await settle()
        with pytest.raises(Busy, match="1 queries are waiting and at most 2 may"):
            await batcher.search(["c", "d"], 1)
        engine.open.set()
        assert [await running, await waiting] == [[[passage("a", 1)]], [[passage("b", 1)]]]
        assert engine.calls == [(["a"], 1), (["b"], 1)]
        await batcher.close()

    asyncio.run(run())


def test_a_cancelled_caller_is_not_searched_for() -> None:
    async def run() -> None:
        engine = Engine()
        engine.open.clear()
        batcher = Batcher(engine)
        running = asyncio.create_task(batcher.search(["a"], 1))
        await settle()
        left = asyncio.create_task(batcher.search(["left"], 1))
        kept = asyncio.create_task(batcher.search(["kept"], 1))
        await settle()
        left.cancel()
        await settle()
        engine.open.set()
        assert [await running, await kept] == [[[passage("a", 1)]], [[passage("kept", 1)]]]
        assert engine.calls == [(["a"], 1), (["kept"], 1)]
        await batcher.close()

    asyncio.run(run())


def test_closing_fails_running_and_waiting_queries() -> None:
    async def run() -> None:
        engine = Engine()
        engine.open.clear()
        batcher = Batcher(engine)
        running = asyncio.create_task(batcher.search(["a"], 1))
        await settle()
        waiting = asyncio.create_task(batcher.search(["b"], 1))
        await settle()
        await batcher.close()
        answers = await asyncio.gather(running, waiting, return_exceptions=True)
        assert all(isinstance(answer, SearchFailed) for answer in answers)

    asyncio.run(run())


def test_several_calls_may_be_under_way() -> None:
    async def run() -> None:
        engine = Engine()
        engine.open.clear()
        batcher = Batcher(engine, max_batch=1, in_flight=2)
        tasks = [asyncio.create_task(batcher.search([query], 1)) for query in "abc"]
        await settle()
        assert engine.calls == [(["a"], 1), (["b"], 1)]
        engine.open.set()
        await asyncio.gather(*tasks)
        await batcher.close()

    asyncio.run(run())


def test_one_batcher_serves_one_event_loop_after_another() -> None:
    async def answer(queries: list[str], topk: int) -> list[list[Passage]]:
        return [[passage(query, topk)] for query in queries]

    batcher = Batcher(answer)
    for _ in range(2):
        assert asyncio.run(batcher.search(["a"], 1)) == [[passage("a", 1)]]


requests = st.lists(
    st.tuples(st.lists(st.sampled_from(["a", "b", "c", "bad"]), max_size=5), st.integers(1, 3)), max_size=12
)


@settings(deadline=None)
@given(requests=requests, max_batch=st.integers(1, 8), in_flight=st.integers(1, 3))
def test_every_caller_gets_its_own_answers(
    requests: list[tuple[list[str], int]], max_batch: int, in_flight: int
) -> None:
    async def run() -> None:
        engine = Engine()
        batcher = Batcher(engine, max_batch=max_batch, in_flight=in_flight)
        answers = await asyncio.gather(
            *(batcher.search(queries, topk) for queries, topk in requests), return_exceptions=True
        )
        for (queries, topk), answer in zip(requests, answers, strict=True):
            if "bad" in queries:
                assert isinstance(answer, ValueError)
            else:
                assert answer == [[passage(query, topk)] for query in queries]
        assert all(len(queries) <= max_batch for queries, _ in engine.calls)
        sent = Counter(query for queries, _ in engine.calls for query in queries)
        assert sent["bad"] >= sum(queries.count("bad") for queries, _ in requests)
        await batcher.close()

    asyncio.run(run())
