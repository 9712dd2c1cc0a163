"""Alarm: a process's wake-up time, which others may move to an earlier time."""

from __future__ import annotations

from simpy import Environment, Event, Timeout


class Alarm:
    """Wake-up time of one process, which sleeps by `yield alarm.after(seconds)`.

    Other processes call `sooner` to wake it at an earlier time. SimPy's method is to interrupt the
    process (3.8 µs: an event, an exception, and a second sleep until its step has ended). Here the
    callbacks of the process move to a new timeout at the right time, which costs only that timeout.
    The old timeout stays in SimPy's queue without callbacks.
    """

    __slots__ = ("_env", "_event")

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._event = Event(env)

    def after(self, delay_s: float) -> Event:
        """Return an event that occurs after `delay_s` [s]."""
        event = self._event = Timeout(self._env, delay_s)
        return event

    def when_called(self) -> Event:
        """Return an event that occurs only after a call of `sooner`."""
        event = self._event = Event(self._env)
        return event

    def sooner(self, delay_s: float) -> None:
        """Wake the process after `delay_s` [s] instead of at its planned time."""
        asleep = self._event
        event = self._event = Timeout(self._env, delay_s)
        event.callbacks, asleep.callbacks = asleep.callbacks, []

    def wake(self) -> None:
        """Wake the process now if it sleeps; a process that is acting now looks around anyway."""
        if self._event.callbacks is not None:
            self.sooner(0.0)
