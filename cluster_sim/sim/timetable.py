"""Open-loop traffic: requests arrive at given times, independent of other requests."""

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
        # Requests of one time arrive together; the clock is a sum of delays and may be slightly
        # early.
        if request.arrival_s != last_s:
            last_s = request.arrival_s
            if (delay_s := last_s - env.now) > 0:
                yield Timeout(env, delay_s)
        send(request)
