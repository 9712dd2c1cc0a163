"""Event loop of a run, with regular calls of observers."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple

from simpy import Event
from simpy.core import EmptySchedule

from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.build import Simulation
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.sim.run_guard import RunGuard

Progress = Callable[[float, int], None]
"""Function that is called with the simulated time [s] and the number of requests that have left,
about ten times per second of wall time."""

Watch = Callable[[float, Recorder], None]
"""Function that is called with the simulated time [s] and the rows recorded so far, about ten times
per second of wall time; it must not change the rows."""

_REPORT_EVERY_S = 0.1
_EVENTS_PER_PIECE = 1000
"""Number of events between two calls of observers and guard: about 5 ms."""


class Onlookers:
    """Observers of a run, which are called about every `_REPORT_EVERY_S` of wall time."""

    def __init__(self, progress: Progress | None = None, watch: Watch | None = None) -> None:
        self._progress, self._watch = progress, watch
        self._shown_s = -inf

    def look(self, now_s: float, recorder: Recorder) -> None:
        """Call the observers at the simulated time `now_s`, if a call is due."""
        clock_s = time.perf_counter()
        if clock_s - self._shown_s < _REPORT_EVERY_S:
            return
        self._shown_s = clock_s
        self.show(now_s, recorder)

    def show(self, now_s: float, recorder: Recorder) -> None:
        """Call the observers at the simulated time `now_s`."""
        if self._progress is not None:
            self._progress(now_s, recorder.left)
        if self._watch is not None:
            self._watch(now_s, recorder)


class RunEnd(NamedTuple):
    """End of a run."""

    events: int
    """Number of events scheduled during the run."""
    stopped: str | None
    """Reason why the run stopped early, as a sentence; None if it was complete."""


class _IsOver(Exception):
    """End of the drain time after arrivals."""


def run(
    simulation: Simulation, onlookers: Onlookers | None = None, limits: RunLimits = NO_LIMITS
) -> RunEnd:
    """Run the event loop until there are no events, or the drain time after arrivals is over.

    The run stops early if it exceeds a limit, or if simulated time stands still.
    """
    scenario, env, recorder = simulation.scenario, simulation.env, simulation.recorder
    if scenario.duration_s is not None:
        end = env.pause(scenario.duration_s + scenario.drain_s)
        end.callbacks.append(_end)
    guard, stopped = RunGuard(env, recorder, limits), None
    step, piece = env.step, range(_EVENTS_PER_PIECE)
    try:
        while stopped is None:
            for _ in piece:
                step()
            stopped = guard.reason(_EVENTS_PER_PIECE)
            if onlookers is not None:
                onlookers.look(env.now, recorder)
    except (EmptySchedule, _IsOver):
        pass
    if onlookers is not None:
        onlookers.show(env.now, recorder)
    simulation.stop()
    return RunEnd(env.scheduled, stopped)


def _end(_: Event) -> None:
    """End the run."""
    raise _IsOver


@contextmanager
def no_cycle_collection() -> Iterator[None]:
    """Suspend the collection of reference cycles.

    Neither the event loop nor the tables create cycles, but the collector would scan millions of
    rows repeatedly.

    NOTE: with 100,000 requests, collection took a tenth of the time, all during the construction of
    tables.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
