"""Searching without asyncio, from one thread and from many."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scripted_server import HANG, Reply, Request, ScriptedServer, echo

from retriever.clients import HttpSearcher, Patience, SyncSearcher, open_sync
from retriever.errors import BadRequest, DeadlineExceeded, SearchFailed
from retriever.indexes.bm25 import Bm25Index
from retriever.types import Passage


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
    yield running
    running.close()


def echoed(text: str) -> list[Passage]:
    return [Passage("1", "Echo", text, 0.5)]


def test_searches_in_a_with_statement(server: ScriptedServer) -> None:
    with open_sync(server.url) as searcher:
        assert searcher.search(["a", "b"], 3) == [echoed("a"), echoed("b")]
        assert searcher.search([], 3) == []
        assert searcher.search(["c"], 1) == [echoed("c")]
    assert [request.body["topk"] for request in server.requests] == [3, 1]
    assert server.connections == 1


def test_searches_an_index_folder(index_folder: Path, index: Bm25Index) -> None:
    with open_sync(str(index_folder)) as searcher:
        assert searcher.search(["fox", "wolf"], 2) == index.search(["fox", "wolf"], 2)


def until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.001)


def waiting(searcher: SyncSearcher) -> int:
    return searcher._searcher._batcher.waiting


@pytest.fixture
def held() -> Iterator[tuple[ScriptedServer, threading.Event]]:
    """A server that answers nothing before the event is set."""
    release = threading.Event()

    def reply(request: Request) -> Reply:
        release.wait(30)
        return echo(request)

    running = ScriptedServer(default=reply)
    yield running, release
    running.close()


def test_queries_of_many_threads_travel_together(held: tuple[ScriptedServer, threading.Event]) -> None:
    """The first request is held until the queries of all other threads wait."""
    server, release = held
    with open_sync(server.url, patience=Patience(in_flight=1)) as searcher, ThreadPoolExecutor(40) as threads:
        first = threads.submit(searcher.search, ["first"], 1)
        until(lambda: server.requests)
        answers = [threads.submit(searcher.search, [f"q{n}"], 1) for n in range(39)]
        until(lambda: waiting(searcher) == 39)
        release.set()
        assert first.result() == [echoed("first")]
        assert [answer.result() for answer in answers] == [[echoed(f"q{n}")] for n in range(39)]
    assert len(server.requests) == 2


def test_each_thread_gets_its_own_answers(server: ScriptedServer) -> None:
    def work(thread: int) -> None:
        for n in range(25):
            queries = [f"{thread}-{n}-{m}" for m in range(n % 3 + 1)]
            assert searcher.search(queries, n % 2 + 1) == [echoed(query) for query in queries]

    with open_sync(server.url) as searcher, ThreadPoolExecutor(40) as threads:
        list(threads.map(work, range(40)))


def test_errors_are_those_of_the_searcher(server: ScriptedServer) -> None:
    server.script = [Reply(422, {"detail": "no"}), HANG]
    with open_sync(server.url, patience=Patience(deadline_s=0.2)) as searcher:
        with pytest.raises(BadRequest, match="refused the request"):
            searcher.search(["a"], 1)
        with pytest.raises(DeadlineExceeded):
            searcher.search(["a"], 1)
        with pytest.raises(BadRequest, match="topk must be a whole number"):
            searcher.search(["a"], 0)
        with pytest.raises(BadRequest, match="is not a retriever"):
            open_sync("nowhere")


def test_closing_fails_what_is_under_way_and_ends_the_thread(server: ScriptedServer) -> None:
    server.script = [HANG] * 9
    searcher = open_sync(server.url)
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(searcher.search, [f"q{n}"], 1) for n in range(4)]
        until(lambda: server.requests)
        searcher.close()
        for answer in answers:
            with pytest.raises(SearchFailed, match=r"was closed before|is closed"):
                answer.result()
    assert not any(thread.name == "retriever-searcher" for thread in threading.enumerate())
    with pytest.raises(SearchFailed, match="The searcher is closed; open another"):
        searcher.search(["a"], 1)
    searcher.close()


def test_closing_while_threads_keep_searching_leaves_none_waiting(server: ScriptedServer) -> None:
    searcher = open_sync(server.url)

    def search_until_closed(thread: int) -> int:
        answered = 0
        while True:
            try:
                assert searcher.search([f"{thread}"], 1) == [echoed(f"{thread}")]
            except SearchFailed:
                return answered
            answered += 1

    with ThreadPoolExecutor(8) as threads:
        answered = [threads.submit(search_until_closed, n) for n in range(8)]
        until(lambda: len(server.requests) >= 20)
        searcher.close()
        assert sum(each.result(timeout=30) for each in answered) >= 20


def test_may_be_opened_inside_an_event_loop(server: ScriptedServer) -> None:
    async def run() -> list[list[Passage]]:
        with SyncSearcher(HttpSearcher(server.url)) as searcher:
            return await asyncio.to_thread(searcher.search, ["a"], 1)

    assert asyncio.run(run()) == [echoed("a")]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_is_told_to_open_its_own(server: ScriptedServer) -> None:
    with open_sync(server.url) as searcher:
        searcher.search(["a"], 1)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                searcher.search(["b"], 1)
            except BadRequest as error:
                os.write(write, str(error).encode())
            searcher.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(read, 1000) == b"This searcher was opened before the process forked; open one after the fork."
        os.close(read)
        os.close(write)
        assert searcher.search(["c"], 1) == [echoed("c")]


def test_an_interrupted_call_takes_its_query_back(held: tuple[ScriptedServer, threading.Event]) -> None:
    """As with Ctrl-C: a signal raises in the main thread while its query waits behind another's."""
    server, release = held

    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    def interrupt_once_it_waits() -> None:
        until(lambda: waiting(searcher))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    with open_sync(server.url, patience=Patience(in_flight=1)) as searcher, ThreadPoolExecutor(2) as threads:
        first = threads.submit(searcher.search, ["first"], 1)
        until(lambda: server.requests)
        threads.submit(interrupt_once_it_waits)
        with pytest.raises(Interrupted):
            searcher.search(["interrupted"], 1)
        release.set()
        assert first.result() == [echoed("first")]
        assert searcher.search(["next"], 1) == [echoed("next")]
    signal.signal(signal.SIGUSR1, before)
    assert [request.body["queries"] for request in server.requests] == [["first"], ["next"]]
