"""Links between places, and fabrics of switches, as files describe them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.units import BytesPerSecond, Seconds


class Link(Description):
    """A connection of two places of the topology, as wide in one direction as in the other.

    Inside a node: `host` (its processors), `device` (stands for each of them), `nic`, or names of
    the file's own such as `switch`. In a network: `front_door`, `node` (stands for each of them),
    `pool/0` (that one), or names of the file's own; the bandwidth of a node is shared evenly by its
    NICs, and is its host's where it has none.
    """

    between: tuple[str, str]
    kind: str
    bandwidth_bytes_per_s: BytesPerSecond
    """In one direction."""
    latency_s: Seconds
    duplex: Literal["full", "half"] = "full"
    """half: both directions share one bandwidth, as reads and writes of a memory do."""


class FabricSpec(Description):
    """Leaf and spine switches that are as many as the nodes need, instead of links written one by
    one.

    A leaf has at most `oversubscription` times as many ports for NICs as it has cables to spines;
    every leaf has as many cables to each spine, which are held to be one link as wide as all of
    them. The front door has a port on every spine. A node without NICs has one port, its host's.
    """

    shape: Literal["rail_optimised", "fat_tree"]
    """rail_optimised: the first NICs of all nodes meet on one leaf, the second ones on the next,
    and so on; fat_tree: all NICs of a node are on one leaf, as far as it has ports."""
    kind: str
    radix: Annotated[int, Field(ge=2)]
    """Ports of a switch."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Of a port, in one direction."""
    latency_s: Seconds
    """From a NIC to its leaf, or from the front door to a spine."""
    switch_latency_s: Seconds
    """From a leaf to a spine."""
    oversubscription: Annotated[float, Field(ge=1.0)] = 1.0
    """What NICs can send to a leaf by what it can send on to the spines; 1: nothing is ever
    short."""


class NetworkSpec(Description):
    """How the front door reaches the nodes, and these each other: links, a fabric of switches, or
    both.
    """

    name: str = "as written"
    links: tuple[Link, ...] = ()
    """Beside a fabric they may end at its switches too: leaf0, spine0 and so on."""
    fabric: FabricSpec | None = None

    @model_validator(mode="after")
    def _has_links(self) -> NetworkSpec:
        if "links" not in self.model_fields_set and self.fabric is None:
            raise ValueError("wanted 'links' or 'fabric'")
        return self
