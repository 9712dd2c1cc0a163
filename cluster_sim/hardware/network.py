"""Links of a topology, and fabrics of switches, as files describe them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cluster_sim.limits import SWITCH_PORTS
from cluster_sim.schema import Description
from cluster_sim.units import BytesPerSecond, Seconds


class Link(Description):
    """A link between two ends, with equal bandwidth in both directions.

    Ends inside a node: `host` (its processors), `device` (each of them), `nic`, or names from the
    file such as `switch`. Ends in a network: `front_door`, `node` (each of them), `pool/0` (that
    node), or names from the file. The NICs of a node share its bandwidth evenly; a node without
    NICs is reached at its host.
    """

    between: tuple[str, str]
    """Names of the two ends of the link."""
    kind: str
    """Kind of link, such as nvlink5, as shown in tables and figures."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Bandwidth in one direction [B/s]."""
    latency_s: Seconds
    """Latency of the link [s]."""
    duplex: Literal["full", "half"] = "full"
    """Sharing of the bandwidth between the directions. full: each direction has the whole
    bandwidth. half: both directions share one bandwidth, as reads and writes of a memory do."""


class FabricSpec(Description):
    """Leaf and spine switches, as many as the nodes need.

    A leaf has at most `oversubscription` times as many ports for NICs as cables to spines. Every
    leaf has the same number of cables to each spine; these cables count as one link with the
    bandwidth of all of them. The front door has a port on every spine. A node without NICs has one
    port, at its host.
    """

    shape: Literal["rail_optimised", "fat_tree"]
    """Shape of the fabric. rail_optimised: the first NICs of all nodes are on one leaf, the second
    NICs on the next leaf, and so on. fat_tree: all NICs of a node are on one leaf, as long as it
    has free ports."""
    kind: str
    """Kind of the fabric's links, as shown in tables and figures."""
    radix: Annotated[int, Field(ge=2), SWITCH_PORTS]
    """Number of ports per switch."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Bandwidth of one port in one direction [B/s]."""
    latency_s: Seconds
    """Latency from a NIC to its leaf, or from the front door to a spine [s]."""
    switch_latency_s: Seconds
    """Latency from a leaf to a spine [s]."""
    oversubscription: Annotated[float, Field(ge=1.0)] = 1.0
    """Ratio of the bandwidth from NICs to a leaf to the bandwidth from the leaf to the spines. With
    1 the spines never limit."""


class NetworkSpec(Description):
    """Links between front door and nodes: written one by one, a fabric of switches, or both."""

    name: str = "as written"
    """Name of the network, as shown in tables and figures."""
    links: tuple[Link, ...] = ()
    """Links that are written one by one. Beside a fabric they may also end at its switches: leaf0,
    spine0 and so on."""
    fabric: FabricSpec | None = None
    """Fabric of leaf and spine switches. Default: no fabric, only `links`."""
    sums_in_switch: bool = False
    """Whether the switches compute sums of all-reduces, as InfiniBand's SHARP does, for groups of
    devices that span nodes."""

    @model_validator(mode="after")
    def _has_links(self) -> NetworkSpec:
        if "links" not in self.model_fields_set and self.fabric is None:
            raise ValueError("expected 'links' or 'fabric'")
        return self
