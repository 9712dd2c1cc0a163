"""Blocks of prompts that replicas have in their prefix caches, as far as a router knows."""

from __future__ import annotations

from cluster_sim.request import Request


class BlockHolders:
    """Replicas with blocks of each piece of a prompt, by piece and by tokens of these blocks."""

    __slots__ = ("_numbers", "closed")

    def __init__(self) -> None:
        self._numbers: dict[int, dict[int, set[int]]] = {}
        self.closed: set[int] = set()
        """Numbers of the replicas to which the router sends nothing."""

    def move(self, identity: int, number: int, before: int, tokens: int) -> None:
        """Record that a replica has `tokens` of a piece instead of `before`."""
        by_tokens = self._numbers.setdefault(identity, {})
        if before:
            numbers = by_tokens[before]
            numbers.discard(number)
            if not numbers:
                del by_tokens[before]
        if tokens:
            by_tokens.setdefault(tokens, set()).add(number)
        elif not by_tokens:
            del self._numbers[identity]

    def of_longest(self, request: Request) -> tuple[set[int], int]:
        """Return the open replicas with the longest prefix of a prompt, and its tokens.

        A replica evicts the blocks of a prompt from the last to the first, so the last piece of
        which any replica has a block decides.
        """
        end = sum(length for _, length in request.pieces)
        for identity, length in reversed(request.pieces):
            end -= length
            numbers, tokens = self._with_most(identity, length)
            if numbers:
                return numbers, end + tokens
        return set(), 0

    def _with_most(self, identity: int, length: int) -> tuple[set[int], int]:
        """Return the open replicas with most of a piece of `length` tokens, and the tokens."""
        by_tokens, closed = self._numbers.get(identity, {}), self.closed
        best: set[int] = set()
        most = 0
        for tokens, numbers in by_tokens.items():
            held = min(tokens, length)
            if held < most or not (found := numbers - closed if closed else numbers):
                continue
            best = best | found if held == most else found
            most = held
        return best, most


class HeldPrefixes:
    """Blocks in the prefix cache of one replica, by the identity of their piece of a prompt."""

    __slots__ = ("_holders", "_number", "_tokens")

    def __init__(self, number: int, holders: BlockHolders | None) -> None:
        self._number, self._holders = number, holders
        self._tokens: dict[int, int] = {}  # tokens of the blocks by identity; none is 0

    def record(self, identity: int, tokens: int) -> None:
        """Record how many tokens of a piece are in the cache."""
        before = self._tokens.pop(identity, 0)
        if tokens:
            self._tokens[identity] = tokens
        if self._holders is not None:
            self._holders.move(identity, self._number, before, tokens)

    def forget(self) -> None:
        """Record that the cache is empty."""
        for identity in list(self._tokens):
            self.record(identity, 0)

    def longest(self, request: Request) -> int:
        """Return the tokens of the longest prefix of a prompt in the cache.

        The last block of a piece may begin in the piece before, whose tokens are counted once.
        """
        end = sum(length for _, length in request.pieces)
        for identity, length in reversed(request.pieces):
            end -= length
            if tokens := self._tokens.get(identity, 0):
                return end + min(tokens, length)
        return 0
