"""First come, first served, as engines do by default."""

from __future__ import annotations

from collections import deque

from cluster_sim.request import Request


class FirstComeQueue(deque[Request]):
    """Requests in order of arrival; a preempted one goes to the front.

    The request that was admitted last is preempted first.

    NOTE: it is a deque, so that `append`, `pop_first` and `len` are calls of C.
    """

    __slots__ = ()

    put_back = deque.appendleft
    pop_first = deque.popleft

    def first(self) -> Request:
        """Return the request that is admitted next."""
        return self[0]

    def admitted(self, request: Request) -> None:
        """Take no note: the running requests are in order of admission."""

    def victim(self, running: dict[Request, None]) -> Request:
        """Return the request that was admitted last."""
        return next(reversed(running))
