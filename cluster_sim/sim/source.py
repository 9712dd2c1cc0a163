"""Where requests come from: a timetable, clients who wait for their answers, or sessions of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from simpy import Environment, Event, Timeout

from cluster_sim.request import Request
from cluster_sim.workload.sessions import Turn


def timetable(
    env: Environment, requests: Iterator[Request], route: Callable[[Request], None]
) -> Generator[Event, Any, None]:
    """Open loop: each request arrives at its time, whatever has become of the others."""
    last_s = 0.0
    for request in requests:
        # Those of one time come together: the clock, a sum of delays, may be a rounding before it.
        if request.arrival_s != last_s:
            last_s = request.arrival_s
            if (delay_s := last_s - env.now) > 0:
                yield Timeout(env, delay_s)
        route(request)


class Clients:
    """Closed loop: each of `concurrency` clients sends a request, waits for the answer, thinks, and
    sends the next.
    """

    def __init__(
        self,
        env: Environment,
        lengths: Iterator[tuple[int, int]],
        concurrency: int,
        think_s: float,
        requests: int | None,
        until_s: float,
        warmup_s: float,
        answer_latency_s: Callable[[Request], float],
    ) -> None:
        self._env, self._lengths, self._think_s, self._until_s, self._warmup_s = (
            env,
            lengths,
            think_s,
            until_s,
            warmup_s,
        )
        self._answer_latency_s = answer_latency_s
        self._left = requests
        self._sent = 0
        self.route: Callable[[Request], None]
        for _ in range(concurrency):
            Timeout(env, 0.0).callbacks.append(self._send)

    def answered(self, request: Request) -> None:
        """The answer to `request` was made, or it was refused; its client goes on when that has
        reached it.
        """
        Timeout(self._env, self._answer_latency_s(request) + self._think_s).callbacks.append(
            self._send
        )

    def _send(self, _: Event) -> None:
        now_s = self._env.now
        if now_s >= self._until_s or self._sent == self._left:
            return
        prompt, output = next(self._lengths)
        request = Request(self._sent, now_s, prompt, output, now_s >= self._warmup_s)
        self._sent += 1
        self.route(request)


class Conversations:
    """Closed loop: sessions whose turns wait for the answer before, and start at given times or
    where another has ended.

    A turn that waits is one timeout; sessions are data, not processes.
    """

    def __init__(
        self,
        env: Environment,
        scripts: Iterator[Iterator[Turn]],
        starts_s: Iterator[float] | None,
        concurrency: int,
        requests: int | None,
        until_s: float,
        warmup_s: float,
        answer_latency_s: Callable[[Request], float],
    ) -> None:
        self._env, self._scripts, self._until_s, self._warmup_s = env, scripts, until_s, warmup_s
        self._answer_latency_s = answer_latency_s
        self._left = requests
        self._refill = starts_s is None
        self._sent = 0
        self.ended = 0
        """Sessions whose last turn was answered."""
        self._open: dict[
            int, Iterator[Turn]
        ] = {}  # by the number of the request that is being answered
        self.route: Callable[[Request], None]
        if starts_s is None:
            for _ in range(concurrency):
                Timeout(env, 0.0).callbacks.append(self._begin)
        else:
            env.process(self._start(starts_s))

    def answered(self, request: Request) -> None:
        """The answer to `request` was made; its session goes on a gap after that has reached it.
        One that was refused ends it.
        """
        session = self._open.pop(request.number)
        request.pieces = ()  # of a long context they are large, and nobody asks for them again
        if request.finish_s != request.finish_s:  # NaN: refused
            return
        way_s = self._answer_latency_s(request)
        turn = next(session, None)
        if turn is not None:
            Timeout(self._env, way_s + turn.gap_s, (session, turn)).callbacks.append(self._go_on)
            return
        self.ended += 1
        if self._refill:
            Timeout(self._env, way_s).callbacks.append(self._begin)

    def _start(self, starts_s: Iterator[float]) -> Generator[Event, Any, None]:
        for start_s in starts_s:
            if start_s >= self._until_s or self._sent == self._left:
                return
            if start_s > self._env.now:
                yield Timeout(self._env, start_s - self._env.now)
            self._begin(None)

    def _begin(self, _: Event | None) -> None:
        if (session := next(self._scripts, None)) is not None and (
            turn := next(session, None)
        ) is not None:
            self._send(session, turn)

    def _go_on(self, event: Event) -> None:
        session, turn = event.value  # type: ignore[misc]  # SimPy says Any or None
        self._send(session, turn)

    def _send(self, session: Iterator[Turn], turn: Turn) -> None:
        now_s = self._env.now
        if now_s >= self._until_s or self._sent == self._left:
            return
        request = Request(
            self._sent,
            now_s,
            turn.prompt_tokens,
            turn.output_tokens,
            now_s >= self._warmup_s,
            turn.pieces,
            turn.output_piece,
        )
        self._sent += 1
        self._open[request.number] = session
        self.route(request)
