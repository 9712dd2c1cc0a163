"""The memory of a device, as all traffic that crosses it sees it."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.physics.memory_sharing import bandwidth_kept


@dataclass(frozen=True)
class MemoryBus:
    """Bandwidth of a memory, and what streams beside each other cost."""

    bytes_per_s: float
    """Bandwidth of one stream of reads [B/s]."""
    stream_loss: float = 0.0
    """Share of the bandwidth that further streams cost; see hardware.Memory."""
    mix_loss: float = 0.0
    """Share of the bandwidth that writes among reads cost; see hardware.Memory."""

    def capacity(self, streams: int) -> float:
        """Return the bandwidth of so many streams together [B/s]."""
        return self.bytes_per_s * bandwidth_kept(self.stream_loss, self.mix_loss, streams, 0.0)
