"""Times of collectives of a group that spans nodes, fitted to measurements."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from cluster_sim.hardware.operating_point import scaled_by
from cluster_sim.limits import COUNT
from cluster_sim.schema import Description
from cluster_sim.units import BytesPerSecond, PositiveSeconds, Seconds


class AcrossNodesFit(Description):
    """Times that the network adds to collectives inside nodes. The defaults are those of the H100.

    `physics.node_collectives` combines the constants. Sources of the defaults: nccl-tests on nodes
    of eight devices with eight ports of 400 Gb/s: H20, 2 nodes (github NVIDIA/nccl issue 1244),
    H100, 2 and 4 nodes (issue 1221), 8 nodes (github uccl-project/uccl issue 205), 8 nodes with
    sums in switches (github coreweave/nccl-tests), 16 nodes (issue 1469); H200, 248 nodes (github
    NVIDIA/nccl-tests issue 283).
    """

    largest_nodes: Annotated[int, Field(ge=0), COUNT] = 0
    """Largest number of nodes in the measurements; 0 if the device was not measured."""
    start_s: PositiveSeconds = 26e-6
    """Time of the smallest tensor beyond that inside a node [s]."""
    level_s: Seconds = 5e-6
    """Additional time per level of a binary tree of nodes [s]."""
    small_bandwidth_bytes_per_s: BytesPerSecond = 14e9
    """Rate at which the protocol for small tensors moves a tensor there and back [B/s]."""
    rank_s: Seconds = 3.4e-6
    """Additional time of a large tensor per rank, as for the steps of a ring [s]."""
    overlap: Annotated[float, Field(ge=1.0, le=16.0)] = 1.6
    """Exponent of the norm that combines the times inside nodes and between them. With 1 they do
    not overlap."""
    tree_start_s: Seconds = 80e-6
    """Additional start of a tree for large tensors [s]."""
    tree_bandwidth_bytes_per_s: BytesPerSecond = 370e9
    """Rate at which a tree passes tensors from device to device inside a node [B/s]."""
    uses_trees: bool = True
    """Whether large tensors may be reduced over a tree of nodes."""
    node_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Maximum rate out of a node that the channels of the library reach [B/s]. Default: the ports
    of all devices."""
    uses_switch_sums: bool = True
    """Whether sums in the switches of a network save traffic, where a network computes them."""

    def at(self, links: float) -> Self:
        """Return this fit with a share (above 0) of the bandwidth of the links inside nodes."""
        return scaled_by(self, {"tree_bandwidth_bytes_per_s": links})
