"""StepClock: a scheduler's count of engine steps, with the steps at which requests finish."""

from __future__ import annotations

from heapq import heappop, heappush

from cluster_sim.request import Request

NO_TICKET = -1
"""Ticket of a request that is not on a clock."""


class StepClock:
    """Number of steps so far, and the steps at which decoding requests finish.

    A request that leaves before it has finished keeps its entry in the heap; the entry is void,
    since its ticket no longer matches the ticket of the request. The cost of a step or a preemption
    therefore does not grow with the number of requests.
    """

    __slots__ = ("_finishing", "_tickets", "now")

    def __init__(self) -> None:
        self.now = 0
        """Number of steps that have ended."""
        self._finishing: list[tuple[int, int, Request]] = []  # heap of (step, ticket, request)
        self._tickets = 0

    def start(self, request: Request, steps: int) -> None:
        """Let a request finish after `steps` more steps."""
        request.ticket = ticket = self._tickets = self._tickets + 1
        request.finish_clock = finish = self.now + steps
        heappush(self._finishing, (finish, ticket, request))

    def stop(self, request: Request) -> None:
        """Remove a request from the clock before it has finished."""
        request.ticket = NO_TICKET

    def steps_left(self, request: Request) -> int:
        """Return the number of steps until a request finishes."""
        return request.finish_clock - self.now

    def steps_until_finish(self) -> int:
        """Return the number of steps until the next request finishes; there must be one."""
        finishing, now = self._finishing, self.now
        step, ticket, request = finishing[0]
        while step <= now or request.ticket != ticket:
            heappop(finishing)
            step, ticket, request = finishing[0]
        return step - now

    def tick(self, steps: int) -> list[Request] | None:
        """Advance by `steps` steps; remove and return the requests that finish.

        The result is None if no entry of the heap is due, not even a void entry.
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
