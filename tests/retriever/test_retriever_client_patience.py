"""What every searcher does with its patience, in virtual time: the target is a coroutine that the test scripts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import now, run_virtually

from retriever.clients import Patience, Searcher
from retriever.clients.breaker import Breaker
from retriever.clients.searcher import Unavailable
from retriever.errors import BadRequest, Busy, CircuitOpen, DeadlineExceeded, SearchFailed, Unauthorised
from retriever.types import Passage

Target = Callable[[list[str], int], Awaitable[list[list[Passage]]]]


class Scripted(Searcher):
    """Asks a coroutine; keeps what it was asked, and when."""

    def __init__(self, target: Target, patience: Patience, **bounds: int) -> None:
        super().__init__("The target", patience, **bounds)
        self._ask = target
        self.asked: list[tuple[float, list[str]]] = []

    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        self.asked.append((now(), queries))
        return await self._ask(queries, topk)


def answer(query: str, topk: int) -> list[Passage]:
    return [Passage(query, f"top {topk}", query.upper(), 1.0)]


async def prompt(queries: list[str], topk: int) -> list[list[Passage]]:
    return [answer(query, topk) for query in queries]


def scripted(*steps: float | Exception) -> Target:
    """Each try takes so many seconds, or fails so; every further one answers at once."""
    left = list(steps)

    async def target(queries: list[str], topk: int) -> list[list[Passage]]:
        step = left.pop(0) if left else 0
        if isinstance(step, Exception):
            raise step
        await asyncio.sleep(step)
        return [answer(query, topk) for query in queries]

    return target


def times(searcher: Scripted) -> list[float]:
    return [time for time, _ in searcher.asked]


# Deadlines and tries


def test_a_caller_leaves_at_its_deadline_whatever_the_target_does() -> None:
    async def run() -> None:
        searcher = Scripted(scripted(1000), Patience(deadline_s=30, try_timeout_s=500))
        with pytest.raises(DeadlineExceeded, match="The target gave no answer within the deadline of 30 s: "):
            await searcher.search(["a"], 1)
        assert now() == 30
        await searcher.close()

    run_virtually(run())


def test_a_try_that_hangs_is_given_up_and_another_made() -> None:
    async def run() -> None:
        searcher = Scripted(scripted(1000, 1000, 3), Patience(backoff_s=0))
        assert await searcher.search(["a"], 1) == [answer("a", 1)]
        assert (times(searcher), now()) == ([0, 20, 40], 43)
        await searcher.close()

    run_virtually(run())


def test_tries_go_on_until_the_deadline() -> None:
    async def run() -> None:
        searcher = Scripted(scripted(*[Unavailable("down")] * 10_000), Patience(deadline_s=60))
        with pytest.raises(DeadlineExceeded, match="within the deadline of 60 s: down"):
            await searcher.search(["a"], 1)
        # Waits are random, of at most 5 s: the last try is shortly before the end.
        assert 55 <= times(searcher)[-1] <= 60
        assert now() <= 60
        await searcher.close()

    run_virtually(run())


def test_waits_follow_the_policy_and_retry_after_adds_to_them() -> None:
    async def run() -> None:
        failures = [Unavailable("busy", retry_after_s=7), Unavailable("busy", retry_after_s=11.5)]
        searcher = Scripted(scripted(*failures), Patience(backoff_s=0))
        await searcher.search(["a"], 1)
        assert times(searcher) == [0, 7, 18.5]
        await searcher.close()

    run_virtually(run())


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    async def run() -> None:
        searcher = Scripted(scripted(Unavailable("full", retry_after_s=60)), Patience(deadline_s=60))
        with pytest.raises(DeadlineExceeded, match="full"):
            await searcher.search(["a"], 1)
        assert now() == 0
        await searcher.close()

    run_virtually(run())


def test_each_caller_of_a_batch_has_a_deadline_of_its_own() -> None:
    """While `first` holds the only place, `early` and `late` gather; their batch answers between their deadlines."""

    async def run() -> None:
        searcher = Scripted(scripted(9, 8), Patience(deadline_s=10, in_flight=1))

        async def timed(query: str, start: float) -> tuple[str, float]:
            await asyncio.sleep(start)
            try:
                await searcher.search([query], 1)
            except DeadlineExceeded:
                return f"{query} too late", now()
            return f"{query} answered", now()

        ends = await asyncio.gather(timed("first", 0), timed("early", 2), timed("late", 8))
        assert ends == [("first answered", 9), ("early too late", 12), ("late answered", 17)]
        assert searcher.asked == [(0, ["first"]), (9, ["early", "late"])]
        await searcher.close()

    run_virtually(run())


def test_a_batch_is_repeated_while_the_youngest_of_its_callers_may_wait() -> None:
    async def run() -> None:
        down = Unavailable("down", retry_after_s=2)
        searcher = Scripted(scripted(9, *[down] * 4), Patience(deadline_s=10, backoff_s=0, in_flight=1))
        first = asyncio.create_task(searcher.search(["first"], 1))
        await asyncio.sleep(1)
        early = asyncio.create_task(searcher.search(["early"], 1))
        await asyncio.sleep(7.5)
        late = asyncio.create_task(searcher.search(["late"], 1))
        await asyncio.wait([first, early, late])
        assert type(early.exception()) is DeadlineExceeded
        assert late.result() == [answer("late", 1)]
        assert now() == 17
        await searcher.close()

    run_virtually(run())


# Bounds


def test_bounds_on_batches_under_way_and_on_waiting_queries() -> None:
    async def run() -> None:
        searcher = Scripted(scripted(5, 5, 5), Patience(in_flight=2, max_waiting=3))
        under_way = []
        for query in "abcd":
            under_way.append(asyncio.create_task(searcher.search([query], 1)))
            await asyncio.sleep(0.1)
        with pytest.raises(Busy, match="2 queries are waiting and at most 3 may"):
            await searcher.search(["e", "f"], 1)
        assert await asyncio.gather(*under_way) == [[answer(query, 1)] for query in "abcd"]
        assert [queries for _, queries in searcher.asked] == [["a"], ["b"], ["c", "d"]]
        await searcher.close()

    run_virtually(run())


def test_the_bound_on_topk_of_a_target() -> None:
    async def run() -> None:
        searcher = Scripted(prompt, Patience(), max_topk=10)
        assert await searcher.search(["a"], 10) == [answer("a", 10)]
        with pytest.raises(BadRequest, match="The target gives at most 10 passages for a query, found topk 11"):
            await searcher.search(["a"], 11)
        await searcher.close()

    run_virtually(run())


# Failures of one


def test_a_query_that_may_be_at_fault_is_tried_alone_and_few_times() -> None:
    async def target(queries: list[str], topk: int) -> list[list[Passage]]:
        if "bad" in queries:
            raise Unavailable("HTTP status 500", suspect=True)
        return [answer(query, topk) for query in queries]

    async def run() -> None:
        searcher = Scripted(target, Patience())
        answers = await asyncio.gather(
            *(searcher.search([query], 1) for query in ("a", "bad", "b")), return_exceptions=True
        )
        assert [answers[0], answers[2]] == [[answer("a", 1)], [answer("b", 1)]]
        assert type(answers[1]) is SearchFailed
        assert str(answers[1]) == "The target did not answer in 4 tries: HTTP status 500."
        asked = [queries for _, queries in searcher.asked]
        assert asked == [["a", "bad", "b"], ["a"], *[["bad"]] * 4, ["b"]]
        await searcher.close()

    run_virtually(run())


def test_a_cancelled_caller_harms_nobody_else() -> None:
    async def run() -> None:
        searcher = Scripted(scripted(5, 5), Patience(in_flight=1))
        sent = [asyncio.create_task(searcher.search([query], 1)) for query in "ab"]
        await asyncio.sleep(1)
        waiting = [asyncio.create_task(searcher.search([query], 1)) for query in "cd"]
        await asyncio.sleep(1)
        sent[0].cancel()
        waiting[0].cancel()
        ends = await asyncio.gather(*sent, *waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError, list, asyncio.CancelledError, list]
        assert [ends[1], ends[3]] == [[answer("b", 1)], [answer("d", 1)]]
        assert [queries for _, queries in searcher.asked] == [["a", "b"], ["d"]]
        await searcher.close()

    run_virtually(run())


# What the breaker learns


def opens_at_the_first_failure(target: Target, open_s: float = 3600) -> Scripted:
    searcher = Scripted(target, Patience(retries=0))
    searcher._breaker = Breaker(1, 0, open_s)
    return searcher


@pytest.mark.parametrize("failure", [Unavailable("down"), TimeoutError()])
def test_an_open_circuit_asks_no_more(failure: Exception) -> None:
    async def run() -> None:
        searcher = opens_at_the_first_failure(scripted(failure))
        with pytest.raises(SearchFailed, match="did not answer in 1 tries"):
            await searcher.search(["a"], 1)
        with pytest.raises(CircuitOpen, match=r"The target has not answered for long \(.*\); it is asked again in 3"):
            await searcher.search(["b"], 1)
        assert [queries for _, queries in searcher.asked] == [["a"]]
        await searcher.close()

    run_virtually(run())


@pytest.mark.parametrize("failure", [BadRequest("no"), Unauthorised("no"), SearchFailed("odd"), ValueError("a bug")])
def test_an_answer_that_is_no_use_does_not_open_the_circuit(failure: Exception) -> None:
    async def run() -> None:
        searcher = opens_at_the_first_failure(scripted(failure))
        with pytest.raises(type(failure)):
            await searcher.search(["a"], 1)
        assert await searcher.search(["b"], 1) == [answer("b", 1)]
        await searcher.close()

    run_virtually(run())


def test_a_probe_that_is_broken_off_leaves_room_for_another() -> None:
    async def run() -> None:
        searcher = opens_at_the_first_failure(scripted(Unavailable("down"), 5), open_s=0)
        with pytest.raises(SearchFailed):
            await searcher.search(["a"], 1)
        probe = asyncio.create_task(searcher.search(["b"], 1))
        await asyncio.sleep(1)
        with pytest.raises(CircuitOpen):
            await searcher.search(["c"], 1)
        await searcher.close()
        assert type((await asyncio.gather(probe, return_exceptions=True))[0]) is SearchFailed
        assert await searcher.search(["d"], 1) == [answer("d", 1)]
        await searcher.close()

    run_virtually(run())


# Closing, and event loops


def test_closing_fails_what_is_under_way_and_what_waits() -> None:
    async def run() -> None:
        searcher = Scripted(scripted(5), Patience(in_flight=1))
        under_way = asyncio.create_task(searcher.search(["a"], 1))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(searcher.search(["b"], 1))
        await asyncio.sleep(1)
        await searcher.close()
        ends = await asyncio.gather(under_way, waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [SearchFailed, SearchFailed]
        assert all("searcher was closed" in str(end) for end in ends)
        assert now() == 2
        assert await searcher.search(["c"], 1) == [answer("c", 1)], "a searcher opens again by itself"
        await searcher.close()

    run_virtually(run())


def test_one_loop_after_another() -> None:
    searcher = Scripted(prompt, Patience())
    for n in range(3):
        assert run_virtually(searcher.search([f"q{n}"], 1)) == [answer(f"q{n}", 1)]
    run_virtually(searcher.close())


def test_a_second_loop_at_the_same_time_is_refused() -> None:
    searcher = Scripted(prompt, Patience())

    async def run() -> None:
        await searcher.search(["a"], 1)
        with pytest.raises(BadRequest, match="serves one event loop at a time; open one for each loop"):
            await asyncio.to_thread(lambda: asyncio.run(searcher.search(["b"], 1)))
        assert await searcher.search(["c"], 1) == [answer("c", 1)]
        await searcher.close()

    asyncio.run(run())


# Coalescing


CALLERS = st.lists(
    st.tuples(
        st.lists(st.text(max_size=5), max_size=4),  # queries
        st.integers(1, 3),  # topk
        st.integers(0, 6),  # seconds at which it calls
        st.one_of(st.none(), st.integers(0, 6)),  # seconds after which it is cancelled
    ),
    max_size=12,
)
STEPS = st.lists(st.one_of(st.integers(0, 3), st.just("down"), st.just("suspect")), max_size=12)


@settings(max_examples=100, deadline=None)
@given(CALLERS, STEPS, st.integers(1, 3), st.integers(1, 5))
def test_any_interleaving_of_callers_gets_exactly_its_own_answers(
    callers: list[tuple[list[str], int, int, int | None]],
    steps: list[int | str],
    in_flight: int,
    max_batch: int,
) -> None:
    failures = {"down": Unavailable("down"), "suspect": Unavailable("odd", suspect=True)}
    target = scripted(*(failures[step] if isinstance(step, str) else step for step in steps))

    async def call(searcher: Searcher, queries: list[str], topk: int, start: int, stay: int | None) -> Any:
        await asyncio.sleep(start)
        async with asyncio.timeout(stay):
            return await searcher.search(queries, topk)

    async def run() -> list[Any]:
        patience = Patience(deadline_s=1000, backoff_s=0.5, in_flight=in_flight)
        searcher = Scripted(target, patience, max_batch=max_batch)
        ends = await asyncio.gather(*(call(searcher, *caller) for caller in callers), return_exceptions=True)
        await searcher.close()
        return ends

    for (queries, topk, _, stay), end in zip(callers, run_virtually(run()), strict=True):
        if isinstance(end, TimeoutError):
            assert stay is not None
        elif isinstance(end, SearchFailed):
            assert "tries: odd" in str(end), "only what no repeating cures is lost"
            assert steps.count("suspect") >= 4
        else:
            assert end == [answer(query, topk) for query in queries]
