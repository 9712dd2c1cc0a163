"""Shortest job first: the shortest prompt first."""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.request_queue import KeyedQueue


def shortest_first_queue() -> KeyedQueue:
    """Return a queue that admits the fewest prompt tokens first, of equals the first to arrive.

    Lengths of answers are not known in advance, so the prompt stands for the job. The longest
    prompt is preempted first, of equals the last to arrive. Of all orders that do not look ahead
    it has the least mean wait (Harchol-Balter, Performance Modeling and Design of Computer Systems,
    ch. 31); long prompts may wait indefinitely.
    """
    return KeyedQueue(_length)


def _length(request: Request) -> tuple[float, ...]:
    return request.prompt_tokens, request.arrival_s, request.number
