"""A node: a machine that is bought as one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.economics.prices import Prices
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.network import Link, NetworkSpec
from cluster_sim.hardware.power_and_cooling import Cooling, Surroundings
from cluster_sim.schema import Description, Named
from cluster_sim.typing import NodeCount


class Node(Description):
    """A machine that is bought as one: its devices, and the links inside it."""

    name: str
    device: Annotated[Device, Named("devices")]
    """A catalog name, the path of a device file, or a mapping with its keys."""
    devices: NodeCount
    """Number of devices."""
    places: dict[str, NodeCount] = Field(default_factory=dict)
    """Number of other ends of its links by name: `nic: 8` are nic0 to nic7. An end that is left out
    exists once, without a number. A link between two ends that exist several times joins them in
    order."""
    links: tuple[Link, ...]
    """Links inside the node."""
    network: Annotated[NetworkSpec, Named("links")]
    """Network that reaches the node where the scenario gives none."""
    power: Surroundings | None = None
    """Power that the node draws beside its devices; left out, none."""
    cooling: Cooling | None = None
    """Cooling of each of its devices."""
    prices: Annotated[Prices, Named("prices")] | None = None
    """Prices of the node where the scenario gives none. Left out, runs have no costs."""
