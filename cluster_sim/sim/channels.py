"""Channels of a fabric: the queue in which each transfer waits for its bytes to be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cluster_sim.sim.transfer import Channel
from cluster_sim.topology import ParallelPaths


class SharedChannels:
    """Channels that carry all transfers of a kind over the same paths, one after another.

    Parameters
    ----------
    alone
        Function that returns the bandwidth of paths without other traffic [B/s].
    """

    def __init__(self, alone: Callable[[ParallelPaths], float]) -> None:
        self._alone = alone
        self._channels: dict[tuple[str, ParallelPaths], Channel] = {}

    def __iter__(self) -> Iterator[Channel]:
        """Yield the channels that may carry transfers now."""
        return iter(list(self._channels.values()))

    def of(self, kind: str, paths: ParallelPaths) -> Channel:
        """Return the channel for a transfer that begins."""
        channel = self._channels.get((kind, paths))
        if channel is None:
            channel = self._channels[kind, paths] = Channel(kind, paths, self._alone(paths))
        return channel

    def alone_bytes_per_s(self, paths: ParallelPaths) -> float:
        """Return the bandwidth of paths without other traffic [B/s]."""
        if not paths.is_lasting:
            return self._alone(paths)
        return SharedChannels.of(self, "", paths).alone

    def ended(self, channel: Channel) -> None:
        """Record that the transfer at the head of a channel has ended.

        A channel without transfers is forgotten if its paths are not worth to keep.
        """
        if not (channel.paths.is_lasting or channel.opened or channel.marks or channel.is_behind):
            self._channels.pop((channel.kind, channel.paths), None)


class OwnChannels(SharedChannels):
    """Channels that carry one transfer each, so that no transfer waits for another."""

    def __init__(self, alone: Callable[[ParallelPaths], float]) -> None:
        super().__init__(alone)
        self._open: dict[Channel, None] = {}

    def __iter__(self) -> Iterator[Channel]:
        """Yield the channels of all transfers in progress."""
        return iter(list(self._open))

    def of(self, kind: str, paths: ParallelPaths) -> Channel:
        """Return a new channel for a transfer that begins."""
        channel = Channel(kind, paths, self.alone_bytes_per_s(paths))
        self._open[channel] = None
        return channel

    def ended(self, channel: Channel) -> None:
        """Forget the channel of a transfer that has ended."""
        self._open.pop(channel, None)
