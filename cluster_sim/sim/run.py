"""The run itself: time passes until nothing is left to happen, while others may look on."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple

from simpy import Event, Timeout
from simpy.core import EmptySchedule

from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.build import Simulation
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.sim.run_guard import RunGuard

Progress = Callable[[float, int], None]
"""Gets the simulated seconds and the number of requests that have left, about ten times per second
of wall time."""

Watch = Callable[[float, Recorder], None]
"""Gets the simulated seconds and the rows recorded so far as often; it must not change them."""

_REPORT_EVERY_S = 0.1
_EVENTS_PER_PIECE = 1000
"""Number of events after which those who look on, and the guard, have their turn: 5 ms or so."""


class Onlookers:
    """Those to whom a run is shown, about every `_REPORT_EVERY_S` of wall time."""

    def __init__(self, progress: Progress | None = None, watch: Watch | None = None) -> None:
        self._progress, self._watch = progress, watch
        self._shown_s = -inf

    def look(self, now_s: float, recorder: Recorder) -> None:
        """Show the run as it is at the simulated time `now_s`, where it is time to."""
        clock_s = time.perf_counter()
        if clock_s - self._shown_s < _REPORT_EVERY_S:
            return
        self._shown_s = clock_s
        self.show(now_s, recorder)

    def show(self, now_s: float, recorder: Recorder) -> None:
        """Show the run as it is at the simulated time `now_s`."""
        if self._progress is not None:
            self._progress(now_s, recorder.left)
        if self._watch is not None:
            self._watch(now_s, recorder)


class RunEnd(NamedTuple):
    """How a run ended."""

    events: int
    """Number of events that were scheduled."""
    stopped: str | None
    """Sentence that says what ended it early; None where it came to its end."""


class _IsOver(Exception):
    """The time after arrivals is over."""


def run(
    simulation: Simulation, onlookers: Onlookers | None = None, limits: RunLimits = NO_LIMITS
) -> RunEnd:
    """Let time pass until nothing is left to happen, or the drain after arrivals is over.

    It ends early where it exceeds a limit, or where simulated time stands still.
    """
    scenario, env, recorder = simulation.scenario, simulation.env, simulation.recorder
    if scenario.duration_s is not None:
        end = Timeout(env, scenario.duration_s + scenario.drain_s)
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
