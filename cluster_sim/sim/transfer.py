"""Transfers in progress, and the channels that carry them one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from cluster_sim.physics.max_min_fairness import Flow
from cluster_sim.topology import ParallelPaths

_NOTHING = 1e-11  # share of a channel's bytes below which a rest counts as rounding


class Parties(NamedTuple):
    """Ends of a transfer; -1 if an end is not a replica."""

    source: int
    """Number of the replica that sends."""
    target: int
    """Number of the replica that receives."""
    request: int
    """Number of the request whose KV cache is sent; -1 if it belongs to several requests."""


class Transfer:
    """Transfer of bytes, which may become available during the transfer."""

    __slots__ = (
        "_alone_left",
        "alone_ends_s",
        "arriving",
        "began_s",
        "channel",
        "on_sent",
        "parties",
        "since_s",
        "supplied",
    )

    def __init__(
        self, channel: Channel, parties: Parties, on_sent: Callable[[], None], now_s: float
    ) -> None:
        self.channel, self.parties, self.on_sent = channel, parties, on_sent
        self.began_s = self.since_s = now_s
        self.alone_ends_s = now_s
        """Time at which all available bytes would have been sent without other traffic [s]."""
        self.supplied = self.arriving = self._alone_left = 0.0

    def supply(self, total: float, arriving: float, now_s: float) -> float:
        """Record that `total` bytes are available, and that `arriving` more per second will be.

        Returns the number of bytes that are newly available.
        """
        elapsed_s, alone = now_s - self.since_s, self.channel.alone
        more = total - (self.supplied + self.arriving * elapsed_s)
        self._alone_left = max(self._alone_left + (self.arriving - alone) * elapsed_s, 0.0) + more
        self.alone_ends_s = now_s + self._alone_left / alone
        self.supplied, self.arriving, self.since_s = total, arriving, now_s
        return more


class Channel(Flow):
    """Channel for all transfers of a kind over the same parallel paths, one after another.

    Bytes are sent in the order in which they become available.
    """

    __slots__ = (
        "alone",
        "arriving",
        "ended",
        "is_sharing",
        "kind",
        "marks",
        "moved",
        "opened",
        "paths",
        "since_s",
        "supplied",
    )

    def __init__(self, kind: str, paths: ParallelPaths, alone: float) -> None:
        super().__init__(paths.uses)
        self.kind, self.paths = kind, paths
        self.alone = alone
        """Bandwidth of all paths without other traffic [B/s]."""
        self.supplied = self.moved = self.arriving = self.since_s = 0.0
        self.ended = 0.0
        """Number of moved bytes of transfers that have ended."""
        self.opened = 0
        """Number of transfers whose bytes are still becoming available."""
        self.marks: deque[tuple[float, Transfer]] = deque()
        """Transfers, with the channel's number of moved bytes at their end."""
        self.is_sharing = False
        """Whether the channel shares its resources with other traffic."""

    def join(self, limit: float) -> None:
        """Begin to share the channel's resources, at most at rate `limit` per path [B/s]."""
        self.is_sharing, self.limit = True, limit

    def leave(self) -> None:
        """Cease to share the channel's resources."""
        self.is_sharing, self.rate = False, 0.0

    @property
    def left(self) -> float:
        """Number of available bytes that have not been moved."""
        return self.supplied - self.moved

    @property
    def is_behind(self) -> bool:
        """Whether there are bytes to move."""
        return self.left > _NOTHING * self.supplied

    @property
    def bytes_per_s(self) -> float:
        """Rate at which bytes are moved [B/s]."""
        return self.paths.count * self.rate

    def settle(self, now_s: float, rate: float) -> None:
        """Record that each path has moved `rate` bytes per second until now."""
        elapsed_s = now_s - self.since_s
        self.since_s = now_s
        if elapsed_s:
            self.supplied += self.arriving * elapsed_s
            self.moved = min(self.moved + self.paths.count * rate * elapsed_s, self.supplied)

    def supply(self, transfer: Transfer, total: float, arriving: float, *, is_whole: bool) -> None:
        """Record the available bytes of a transfer.

        Parameters
        ----------
        transfer
            Transfer of this channel.
        total
            Number of bytes that are available [B].
        arriving
            Rate at which further bytes become available [B/s].
        is_whole
            Whether all bytes of the transfer are available.
        """
        if not (self.is_behind or self.opened or self.marks):
            self.supplied = self.moved = self.arriving = self.ended = 0.0
        self.opened += (arriving > 0) - (transfer.arriving > 0)
        rising = arriving - transfer.arriving
        self.supplied += transfer.supply(total, arriving, self.since_s)
        self.arriving = self.arriving + rising if self.opened else 0.0
        if is_whole:
            self.marks.append((self.supplied, transfer))

    def ahead_s(self) -> float:
        """Return the time until a transfer ends or all available bytes have been moved [s]."""
        if not self.is_behind:
            return 0.0 if self.marks else inf
        rate = self.bytes_per_s
        to_mark_s = (self.marks[0][0] - self.moved) / rate if self.marks and rate else inf
        return min(to_mark_s, self.left / (rate - self.arriving) if rate > self.arriving else inf)

    def arrive(self) -> list[Transfer]:
        """Advance to the time that `ahead_s` predicted; return the transfers that have ended.

        A mark is reached before all available bytes have been moved. The number of moved bytes is
        not used here: thousands of bytes correspond to a rounding error of the clock.
        """
        self.moved = self.marks[0][0] if self.marks else self.supplied
        ended = []
        while self.marks and self.marks[0][0] <= self.moved:
            ended.append(self.marks.popleft()[1])
            self.ended += ended[-1].supplied
        return ended

    def cut(self) -> float:
        """Drop all transfers; return the number of their bytes that were moved [B]."""
        moved = max(self.moved - self.ended, 0.0)
        self.supplied = self.moved = self.arriving = self.ended = 0.0
        self.opened = 0
        self.marks.clear()
        return moved
