"""StepClock: a scheduler's count of engine steps, and when its requests finish by it."""

from __future__ import annotations

from heapq import heappop, heappush

from cluster_sim.request import Request

NO_TICKET = -1
"""Ticket of a request that is on no clock."""


class StepClock:
    """Steps so far, and the steps at which the requests that decode finish.

    A request that leaves before it has finished keeps its entry in the heap; the entry is void
    since its ticket is not the request's any more. So no step and no preemption costs time that
    grows with the number of requests.
    """

    __slots__ = ("_finishing", "_tickets", "now")

    def __init__(self) -> None:
        self.now = 0
        """Number of steps that have ended."""
        self._finishing: list[tuple[int, int, Request]] = []  # (step, ticket, request), a heap
        self._tickets = 0

    def start(self, request: Request, steps: int) -> None:
        """Let a request finish after `steps` more steps."""
        request.ticket = ticket = self._tickets = self._tickets + 1
        request.finish_clock = finish = self.now + steps
        heappush(self._finishing, (finish, ticket, request))

    def stop(self, request: Request) -> None:
        """Take a request off the clock before it has finished."""
        request.ticket = NO_TICKET

    def steps_left(self, request: Request) -> int:
        """Return the steps until a request finishes."""
        return request.finish_clock - self.now

    def steps_until_finish(self) -> int:
        """Return the steps until the next of the requests finishes; there must be one."""
        finishing, now = self._finishing, self.now
        step, ticket, request = finishing[0]
        while step <= now or request.ticket != ticket:
            heappop(finishing)
            step, ticket, request = finishing[0]
        return step - now

    def tick(self, steps: int) -> list[Request] | None:
        """Move on by `steps` steps, and take the requests off the clock that finish with them.

        Returns them, or None where no entry of the heap is due, not even a void one.
        """
        now = self.now = self.now + steps
        finishing = self._finishing
        if not finishing or finishing[0][0] > now:
            return None
        finished = []
        while finishing and finishing[0][0] <= now:
            _, ticket, request = heappop(finishing)
            if request.ticket == ticket:
                request.ticket = NO_TICKET
                finished.append(request)
        return finished
