"""The most urgent first."""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.request_queue import KeyedQueue


def priority_queue() -> KeyedQueue:
    """Return a queue that admits the lowest `priority` first, of equals the first to arrive.

    The least urgent request is preempted first, of equals the last to arrive.
    """
    return KeyedQueue(_urgency)


def _urgency(request: Request) -> tuple[float, ...]:
    return request.priority, request.arrival_s, request.number
