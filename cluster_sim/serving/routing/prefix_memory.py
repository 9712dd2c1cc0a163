"""Knowledge of a router of the prompts that replicas have, by requests sent or by KV events."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from cluster_sim.request import Request
from cluster_sim.serving.routing.held_prefixes import BlockHolders, HeldPrefixes
from cluster_sim.serving.routing.kv_events import KvEventQueue
from cluster_sim.serving.routing.sent_prefixes import Holders, SentPrefixes


class PrefixMemory(Protocol):
    """Knowledge of a router of the prompts that replicas have."""

    def update(self) -> None:
        """Take in what the router has learnt since the last choice."""
        ...

    def longest(self, number: int, request: Request) -> int:
        """Return the tokens of the longest prefix of a prompt that a replica has."""
        ...

    def holders(self, request: Request) -> tuple[set[int], int]:
        """Return the open replicas with the longest prefix of a prompt, and its tokens."""
        ...

    def sent(self, request: Request, number: int) -> None:
        """Record that a prompt was sent to a replica."""
        ...

    def opened(self, number: int) -> None:
        """Record that the router sends requests to a replica."""
        ...

    def closed(self, number: int) -> None:
        """Record that the router sends no more requests to a replica."""
        ...


SomePrefixes = TypeVar("SomePrefixes", SentPrefixes, HeldPrefixes)
SomeHolders = TypeVar("SomeHolders", Holders, BlockHolders)


class _Prefixes(Generic[SomePrefixes, SomeHolders]):
    """Prefixes of prompts by replica, and the replicas by prefix if `holders` is used."""

    def __init__(self, holders: SomeHolders | None) -> None:
        self._holders: SomeHolders | None = holders
        self._of: dict[int, SomePrefixes] = {}

    def longest(self, number: int, request: Request) -> int:
        """Return the tokens of the longest prefix of a prompt that a replica has."""
        prefixes = self._of.get(number)
        return 0 if prefixes is None else prefixes.longest(request)

    def holders(self, request: Request) -> tuple[set[int], int]:
        """Return the open replicas with the longest prefix of a prompt, and its tokens."""
        assert self._holders is not None
        return self._holders.of_longest(request)


class SentMemory(_Prefixes[SentPrefixes, Holders]):
    """Memory of the prompts that the router sent to each replica.

    What was sent to a replica is forgotten when it closes, as in SGLang's router when it removes a
    worker.

    Parameters
    ----------
    max_tokens
        Maximum number of tokens that are remembered of each replica.
    is_large
        Whether `holders` is used, which needs a map of all pieces.
    """

    def __init__(self, max_tokens: int, *, is_large: bool) -> None:
        super().__init__(Holders() if is_large else None)
        self._max_tokens = max_tokens

    def update(self) -> None:
        """Take in nothing: the router knows what it sent."""

    def sent(self, request: Request, number: int) -> None:
        """Remember a prompt that was sent to a replica."""
        if not request.pieces:
            return
        if (prefixes := self._of.get(number)) is None:
            prefixes = SentPrefixes(self._max_tokens, number, self._holders)
            self._of[number] = prefixes
        prefixes.add(request)

    def opened(self, number: int) -> None:
        """Begin with no memory of a replica."""

    def closed(self, number: int) -> None:
        """Forget what was sent to a replica."""
        if (prefixes := self._of.pop(number, None)) is not None:
            prefixes.forget()


class HeldMemory(_Prefixes[HeldPrefixes, BlockHolders]):
    """Memory of the blocks that each replica has in its prefix cache, by its KV events.

    Parameters
    ----------
    queue
        Events of all replicas.
    is_large
        Whether `holders` is used, which needs a map of all pieces.
    """

    def __init__(self, queue: KvEventQueue, *, is_large: bool) -> None:
        super().__init__(BlockHolders() if is_large else None)
        self._queue = queue

    def update(self) -> None:
        """Take in the events that have arrived."""
        for event in self._queue.received():
            if (prefixes := self._of.get(event.number)) is None:
                prefixes = self._of[event.number] = HeldPrefixes(event.number, self._holders)
            if event.identity is None:
                prefixes.forget()
            else:
                prefixes.record(event.identity, event.tokens)

    def sent(self, request: Request, number: int) -> None:
        """Record nothing: only events count."""

    def opened(self, number: int) -> None:
        """Let `holders` return a replica."""
        if self._holders is not None:
            self._holders.closed.discard(number)

    def closed(self, number: int) -> None:
        """Let `holders` omit a replica; its events still arrive."""
        if self._holders is not None:
            self._holders.closed.add(number)
