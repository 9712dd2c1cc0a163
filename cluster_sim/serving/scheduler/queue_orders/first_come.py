"""First come, first served, as engines do by default."""

from __future__ import annotations

from collections import deque
from operator import itemgetter

from cluster_sim.request import Request


class FirstComeQueue(deque[Request]):
    """Requests in order of arrival; a preempted one goes to the front.

    The request that was admitted last is preempted first.

    NOTE: it is a deque, so that all but `victim` is done in C: 0.2 us per request.
    """

    __slots__ = ()

    put_back = deque.appendleft
    pop_first = deque.popleft

    first = property(itemgetter(0), doc="Request that is admitted next.")

    def passed_by(self, request: Request) -> None:
        """Take no note: the running requests are in order of admission."""

    def victim(self, running: dict[Request, None]) -> Request:
        """Return the request that was admitted last."""
        return next(reversed(running))
