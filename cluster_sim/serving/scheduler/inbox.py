"""Inbox: requests that have arrived and that the scheduler has not received yet, as in SGLang.

SGLang polls for new requests between steps. With `scheduler_recv_interval` N above 1 it polls after
every N-th decode step since the last poll. A step with prefill counts as 1,000 steps and an idle
loop as 1, so that it polls after the first and after moments of the second. (SGLang 0.5,
srt/managers/scheduler_recv_skipper.py.) With the overlap scheduler the poll for a step takes place
when the step before it starts, because that step is launched while the one before it runs
(`event_loop_overlap` in srt/managers/scheduler.py).
"""

from __future__ import annotations

from cluster_sim.request import Request


class Inbox:
    """Requests between their arrival and the next poll.

    Parameters
    ----------
    interval
        Number of decode steps between two polls.
    overlap
        Whether the poll for a step takes place when the step before it starts.
    """

    __slots__ = ("_decoded", "_interval", "_overlap", "requests")

    def __init__(self, interval: int, *, overlap: bool) -> None:
        self._interval, self._overlap = interval, overlap
        self._decoded = 0  # number of decode steps since the last poll
        self.requests: list[Request] = []
        """Requests that have not been received."""

    def take(self) -> list[Request]:
        """Return the requests and empty the inbox; this is a poll."""
        requests, self.requests = self.requests, []
        return requests

    @property
    def is_due_before(self) -> bool:
        """Whether there is a poll with requests before the next step is decided."""
        return bool(self.requests) and not self._overlap and not self._decoded

    def is_due_after(self, *, decodes: bool) -> bool:
        """Return whether there is a poll with requests once the next step is decided."""
        if not self.requests or not self._overlap:
            return False
        return not decodes or self._decoded + 1 == self._interval

    def steps_until(self) -> int:
        """Return the number of decode steps after which a poll must be considered; at least 1."""
        left = self._interval - self._decoded
        return max(left - 1, 1) if self._overlap else left

    def advance(self, steps: int, *, decodes: bool) -> None:
        """Advance by steps of one kind."""
        self._decoded = (self._decoded + steps) % self._interval if decodes else 0
