"""Requests that wait for answers, if answers begin immediately and proceed at a fixed rate."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count, islice, repeat, tee
from typing import NamedTuple

from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.arrivals import WaitingClients
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.sessions import Turn, replayed_scripts, scripts
from cluster_sim.workload.traces import RecordedSession, Tally


class TimedTurn(NamedTuple):
    """One request of a session, and its time."""

    at_s: float
    """Time of the request [s]."""
    turn: Turn
    """Turn of the session that the request is."""


class TimedLengths(NamedTuple):
    """One request of a client, and its time."""

    at_s: float
    """Time of the request [s]."""
    prompt_tokens: int
    """Length of the prompt [tokens]."""
    output_tokens: int
    """Length of the answer [tokens]."""


class _Waiting(NamedTuple):
    """A session that continues at a time, or starts at that time."""

    at_s: float
    order: int
    """Number that decides the order of two sessions with equal times."""
    start_s: float = 0.0
    """Time at which the session started [s]."""
    session: Iterator[Turn] | None = None
    turn: Turn | None = None
    """Next turn; None for a session that starts."""


def session_requests(
    scenario: Scenario, until_s: float, tokens_per_s: float, tally: Tally
) -> Iterator[TimedTurn]:
    """Yield the requests of all drawn sessions until `until_s`, in order of time.

    Answers are assumed to proceed at `tokens_per_s`. `tally` counts the omitted parts of a trace.
    """
    sessions = scenario.workload.sessions
    assert sessions is not None
    starts_s: Iterator[float] = repeat(0.0, sessions.concurrency or 0)
    if sessions.arrivals is not None:
        times_s = sessions.arrivals.times(stream(scenario.seed, "arrivals"))
        starts_s = islice(times_s, sessions.arrivals.requests)
    own = scripts(sessions, scenario.seed, tally)
    follows = sessions.concurrency is not None
    return timed_turns(own, starts_s, until_s, tokens_per_s, follows=follows)


def recorded_requests(
    sessions: Iterator[RecordedSession], until_s: float, tokens_per_s: float
) -> Iterator[TimedTurn]:
    """Yield the requests of recorded sessions until `until_s`, in order of time.

    Answers are assumed to proceed at `tokens_per_s`.
    """
    recorded, starting = tee(sessions)
    starts_s = (session.start_s for session in starting)
    return timed_turns(replayed_scripts(recorded), starts_s, until_s, tokens_per_s, follows=False)


def timed_turns(
    own: Iterator[Iterator[Turn]],
    starts_s: Iterator[float],
    until_s: float,
    tokens_per_s: float,
    *,
    follows: bool,
) -> Iterator[TimedTurn]:
    """Yield the turns of sessions until `until_s`, in order of time.

    Parameters
    ----------
    own
        Turns of each session.
    starts_s
        Times at which sessions start, ascending [s].
    until_s
        Time at which requests end [s].
    tokens_per_s
        Rate of every answer [1/s].
    follows
        Whether another session starts when one has ended.
    """
    order = count()
    waiting: list[_Waiting] = []

    def await_next() -> None:
        if (start_s := next(starts_s, None)) is not None:
            heappush(waiting, _Waiting(start_s, next(order), start_s))

    await_next()
    while waiting and waiting[0].at_s < until_s:
        now_s, _, start_s, session, turn = heappop(waiting)
        if session is None or turn is None:
            await_next()
            if (session := next(own, None)) is None or (turn := next(session, None)) is None:
                continue
        yield TimedTurn(now_s, turn)
        answered_s = now_s + turn.output_tokens / tokens_per_s
        if (later := next(session, None)) is not None:
            at_s = answered_s + later.gap_s
            if later.due_s:
                at_s = max(at_s, start_s + later.due_s)
            heappush(waiting, _Waiting(at_s, next(order), start_s, session, later))
        elif follows:
            heappush(waiting, _Waiting(answered_s, next(order), answered_s))


def client_requests(
    lengths: Iterator[tuple[int, int]],
    clients: WaitingClients,
    until_s: float,
    tokens_per_s: float,
) -> Iterator[TimedLengths]:
    """Yield the requests of clients that send again when they are answered, until `until_s`.

    Answers are assumed to proceed at `tokens_per_s`.
    """
    free_s = [0.0] * clients.number
    while free_s[0] < until_s:
        now_s = heappop(free_s)
        prompt, output = next(lengths)
        yield TimedLengths(now_s, prompt, output)
        heappush(free_s, now_s + output / tokens_per_s + clients.think_time_s)
