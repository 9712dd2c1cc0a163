"""Path between a replica's devices and their host, shared with other traffic."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.sim.fabric import Fabric
from cluster_sim.sim.transfer import Parties
from cluster_sim.topology import ParallelPaths


@dataclass(frozen=True)
class SharedHostPath:
    """Path of blocks that are swapped out and in, or fetched from offload tiers.

    The time that a step waits for blocks follows from the path's share of bandwidth at the start of
    the step. For other traffic the blocks are a transfer.
    """

    fabric: Fabric
    paths: ParallelPaths
    kind: str
    """Kind of traffic: `swap` or `offload`."""
    replica: int
    """Number of the replica."""
    bytes_per_s: float
    """Bandwidth over all devices without other traffic [B/s]."""

    def moved_s(self, alone_s: float) -> float:
        """Return the time to move blocks now [s]; `alone_s`: time without other traffic [s]."""
        share = self.fabric.share(self.paths)
        parties = Parties(self.replica, -1, -1)
        transfer = self.fabric.begin(self.kind, self.paths, parties, _nobody_waits)
        self.fabric.supply(transfer, alone_s * self.bytes_per_s)
        return alone_s / share


def _nobody_waits() -> None:
    """Do nothing: the step already includes the duration of the transfer."""
