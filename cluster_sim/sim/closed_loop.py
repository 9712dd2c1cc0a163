"""Closed-loop traffic: clients and sessions that wait for an answer before they send again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

from simpy import Environment, Event, Timeout

from cluster_sim.request import Request
from cluster_sim.sim.backoff import backoff_s
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.replica_events import ClientEvents, ReplicaEvents
from cluster_sim.workload.arrivals.process import WaitingClients
from cluster_sim.workload.sessions import Turn


class TrafficLimits(NamedTuple):
    """Limits of the traffic: end of arrivals, and requests that count."""

    until_s: float
    """Time after which no request arrives [s]."""
    warmup_s: float
    """Time before which requests are omitted from the statistics [s]."""
    requests: int | None
    """Number of requests after which no request arrives; None if only time limits arrivals."""


class FrontDoorPath(NamedTuple):
    """Path between clients and replicas."""

    send: Callable[[Request], None]
    """Function that sends a request to the front door."""
    answer_s: Sequence[float]
    """Latency of an answer [s] by number of the replica; the last element is for -1, no replica."""


class ClosedLoopClients(ReplicaEvents, ClientEvents):
    """Clients that send a request, wait for the answer, think, and send the next request.

    After a rejection a client also backs off, longer after each consecutive rejection.
    """

    sessions_ended: int | None = None
    """Number of sessions that ended; None, since these clients have no sessions."""

    def __init__(
        self,
        env: Environment,
        front_door: FrontDoorPath,
        clients: WaitingClients,
        lengths: Iterator[tuple[int, int]],
        limits: TrafficLimits,
    ) -> None:
        self._env, self._front_door, self._lengths, self._limits = env, front_door, lengths, limits
        self._think_s = clients.think_time_s
        self._sent = 0
        self._failures: dict[int, int] = {}
        """Number of consecutive rejections of a client, by number of its open request; 0 is
        absent."""
        for _ in range(clients.number):
            Timeout(env, 0.0, 0).callbacks.append(self._send)

    def finished(self, request: Request) -> None:
        """Let a client continue when its answer has reached it."""
        if self._failures:
            self._failures.pop(request.number, None)
        answer_s = self._front_door.answer_s[request.replica]
        Timeout(self._env, answer_s + self._think_s, 0).callbacks.append(self._send)

    def left(self, request: Request) -> None:
        """Let a client that left an answer continue."""
        self.finished(request)

    def refused(self, request: Request) -> None:
        """Let a client continue when a rejection has reached it and its back-off is over."""
        failures = self._failures.pop(request.number, 0) + 1
        pause_s = self._front_door.answer_s[request.replica] + self._think_s + backoff_s(failures)
        Timeout(self._env, pause_s, failures).callbacks.append(self._send)

    def _send(self, event: Event) -> None:
        now_s, limits = self._env.now, self._limits
        if now_s >= limits.until_s or self._sent == limits.requests:
            return
        prompt, output = next(self._lengths)
        request = Request(self._sent, now_s, prompt, output, now_s >= limits.warmup_s)
        if event.value:
            self._failures[request.number] = event.value
        self._sent += 1
        self._front_door.send(request)


class SessionStarts(NamedTuple):
    """Starts of sessions: at given times, or one session after another."""

    times_s: Iterator[float] | None
    """Times at which sessions start [s]; None if sessions follow each other."""
    concurrency: int
    """Number of concurrent sessions, if sessions follow each other."""


class _OpenSession(NamedTuple):
    """Session in progress."""

    turns: Iterator[Turn]
    """Remaining turns of the session."""
    start_s: float
    """Time at which the session started [s]."""
    numbers: Iterator[int]
    """Numbers of the remaining turns."""


class ClosedLoopSessions(ReplicaEvents, ClientEvents):
    """Sessions whose turns wait for the answer to the previous turn.

    A waiting turn is one timeout; sessions are data, not processes. A rejected turn ends its
    session. If sessions follow each other, the next session then begins after a back-off.
    """

    def __init__(
        self,
        env: CountingEnvironment,
        front_door: FrontDoorPath,
        scripts: Iterator[Iterator[Turn]],
        starts: SessionStarts,
        limits: TrafficLimits,
    ) -> None:
        self._env, self._front_door, self._scripts, self._limits = env, front_door, scripts, limits
        self._refill = starts.times_s is None
        self._sent = 0
        self.sessions_ended = 0
        """Number of sessions whose last turn was answered."""
        self.sessions_begun = 0
        """Number of sessions whose first turn was sent."""
        self.sessions_cut = 0
        """Number of sessions whose next turn was due after the end of arrivals."""
        self.starts_late = False
        """Whether a session would start after the end of arrivals."""
        self._open: dict[int, _OpenSession] = {}
        """Sessions, by number of the request that is being answered."""
        self._failures: dict[int, int] = {}
        """Number of consecutive rejected sessions, by number of the open request; 0 is absent."""
        if starts.times_s is None:
            for _ in range(starts.concurrency):
                Timeout(env, 0.0, 0).callbacks.append(self._begin)
        else:
            env.process(self._start(starts.times_s))

    def finished(self, request: Request) -> None:
        """Let a session continue, a gap after the answer has reached the client."""
        session = self._close(request)
        if self._failures:
            self._failures.pop(request.number, None)
        answer_s = self._front_door.answer_s[request.replica]
        turn = next(session.turns, None)
        if turn is not None:
            wait_s, now_s = answer_s + turn.gap_s, self._env.now
            due_s = session.start_s + turn.due_s
            if turn.due_s and due_s > now_s + wait_s:
                again: Event = self._env.event_at(due_s, (session, turn))
            else:
                again = Timeout(self._env, wait_s, (session, turn))
            again.callbacks.append(self._go_on)
            return
        self.sessions_ended += 1
        self._follow(request, 0)

    def left(self, request: Request) -> None:
        """End the session of a user who left an answer."""
        self._close(request)
        self._failures.pop(request.number, None)
        self._follow(request, 0)

    def refused(self, request: Request) -> None:
        """End the session of a request that will not be answered."""
        self._close(request)
        self._follow(request, self._failures.pop(request.number, 0) + 1)

    def _follow(self, request: Request, failures: int) -> None:
        """Begin the next session after a back-off, if sessions follow each other."""
        if self._refill:
            pause_s = self._front_door.answer_s[request.replica] + backoff_s(failures)
            Timeout(self._env, pause_s, failures).callbacks.append(self._begin)

    def _close(self, request: Request) -> _OpenSession:
        request.pieces = ()  # large for a long context, and not needed any more
        return self._open.pop(request.number)

    def _start(self, starts_s: Iterator[float]) -> Generator[Event, Any, None]:
        limits = self._limits
        for start_s in starts_s:
            if start_s >= limits.until_s or self._sent == limits.requests:
                self.starts_late = self._sent != limits.requests
                return
            if start_s > self._env.now:
                yield self._env.event_at(start_s)
            self._begin(None)

    def _begin(self, event: Event | None) -> None:
        if (turns := next(self._scripts, None)) is not None and (
            turn := next(turns, None)
        ) is not None:
            if event is not None and event.value:
                self._failures[self._sent] = event.value
            self.sessions_begun += self._send(_OpenSession(turns, self._env.now, count(1)), turn)

    def _go_on(self, event: Event) -> None:
        session, turn = event.value  # type: ignore[misc]  # SimPy says Any or None
        is_sent = self._send(session, turn)
        self.sessions_cut += not is_sent and self._sent != self._limits.requests

    def _send(self, session: _OpenSession, turn: Turn) -> bool:
        """Send a turn, unless the arrivals have ended; return whether it was sent."""
        now_s, limits = self._env.now, self._limits
        if now_s >= limits.until_s or self._sent == limits.requests:
            return False
        request = Request(
            self._sent,
            now_s,
            turn.prompt_tokens,
            turn.output_tokens,
            now_s >= limits.warmup_s,
            turn.pieces,
            turn.output_piece,
            turn=next(session.numbers),
        )
        self._sent += 1
        self._open[request.number] = session
        self._front_door.send(request)
        return True
