"""Transfers under way, and the channels that carry them one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from cluster_sim.physics.max_min_fairness import Flow
from cluster_sim.topology import ParallelPaths

_NOTHING = 1e-11  # of a channel's bytes: less is a rounding


class Parties(NamedTuple):
    """Whom a transfer is between; -1 where there is none."""

    source: int
    """Number of the replica that sends."""
    target: int
    """Number of the replica that receives."""
    request: int
    """Number of the request whose KV it is; -1 where it is of several."""


class Transfer:
    """Bytes on their way; they may become available while it is under way."""

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
        """Time at which all that is available would have left with no other traffic [s]."""
        self.supplied = self.arriving = self._alone_left = 0.0

    def supply(self, total: float, arriving: float, now_s: float) -> float:
        """Note that `total` bytes are available, and that `arriving` more per second will be.

        Returns by how many bytes that is more than was known.
        """
        elapsed_s, alone = now_s - self.since_s, self.channel.alone
        more = total - (self.supplied + self.arriving * elapsed_s)
        self._alone_left = max(self._alone_left + (self.arriving - alone) * elapsed_s, 0.0) + more
        self.alone_ends_s = now_s + self._alone_left / alone
        self.supplied, self.arriving, self.since_s = total, arriving, now_s
        return more


class Channel(Flow):
    """All transfers of a kind over the same parallel paths, one after the other.

    Bytes leave in the order in which they become available.
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
        """Bandwidth of all paths with no other traffic [B/s]."""
        self.supplied = self.moved = self.arriving = self.since_s = 0.0
        self.ended = 0.0
        """Number of the moved bytes whose transfers have ended."""
        self.opened = 0
        """Number of transfers whose bytes are still becoming available."""
        self.marks: deque[tuple[float, Transfer]] = deque()
        """Transfers, with the bytes that have been moved when they end."""
        self.is_sharing = False
        """Whether it shares what it crosses with others."""

    def join(self, limit: float) -> None:
        """Begin to share what it crosses, at `limit` per path at most."""
        self.is_sharing, self.limit = True, limit

    def leave(self) -> None:
        """Cease to share what it crosses."""
        self.is_sharing, self.rate = False, 0.0

    @property
    def left(self) -> float:
        """Number of bytes that are available and have not been moved."""
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
        """Note that each path has moved `rate` bytes per second until now."""
        elapsed_s = now_s - self.since_s
        self.since_s = now_s
        if elapsed_s:
            self.supplied += self.arriving * elapsed_s
            self.moved = min(self.moved + self.paths.count * rate * elapsed_s, self.supplied)

    def supply(self, transfer: Transfer, total: float, arriving: float, *, is_whole: bool) -> None:
        """Note that `total` bytes of a transfer are available, and how fast more will be.

        is_whole: whether these are all.
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
        """Return the time until a transfer ends or all that is available has been moved [s]."""
        if not self.is_behind:
            return 0.0 if self.marks else inf
        rate = self.bytes_per_s
        to_mark_s = (self.marks[0][0] - self.moved) / rate if self.marks and rate else inf
        return min(to_mark_s, self.left / (rate - self.arriving) if rate > self.arriving else inf)

    def arrive(self) -> list[Transfer]:
        """Move on to the time that `ahead_s` foresaw; return the transfers that have ended.

        A mark is reached before all that is available has been moved. What was moved by now is not
        asked: in a rounding of the clock thousands of bytes pass.
        """
        self.moved = self.marks[0][0] if self.marks else self.supplied
        ended = []
        while self.marks and self.marks[0][0] <= self.moved:
            ended.append(self.marks.popleft()[1])
            self.ended += ended[-1].supplied
        return ended

    def cut(self) -> float:
        """Drop all transfers; return the bytes that were moved of them [B]."""
        moved = max(self.moved - self.ended, 0.0)
        self.supplied = self.moved = self.arriving = self.ended = 0.0
        self.opened = 0
        self.marks.clear()
        return moved
