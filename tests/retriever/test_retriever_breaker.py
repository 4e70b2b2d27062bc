"""The circuit breaker, with a clock that the test turns."""

from itertools import product

import pytest

from retriever.clients.breaker import Breaker, State


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, tries: int) -> None:
    for _ in range(tries):
        ticket = breaker.admit()
        assert ticket is not None
        breaker.failed(ticket)


def opened(clock: Clock) -> Breaker:
    """A circuit that has just opened, for 5 s, after 3 failures within 10 s."""
    breaker = Breaker(3, 10, 5, clock)
    fail(breaker, 1)
    clock.now += 10
    fail(breaker, 2)
    assert breaker.state is State.OPEN
    return breaker


def test_opens_after_enough_failures_over_a_long_enough_time() -> None:
    clock = Clock()
    breaker = Breaker(3, 10, 5, clock)
    fail(breaker, 20)
    clock.now += 9.9
    fail(breaker, 1)
    assert breaker.state is State.CLOSED
    clock.now += 0.1
    fail(breaker, 1)
    assert (breaker.state, breaker.retry_in_s(), breaker.admit()) == (State.OPEN, 5.0, None)


def test_few_failures_over_a_long_time_do_not_open() -> None:
    clock = Clock()
    breaker = Breaker(3, 10, 5, clock)
    fail(breaker, 1)
    clock.now += 1000
    fail(breaker, 1)
    assert breaker.state is State.CLOSED


def test_a_success_starts_the_count_and_the_time_anew() -> None:
    clock = Clock()
    breaker = Breaker(3, 10, 5, clock)
    fail(breaker, 2)
    clock.now += 10
    ticket = breaker.admit()
    assert ticket is not None
    breaker.succeeded(ticket)
    fail(breaker, 5)
    clock.now += 9
    fail(breaker, 1)
    assert breaker.state is State.CLOSED


def test_half_open_lets_one_probe_through_whose_success_closes() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 4
    assert (breaker.retry_in_s(), breaker.admit()) == (1.0, None)
    clock.now += 1
    assert (breaker.state, breaker.retry_in_s()) == (State.HALF_OPEN, 0.0)
    probe = breaker.admit()
    assert probe is not None
    assert breaker.admit() is None
    breaker.succeeded(probe)
    assert breaker.state is State.CLOSED
    fail(breaker, 2)
    assert breaker.state is State.CLOSED


def test_a_failed_probe_opens_again_at_once() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 5
    fail(breaker, 1)
    assert (breaker.state, breaker.retry_in_s()) == (State.OPEN, 5.0)


def test_an_abandoned_probe_makes_room_for_another() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 5
    probe = breaker.admit()
    assert probe is not None
    breaker.abandoned(probe)
    assert breaker.state is State.HALF_OPEN
    assert breaker.admit() is not None


def test_an_abandoned_try_changes_nothing_while_closed() -> None:
    clock = Clock()
    breaker = Breaker(1, 0, 5, clock)
    ticket = breaker.admit()
    assert ticket is not None
    breaker.abandoned(ticket)
    assert breaker.state is State.CLOSED


def test_tries_from_before_the_outage() -> None:
    clock = Clock()
    breaker = Breaker(1, 0, 5, clock)
    early, late, last = breaker.admit(), breaker.admit(), breaker.admit()
    assert early and late and last
    breaker.failed(early)
    clock.now += 4
    breaker.failed(late)
    assert breaker.retry_in_s() == 1.0, "a late failure does not make the opening longer"
    clock.now += 1
    assert breaker.admit() is not None
    breaker.failed(late)
    breaker.abandoned(late)
    assert breaker.admit() is None, "the probe is still the one"
    breaker.succeeded(last)
    assert breaker.state is State.CLOSED, "an answer is an answer, however late"


@pytest.mark.parametrize("outage_s", [0, 2])
def test_every_sequence_of_seven_events(outage_s: int) -> None:
    """Against the rules themselves: when tries are admitted, and that at most one probes."""
    limit, open_s = 2, 2
    for events in product(("admit", "fail", "succeed", "abandon", "second"), repeat=7):
        clock = Clock()
        breaker = Breaker(limit, outage_s, open_s, clock)
        tickets: list[int] = []
        run, since, until, probe = 0, 0.0, None, None
        for event in events:
            if event == "second":
                clock.now += 1
            elif event == "admit":
                expected = until is None or (clock.now >= until and probe is None)
                ticket = breaker.admit()
                assert (ticket is not None) is expected, events
                if ticket is not None:
                    tickets.append(ticket)
                    probe = ticket if until is not None else None
            elif tickets:
                ticket = tickets.pop(0)
                if event == "succeed":
                    breaker.succeeded(ticket)
                    run, until, probe = 0, None, None
                elif event == "abandon":
                    breaker.abandoned(ticket)
                    probe = None if ticket == probe else probe
                else:
                    breaker.failed(ticket)
                    since = since if run else clock.now
                    run += 1
                    outage = until is None and run >= limit and clock.now - since >= outage_s
                    if outage or ticket == probe:
                        until, probe = clock.now + open_s, None
