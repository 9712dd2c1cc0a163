"""Open-loop traffic: requests that arrive at their times, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from simpy import Environment, Event, Timeout

from cluster_sim.request import Request


def timetable(
    env: Environment, requests: Iterator[Request], send: Callable[[Request], None]
) -> Generator[Event, Any, None]:
    """Send each request at its arrival time."""
    last_s = 0.0
    for request in requests:
        # Those of one time come together: the clock, a sum of delays, may be a rounding before it.
        if request.arrival_s != last_s:
            last_s = request.arrival_s
            if (delay_s := last_s - env.now) > 0:
                yield Timeout(env, delay_s)
        send(request)
