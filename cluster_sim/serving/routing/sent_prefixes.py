"""Prompts that a router sent to replicas, and the replicas that received each piece of a prompt."""

from __future__ import annotations

from cluster_sim.request import Request


class Holders:
    """Replicas that received each piece of a prompt, by the identity of the piece."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[int, set[int]] = {}

    def add(self, identity: int, number: int) -> None:
        """Record that a replica has received a piece."""
        if (numbers := self._numbers.get(identity)) is None:
            self._numbers[identity] = {number}
        else:
            numbers.add(number)

    def remove(self, identity: int, number: int) -> None:
        """Record that the router has forgotten that a replica received a piece."""
        numbers = self._numbers[identity]
        numbers.discard(number)
        if not numbers:
            del self._numbers[identity]

    def of_longest(self, request: Request) -> tuple[set[int], int]:
        """Return the replicas with the longest prefix of a prompt, and its number of tokens.

        A replica with a piece has all pieces before it, so the last piece that any replica has
        decides.
        """
        known, held, tokens = self._numbers, None, 0
        for identity, length in request.pieces:
            numbers = known.get(identity)
            if numbers is None:
                break
            if length:
                held = numbers
            tokens += length
        return (held or set()), tokens


class SentPrefixes:
    """Prefix tree of the prompts that were sent to one replica.

    The least recently used leaves are dropped. The identity of a piece stands for all content
    before it too, so the tree is a set of identities: a prefix is in the tree if its pieces are.
    Pieces are touched from the last to the first, so a leaf is always older than its parent.

    Parameters
    ----------
    max_tokens
        Maximum number of tokens that are remembered.
    number
        Number of the replica.
    holders
        Replicas by piece, kept up to date with this tree; None if they are not needed.
    """

    __slots__ = ("_holders", "_max_tokens", "_number", "_pieces", "_tokens")

    def __init__(self, max_tokens: int, number: int = 0, holders: Holders | None = None) -> None:
        self._pieces: dict[int, int] = {}  # tokens by identity, the least recently used first
        self._tokens, self._max_tokens = 0, max_tokens
        self._number, self._holders = number, holders

    def longest(self, request: Request) -> int:
        """Return the number of tokens of the longest prefix of the prompt in the tree."""
        tokens = 0
        for identity, length in request.pieces:
            if identity not in self._pieces:
                break
            tokens += length
        return tokens

    def add(self, request: Request) -> None:
        """Add the prompt of a request that was sent."""
        pieces, holders = self._pieces, self._holders
        for identity, length in reversed(request.pieces):
            known = pieces.pop(identity, -1)
            if known < 0:
                known = 0
                if holders is not None:
                    holders.add(identity, self._number)
            self._tokens += length - known
            pieces[identity] = length
        while self._tokens > self._max_tokens:
            identity = next(iter(pieces))
            self._tokens -= pieces.pop(identity)
            if holders is not None:
                holders.remove(identity, self._number)

    def forget(self) -> None:
        """Remove all prompts."""
        if self._holders is not None:
            for identity in self._pieces:
                self._holders.remove(identity, self._number)
        self._pieces.clear()
        self._tokens = 0
