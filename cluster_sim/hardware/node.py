"""A node: a machine that is bought as a unit."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.economics.prices import Prices
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.network import Link, NetworkSpec
from cluster_sim.hardware.power_and_cooling import Cooling, InletRating
from cluster_sim.hardware.surroundings import Surroundings
from cluster_sim.schema import Description, Named
from cluster_sim.typing import NodeCount


class Node(Description):
    """A machine that is bought as a unit: its devices, and the links inside it."""

    name: str
    """Name of the node, as shown in tables and figures."""
    device: Annotated[Device, Named("devices")]
    """Device of the node: a catalog name, the path of a device file, or a mapping with its keys."""
    devices: NodeCount
    """Number of devices per node."""
    places: dict[str, NodeCount] = Field(default_factory=dict)
    """Number of other ends of the node's links by name: `nic: 8` means nic0 to nic7. An omitted end
    exists once and has no number. A link between two ends with several instances connects them in
    order."""
    links: tuple[Link, ...]
    """Links inside the node."""
    domain_devices: NodeCount | None = None
    """Number of devices of the scale-up domain that the node is or may be a part of, such as 72 for
    an NVL72. Default: those of the node."""
    network: Annotated[NetworkSpec, Named("links")]
    """Network that reaches the node, unless the scenario gives one."""
    power: Surroundings | None = None
    """Power that the node draws in addition to its devices. Default: 0 W."""
    cooling: Cooling | None = None
    """Cooling of each device of the node. Default: temperatures are not simulated."""
    inlet_rating: InletRating | None = None
    """Range of inlet temperatures for which the maker rates the node. `check` and the run table say
    where a scenario leaves it; nothing else depends on it. Default: the range is not known."""
    prices: Annotated[Prices, Named("prices")] | None = None
    """Prices of the node, unless the scenario gives others. Default: runs report no costs."""
    materials: Annotated[Prices, Named("prices")] | None = None
    """Cost of the node's materials, as an offer of its maker to itself. A run warns of prices below
    it. Default: it is unknown."""
