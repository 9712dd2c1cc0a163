"""The environment of a run: SimPy's, with a count of its events."""

from __future__ import annotations

from heapq import heappush
from typing import Any

from simpy import Environment, Event
from simpy.core import SimTime
from simpy.events import NORMAL, EventPriority

_schedule = Environment.schedule


class CountingEnvironment(Environment):
    """SimPy's environment; it also counts the events that are scheduled.

    NOTE: the count costs 0.06 us per event, 1 % of a run; `super()` would cost a third more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scheduled = 0
        """Number of events that were scheduled so far."""

    def schedule(self, event: Event, priority: EventPriority = NORMAL, delay: SimTime = 0) -> None:
        """Schedule an event, and count it."""
        self.scheduled += 1
        _schedule(self, event, priority, delay)

    def event_at(self, time_s: float, value: Any = None) -> Event:
        """Return an event that comes at exactly `time_s`, with this value.

        A timeout comes at now + (time_s - now), which may be a rounding beside it, and no other
        delay may hit it; then of two that are due at one time either might be the first.
        """
        event = Event(self)
        event._ok, event._value = True, value
        self.scheduled += 1
        # SimPy's own queue, as its `schedule` fills it: it has no way in for a time.
        heappush(self._queue, (time_s, NORMAL, next(self._eid), event))
        return event
