"""Inbox: requests that have arrived and that the scheduler has not received yet, as in SGLang.

SGLang polls for new requests between steps. With `scheduler_recv_interval` N above 1 it polls after
every N-th decode step since the last poll. A step with prefill counts as 1,000 steps and an idle
loop as 1, so that it polls after the first and after moments of the second. (SGLang 0.5,
srt/managers/scheduler_recv_skipper.py.)
"""

from __future__ import annotations

from cluster_sim.request import Request


class Inbox:
    """Requests between their arrival and the next poll.

    Parameters
    ----------
    interval
        Number of decode steps between two polls.
    """

    __slots__ = ("_decoded", "_interval", "requests")

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._decoded = 0  # number of decode steps since the last poll
        self.requests: list[Request] = []
        """Requests that have not been received."""

    @property
    def steps_until_poll(self) -> int:
        """Number of decode steps before the next poll; 0 if it is now."""
        return self._interval - self._decoded if self._decoded else 0

    def take(self) -> list[Request]:
        """Return the requests and empty the inbox."""
        requests, self.requests = self.requests, []
        return requests

    def discard(self, request: Request) -> bool:
        """Remove a request; return whether it was here."""
        if request not in self.requests:
            return False
        self.requests.remove(request)
        return True

    def advance(self, steps: int, *, decodes: bool) -> None:
        """Advance by steps that all decode or all prefill."""
        self._decoded = (self._decoded + steps) % self._interval if decodes else 0
