"""MemoryBus: bandwidth of a device's memory for all traffic that crosses it."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.physics.memory_sharing import bandwidth_kept


@dataclass(frozen=True)
class MemoryBus:
    """Bandwidth of a memory, with the losses of concurrent streams."""

    bytes_per_s: float
    """Bandwidth of one stream of reads [B/s]."""
    stream_loss: float = 0.0
    """Share of the bandwidth that is lost by further streams; see hardware.Memory."""
    mix_loss: float = 0.0
    """Share of the bandwidth that is lost by mixed reads and writes; see hardware.Memory."""

    def capacity(self, streams: int) -> float:
        """Return the total bandwidth of this number of streams [B/s]."""
        return self.bytes_per_s * bandwidth_kept(self.stream_loss, self.mix_loss, streams, 0.0)
