"""The guard of a run: it ends one that takes too much, or in which simulated time stands still."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Any

from simpy import Environment, Process
from simpy.core import EmptySchedule

from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.limits import RunLimits, memory_in_use_bytes

_MEASURE_EVERY_S = 0.2
"""Wall time between two looks at the memory [s]."""
_EVENTS_AT_ONE_TIME = 2_000_000
"""Number of events at one simulated time after which time is said to stand still."""
_EVENTS_PER_REQUEST = 10
"""Number of further ones for each request inside: those of an offline batch come at one time."""
_EVENTS_TO_NAME = 1000


class RunGuard:
    """Says whether a run has to end early, and why."""

    def __init__(self, env: Environment, recorder: Recorder, limits: RunLimits) -> None:
        self._env, self._recorder, self._limits = env, recorder, limits
        self._began_s = self._measured_s = time.perf_counter()
        self._last_s = -inf
        self._events_at_once = 0

    def reason(self, events: int) -> str | None:
        """Return why the run ends now, after so many more events; None where it goes on."""
        return self._over_limit() or self._standing_still(events)

    def _over_limit(self) -> str | None:
        clock_s, limits, now_s = time.perf_counter(), self._limits, self._env.now
        if clock_s - self._began_s > limits.time_s:
            return f"the time limit of {limits.time_s:g} s was exceeded at {now_s:.6g} s simulated"
        if limits.memory_bytes < inf and clock_s - self._measured_s > _MEASURE_EVERY_S:
            self._measured_s = clock_s
            if (held := memory_in_use_bytes()) > limits.memory_bytes:
                return (
                    f"the memory limit of {limits.memory_bytes / 1e9:g} GB was exceeded "
                    f"({held / 1e9:.3g} GB) at {now_s:.6g} s simulated"
                )
        return None

    def _standing_still(self, events: int) -> str | None:
        """Return which process keeps time from passing, where none has passed for long."""
        now_s = self._env.now
        if now_s > self._last_s:
            self._last_s, self._events_at_once = now_s, 0
            return None
        self._events_at_once += events
        allowed = _EVENTS_AT_ONE_TIME + _EVENTS_PER_REQUEST * self._recorder.inside
        if self._events_at_once <= allowed:
            return None
        return (
            f"simulated time stood still at {now_s:.6g} s for {self._events_at_once:,} events, most "
            f"of them of {self._busiest()}; this is a fault of cluster-sim, please report it with "
            "the scenario"
        )

    def _busiest(self) -> str:
        """Return the name of the process that the next events call most often."""
        called: Counter[str] = Counter()
        try:
            for _ in range(_EVENTS_TO_NAME):
                event = self._env._queue[0][3]  # SimPy offers no other way to see it
                called.update(_name(callback) for callback in event.callbacks or ())
                self._env.step()
        except (IndexError, EmptySchedule):
            pass
        return called.most_common(1)[0][0] if called else "nobody"


def _name(callback: Callable[..., Any]) -> str:
    """Return a readable name of whom an event calls: a process, or a method and its object."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, Process):
        generator: Any = owner._generator  # its public name lacks the class
        owner = generator.gi_frame.f_locals.get("self") if generator.gi_frame else None
        name = generator.__qualname__
    else:
        name = getattr(callback, "__qualname__", repr(callback))
    number = getattr(owner, "number", None)
    return f"{name} of replica {number}" if isinstance(number, int) else name
