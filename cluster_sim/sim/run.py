"""The run itself: time passes until nothing is left to happen, while others may look on."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from simpy import Event

from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.build import Simulation

Progress = Callable[[float, int], None]
"""Gets the simulated seconds and the number of requests that have left, about ten times per second
of wall time."""

Watch = Callable[[float, Recorder], None]
"""Gets the simulated seconds and the rows recorded so far as often; it must not change them."""

_REPORT_EVERY_S = 0.1


class Heartbeat:
    """The process that shows a run to those who look on.

    It wakes about every `_REPORT_EVERY_S` of wall time: its simulated sleeps grow or shrink with
    how long they take.
    """

    def __init__(
        self, simulation: Simulation, progress: Progress | None, watch: Watch | None
    ) -> None:
        self._env, self._recorder = simulation.env, simulation.recorder
        self._progress, self._watch = progress, watch
        self.events = 0
        """Number of its own events."""
        if progress is not None or watch is not None:
            self._env.process(self._run())

    def _run(self) -> Generator[Event, Any, None]:
        env = self._env
        self.events += 1  # that it began
        sleep_s, last = 1e-3, time.perf_counter()
        while env.peek() != inf:
            self.events += 1
            yield env.timeout(sleep_s)
            now = time.perf_counter()
            sleep_s *= min(max(_REPORT_EVERY_S / max(now - last, 1e-6), 0.5), 2.0)
            last = now
            if self._progress is not None:
                self._progress(env.now, self._recorder.left)
            if self._watch is not None:
                self._watch(env.now, self._recorder)
        self.events += 1  # that it ends


def run(
    simulation: Simulation, progress: Progress | None = None, watch: Watch | None = None
) -> int:
    """Let time pass until nothing is left to happen, or the drain after arrivals is over.

    Returns the number of events, those of onlookers apart.
    """
    scenario, env = simulation.scenario, simulation.env
    end_s = None if scenario.duration_s is None else scenario.duration_s + scenario.drain_s
    heartbeat = Heartbeat(simulation, progress, watch)
    env.run(until=end_s)
    simulation.stop()
    return env.scheduled - heartbeat.events


@contextmanager
def no_cycle_collection() -> Iterator[None]:
    """Suspend the collection of reference cycles.

    Neither the loop nor the tables of its rows make any, but there are millions of rows, which the
    collector would look through again and again.

    NOTE: at 100,000 requests it took a tenth of the time, all of it while tables were built.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
