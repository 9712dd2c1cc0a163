"""Where requests come from: a timetable, or clients who wait for their answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from simpy import Environment, Event, Timeout

from cluster_sim.request import Request


def timetable(env: Environment, requests: Iterator[Request], route: Callable[[Request], None]) -> Generator[Event, Any, None]:
    """Open loop: each request arrives at its time, whatever has become of the others."""
    for request in requests:
        delay_s = request.arrival_s - env.now
        if delay_s > 0:
            yield Timeout(env, delay_s)
        route(request)


class Clients:
    """Closed loop: each of `concurrency` clients sends a request, waits for the answer, thinks, and sends the next."""

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
        self._env, self._lengths, self._think_s, self._until_s, self._warmup_s = env, lengths, think_s, until_s, warmup_s
        self._answer_latency_s = answer_latency_s
        self._left = requests
        self._sent = 0
        self.route: Callable[[Request], None]
        for _ in range(concurrency):
            Timeout(env, 0.0).callbacks.append(self._send)

    def answered(self, request: Request) -> None:
        """The answer to `request` was made, or it was refused; its client goes on when that has reached it."""
        Timeout(self._env, self._answer_latency_s(request) + self._think_s).callbacks.append(self._send)

    def _send(self, _: Event) -> None:
        now_s = self._env.now
        if now_s >= self._until_s or self._sent == self._left:
            return
        prompt, output = next(self._lengths)
        request = Request(self._sent, now_s, prompt, output, now_s >= self._warmup_s)
        self._sent += 1
        self.route(request)
