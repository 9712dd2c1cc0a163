"""Power of a node in addition to its devices, with its fans and pumps."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from cluster_sim.schema import Description
from cluster_sim.units import Watts


class Surroundings(Description):
    """Power of a node without its devices: processors, switches, fans or pumps, supply losses."""

    base_w: Watts
    """Power with idle devices [W]."""
    most_w: Watts
    """Power with every device at its limit [W]."""
    fans_w: Watts | None = None
    """Part of `most` that fans draw at full flow [W]. After a failure of fans they draw the cube of
    the flow that remains. Default: their power is not known, and a failure leaves it."""
    pumps_w: Watts | None = None
    """Part of `most` that pumps draw at full flow [W]. After a failure of pumps they draw the cube
    of the flow that remains. Default: their power is not known, and a failure leaves it."""

    @model_validator(mode="after")
    def _fans_are_a_part(self) -> Surroundings:
        if (self.fans_w or 0.0) + (self.pumps_w or 0.0) > self.most_w:
            raise ValueError("got 'fans' and 'pumps' above 'most'; expected a part of it")
        return self

    def moved(self, medium: Literal["air", "liquid"]) -> float:
        """Return the share of the power that fans draw in air, or pumps in liquid, at full flow."""
        of_medium_w = self.fans_w if medium == "air" else self.pumps_w
        return (of_medium_w or 0.0) / self.most_w
