"""The environment of a run: SimPy's, with a count of its events."""

from __future__ import annotations

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
