"""RunGuard: stops a run that exceeds a limit, or in which simulated time stands still."""

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
"""Wall time between two measurements of the memory [s]."""
_EVENTS_AT_ONE_TIME = 2_000_000
"""Number of events at one simulated time after which time counts as standing still."""
_EVENTS_PER_REQUEST = 10
"""Additional number of events per request in the cluster: an offline batch arrives at one time."""
_EVENTS_TO_NAME = 1000


class RunGuard:
    """Guard of a run, which decides whether the run must stop early."""

    def __init__(self, env: Environment, recorder: Recorder, limits: RunLimits) -> None:
        self._env, self._recorder, self._limits = env, recorder, limits
        self._began_s = self._measured_s = time.perf_counter()
        self._last_s = -inf
        self._events_at_once = 0

    def reason(self, events: int) -> str | None:
        """Return why the run must stop now, after `events` more events; None if it continues."""
        return self._over_limit() or self._standing_still(events) or self._hopeless()

    def _hopeless(self) -> str | None:
        """Return why the run need not continue; None if nothing tells."""
        ask = self._limits.hopeless
        return None if ask is None else ask(self._env.now, self._recorder)

    def _over_limit(self) -> str | None:
        clock_s, limits, now_s = time.perf_counter(), self._limits, self._env.now
        if clock_s - self._began_s > limits.time_s:
            return f"the time limit of {limits.time_s:g} s was exceeded at {now_s:.6g} s of simulated time"
        if limits.memory_bytes < inf and clock_s - self._measured_s > _MEASURE_EVERY_S:
            self._measured_s = clock_s
            if (held := memory_in_use_bytes()) > limits.memory_bytes:
                return (
                    f"the memory limit of {limits.memory_bytes / 1e9:g} GB was exceeded "
                    f"({held / 1e9:.3g} GB) at {now_s:.6g} s of simulated time"
                )
        return None

    def _standing_still(self, events: int) -> str | None:
        """Return which process stops simulated time, if time has stood still for too long."""
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
            f"of them from {self._busiest()}; this is a bug of cluster-sim, please report it with "
            "the scenario"
        )

    def _busiest(self) -> str:
        """Return the name of the process that the next events resume most often."""
        called: Counter[str] = Counter()
        try:
            for _ in range(_EVENTS_TO_NAME):
                event = self._env._queue[0][3]  # SimPy has no public access to it
                called.update(_name(callback) for callback in event.callbacks or ())
                self._env.step()
        except (IndexError, EmptySchedule):
            pass
        return called.most_common(1)[0][0] if called else "nobody"


def _name(callback: Callable[..., Any]) -> str:
    """Return a readable name of a callback: a process, or a method and its object."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, Process):
        generator: Any = owner._generator  # the public name does not contain the class
        owner = generator.gi_frame.f_locals.get("self") if generator.gi_frame else None
        name = generator.__qualname__
    else:
        name = getattr(callback, "__qualname__", repr(callback))
    number = getattr(owner, "number", None)
    return f"{name} of replica {number}" if isinstance(number, int) else name
