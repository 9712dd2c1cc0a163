"""A sleeper's clock that somebody else may set to an earlier hour."""

from __future__ import annotations

from simpy import Environment, Event, Timeout


class Alarm:
    """What one process sleeps on: `yield alarm.after(seconds)`.

    Others call `sooner` to have it wake at an earlier time.
    SimPy's own way is to interrupt the sleeper (3.8 µs: an event, an exception, and a second sleep
    until its step has ended). Here the sleeper's callbacks move to a new timeout at the right time,
    for the price of that timeout; the old one stays in SimPy's queue and wakes nobody.
    """

    __slots__ = ("_env", "_event")

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._event = Event(env)

    def after(self, delay_s: float) -> Event:
        """Return an event `delay_s` from now."""
        event = self._event = Timeout(self._env, delay_s)
        return event

    def when_called(self) -> Event:
        """Return an event that never comes by itself: it waits for `sooner`."""
        event = self._event = Event(self._env)
        return event

    def sooner(self, delay_s: float) -> None:
        """Wake the sleeper `delay_s` from now, not when it was going to wake."""
        asleep = self._event
        event = self._event = Timeout(self._env, delay_s)
        event.callbacks, asleep.callbacks = asleep.callbacks, []
