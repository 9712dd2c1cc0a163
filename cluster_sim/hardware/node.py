"""A node: a machine that is bought as one."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import BeforeValidator, Field

from cluster_sim.economics.prices import Prices
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.network import Link, NetworkSpec
from cluster_sim.hardware.power_and_cooling import Cooling, Surroundings
from cluster_sim.schema import Description, named


class Node(Description):
    """A machine that is bought as one: its devices, and the links inside it."""

    name: str
    device: Annotated[Device, BeforeValidator(partial(named, "devices"))]
    """A catalog name, the path of a device file, or a mapping with its keys."""
    devices: Annotated[int, Field(gt=0)]
    places: dict[str, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    """How many it has of other ends of its links: `nic: 8` are nic0 to nic7. Of those left out
    there is one, without a number. A link between two of which there are several joins them in
    order."""
    links: tuple[Link, ...]
    network: Annotated[NetworkSpec, BeforeValidator(partial(named, "links"))]
    """How it is reached where the scenario does not say."""
    power: Surroundings | None = None
    """What it draws beside its devices; left out, nothing."""
    cooling: Cooling | None = None
    """Of each of its devices."""
    prices: (
        Annotated[
            Prices, BeforeValidator(partial(named, "prices"), json_schema_input_type=str | Prices)
        ]
        | None
    ) = None
    """What it costs where the scenario does not say; left out, runs say nothing of money."""
