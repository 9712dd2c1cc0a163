"""Repair times: from a fault to the moment at which the hardware works again.

The loading of the weights follows and is not part of them.
"""

from __future__ import annotations

from math import exp, isclose
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.typing import Share, Sigma
from cluster_sim.units import PositiveSeconds


class FixedRepair(Description):
    """Repair times that are all equal."""

    distribution: Literal["fixed"] = "fixed"
    time_s: PositiveSeconds
    """Repair time [s]."""

    def draw_s(self, rng: np.random.Generator) -> float:
        """Return the repair time [s]."""
        return self.time_s

    def expected_s(self) -> float:
        """Return the mean repair time [s]."""
        return self.time_s


class ExponentialRepair(Description):
    """Exponentially distributed repair times, as in the two-state Markov chain of a machine."""

    distribution: Literal["exponential"] = "exponential"
    mean_s: PositiveSeconds
    """Mean repair time [s]."""

    def draw_s(self, rng: np.random.Generator) -> float:
        """Return a repair time [s]."""
        return float(rng.exponential(self.mean_s))

    def expected_s(self) -> float:
        """Return the mean repair time [s]."""
        return self.mean_s


class RepairClass(Description):
    """One class of repairs, such as reboots, with lognormally distributed times."""

    share: Share
    """Share of the faults whose repair is of this class. The shares add up to 1."""
    median_s: PositiveSeconds
    """Median of the repair times [s]."""
    sigma: Sigma
    """Standard deviation of the logarithm of the repair times."""


class LognormalRepair(Description):
    """Repair times of several classes, each with lognormally distributed times.

    The default is an estimate from published repairs. 70 % of the faults need a reboot: 0.5 h to
    2 h, which are the 5th and 95th percentile. 30 % need parts: 2 days in the median, and 10 % of
    these repairs take more than 7 days.
    """

    distribution: Literal["lognormal"] = "lognormal"
    classes: Annotated[tuple[RepairClass, ...], Field(min_length=1)] = (
        RepairClass.model_construct(share=0.7, median_s=3600.0, sigma=0.42),
        RepairClass.model_construct(share=0.3, median_s=172_800.0, sigma=0.98),
    )
    """Classes of repairs. Default: 70 % reboots with a median of 1 h, and 30 % exchanges of parts
    with a median of 2 days."""

    @model_validator(mode="after")
    def _adds_up(self) -> LognormalRepair:
        total = sum(each.share for each in self.classes)
        if not isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"got shares that add up to {total:g}; expected a sum of 1")
        return self

    def draw_s(self, rng: np.random.Generator) -> float:
        """Return a repair time [s]."""
        point = rng.random()
        for each in self.classes:
            point -= each.share
            if point < 0.0:
                break
        return each.median_s * exp(each.sigma * float(rng.standard_normal()))

    def expected_s(self) -> float:
        """Return the mean repair time [s]."""
        return sum(each.share * each.median_s * exp(each.sigma**2 / 2) for each in self.classes)


def _of_a_time(value: Any) -> Any:
    """Return a bare time as a mapping of equal repair times, and `lognormal` as its defaults."""
    if isinstance(value, (dict, BaseModel)):
        return value
    if value == "lognormal":
        return {"distribution": value}
    return {"distribution": "fixed", "time": value}


_Repair = Annotated[
    FixedRepair | ExponentialRepair | LognormalRepair, Field(discriminator="distribution")
]
Repair = Annotated[_Repair, BeforeValidator(_of_a_time, json_schema_input_type=str | _Repair)]
"""Distribution of repair times. A bare time stands for equal repair times."""
