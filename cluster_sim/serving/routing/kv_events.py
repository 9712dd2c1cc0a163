"""KV events: reports of replicas on the blocks that join and leave their prefix caches.

vLLM reports blocks that are stored and removed after each step (vllm/distributed/kv_events.py,
BlockStored and BlockRemoved); SGLang and TensorRT-LLM have such reports too. NVIDIA Dynamo's router
builds a prefix tree from them (its documentation, Router Design, KvIndexer), and llm-d's router an
index of blocks by replica (llm-d-kv-cache, KV-Cache Indexer).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple


class KvEvent(NamedTuple):
    """Change of the prefix cache of a replica."""

    at_s: float
    """Time of the change [s]."""
    number: int
    """Number of the replica."""
    identity: int | None
    """Identity of the piece of a prompt; None if the whole cache is empty now."""
    tokens: int
    """Number of tokens of the piece's blocks that are in the cache now."""


class KvEventQueue:
    """Events that a router has not received yet."""

    __slots__ = ("_clock", "_delay_s", "_events")

    def __init__(self, clock: Callable[[], float], delay_s: float) -> None:
        self._clock, self._delay_s = clock, delay_s
        self._events: deque[KvEvent] = deque()

    def add(self, event: KvEvent) -> None:
        """Add an event, which the router receives after the delay."""
        self._events.append(event)

    def received(self) -> Iterator[KvEvent]:
        """Yield the events that have arrived since the last call, in order."""
        events = self._events
        if events:
            until_s = self._clock() - self._delay_s
            while events and events[0].at_s <= until_s:
                yield events.popleft()


class KvEvents:
    """Events of all replicas, passed to the routers that read them.

    Parameters
    ----------
    clock
        Function that returns the present time [s].
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._queues: list[KvEventQueue] = []

    def queue(self, delay_s: float) -> KvEventQueue:
        """Return a queue that gets all events from now on; a router reads them after `delay_s`."""
        queue = KvEventQueue(self._clock, delay_s)
        self._queues.append(queue)
        return queue

    def of_new_cache(self, number: int) -> Callable[[int, int], None]:
        """Report that the cache of a replica is empty; return the function for its next events.

        The function takes the identity of a piece and the number of its tokens in the cache.
        """
        self._tell(number, None, 0)
        return lambda identity, tokens: self._tell(number, identity, tokens)

    def _tell(self, number: int, identity: int | None, tokens: int) -> None:
        event = KvEvent(self._clock(), number, identity, tokens)
        for queue in self._queues:
            queue.add(event)
