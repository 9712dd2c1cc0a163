"""The path between a replica's devices and their host, where other traffic uses it as well."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.sim.fabric import Fabric
from cluster_sim.sim.transfer import Parties
from cluster_sim.topology import ParallelPaths


@dataclass(frozen=True)
class SharedHostPath:
    """The path of blocks that are swapped out and in, or fetched from tiers.

    The step that waits for them takes as long as the path's share says at its beginning; for other
    traffic they are a transfer.
    """

    fabric: Fabric
    paths: ParallelPaths
    kind: str
    """Kind of traffic: `swap` or `offload`."""
    replica: int
    """Number of the replica."""
    bytes_per_s: float
    """Bandwidth over all devices with no other traffic [B/s]."""

    def moved_s(self, alone_s: float) -> float:
        """Return how long blocks move from now on that would take `alone_s` alone [s]."""
        share = self.fabric.share(self.paths)
        parties = Parties(self.replica, -1, -1)
        transfer = self.fabric.begin(self.kind, self.paths, parties, _nobody_waits)
        self.fabric.supply(transfer, alone_s * self.bytes_per_s)
        return alone_s / share


def _nobody_waits() -> None:
    """Do nothing: the step was foreseen to last as long as the transfer."""
