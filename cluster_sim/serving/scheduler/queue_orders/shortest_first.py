"""Shortest job first: the shortest prompt first."""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.request_queue import KeyedQueue


def shortest_first_queue() -> KeyedQueue:
    """Return a queue that admits the shortest prompt first; ties are in order of arrival.

    Lengths of answers are not known in advance, so the length of the prompt represents the job. The
    longest prompt is preempted first; of equal prompts, the last to arrive. This order has the
    minimum mean waiting time of all orders without knowledge of the future (Harchol-Balter,
    Performance Modeling and Design of Computer Systems, ch. 31). Long prompts may wait
    indefinitely.
    """
    return KeyedQueue(_length)


def _length(request: Request) -> tuple[float, ...]:
    return request.prompt_tokens, request.arrival_s, request.number
