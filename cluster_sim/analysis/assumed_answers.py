"""Requests that wait for answers, where answers are taken to come at once and at a fixed rate."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count, islice
from typing import NamedTuple

from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.arrivals import WaitingClients
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.sessions import Turn, scripts


class TimedTurn(NamedTuple):
    """One request of a session, and when it comes."""

    at_s: float
    """Time at which it comes [s]."""
    turn: Turn
    """The request."""


class TimedLengths(NamedTuple):
    """One request of a client, and when it comes."""

    at_s: float
    """Time at which it comes [s]."""
    prompt_tokens: int
    """Length of the prompt [tokens]."""
    output_tokens: int
    """Length of the answer [tokens]."""


class _Waiting(NamedTuple):
    """A session that goes on at a time, or that starts then."""

    at_s: float
    order: int
    """Number that decides between two of one time."""
    session: Iterator[Turn] | None = None
    turn: Turn | None = None
    """Its next request; None for a session that starts."""


def session_requests(
    scenario: Scenario, until_s: float, tokens_per_s: float
) -> Iterator[TimedTurn]:
    """Yield the requests of all sessions until `until_s`, in order of time.

    Answers are taken to come at `tokens_per_s`.
    """
    sessions = scenario.workload.sessions
    assert sessions is not None
    own = scripts(sessions, scenario.seed)
    starts_s: Iterator[float] = iter(())
    if sessions.arrivals is not None:
        times_s = sessions.arrivals.times(stream(scenario.seed, "arrivals"))
        starts_s = islice(times_s, sessions.arrivals.requests)
    order = count()
    waiting = [_Waiting(0.0, next(order)) for _ in range(sessions.concurrency or 0)]
    if (start_s := next(starts_s, None)) is not None:
        waiting.append(_Waiting(start_s, next(order)))
    heapify(waiting)
    while waiting and waiting[0].at_s < until_s:
        now_s, _, session, turn = heappop(waiting)
        if session is None or turn is None:
            if sessions.concurrency is None and (start_s := next(starts_s, None)) is not None:
                heappush(waiting, _Waiting(start_s, next(order)))
            if (session := next(own, None)) is None or (turn := next(session, None)) is None:
                continue
        yield TimedTurn(now_s, turn)
        answered_s = now_s + turn.output_tokens / tokens_per_s
        if (later := next(session, None)) is not None:
            heappush(waiting, _Waiting(answered_s + later.gap_s, next(order), session, later))
        elif sessions.concurrency is not None:
            heappush(waiting, _Waiting(answered_s, next(order)))


def client_requests(
    lengths: Iterator[tuple[int, int]],
    clients: WaitingClients,
    until_s: float,
    tokens_per_s: float,
) -> Iterator[TimedLengths]:
    """Yield the requests of clients that ask again when they are answered, until `until_s`.

    Answers are taken to come at `tokens_per_s`.
    """
    free_s = [0.0] * clients.number
    while free_s[0] < until_s:
        now_s = heappop(free_s)
        prompt, output = next(lengths)
        yield TimedLengths(now_s, prompt, output)
        heappush(free_s, now_s + output / tokens_per_s + clients.think_time_s)
