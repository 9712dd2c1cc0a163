"""Priority: the most urgent request first."""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.request_queue import KeyedQueue


def priority_queue() -> KeyedQueue:
    """Return a queue that admits the lowest `priority` first; ties are in order of arrival.

    The least urgent request is preempted first; of equally urgent requests, the last to arrive.
    """
    return KeyedQueue(_urgency)


def _urgency(request: Request) -> tuple[float, ...]:
    return request.priority, request.arrival_s, request.number
