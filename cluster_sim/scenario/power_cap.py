"""Power caps, which may move by a schedule."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.units import Seconds, Watts


class PowerCap(Description):
    """Maximum power: one figure, or a schedule."""

    bare_key: ClassVar[str] = "limit"

    limit_w: Watts | None = None
    """Maximum power during the whole run [W]. Default: `points` give it."""
    points: Annotated[tuple[tuple[Seconds, Watts], ...], Field(min_length=1)] | None = None
    """Schedule of pairs [time, power]. Each power holds from its time on; the first holds before its
    time as well. Default: no schedule."""

    @model_validator(mode="after")
    def _has_one_course(self) -> PowerCap:
        if (self.limit_w is None) == (self.points is None):
            raise ValueError("expected a power such as '40 kW', or 'points'")
        if any(later <= earlier for (earlier, _), (later, _) in pairwise(self.points or ())):
            raise ValueError("expected the times of 'points' in ascending order")
        return self

    def at_w(self, time_s: float) -> float:
        """Return the maximum power at a time [W]."""
        if self.points is None:
            assert self.limit_w is not None
            return self.limit_w
        times_s = [at_s for at_s, _ in self.points]
        return self.points[max(bisect_right(times_s, time_s) - 1, 0)][1]

    @property
    def lowest_w(self) -> float:
        """Lowest value of the run [W]."""
        return self.at_w(0.0) if self.points is None else min(watts for _, watts in self.points)

    @property
    def changes_s(self) -> tuple[float, ...]:
        """Times at which the maximum changes [s]."""
        return tuple(at_s for at_s, _ in (self.points or ())[1:])

    def scaled(self, share: float) -> PowerCap:
        """Return a share of the cap."""
        if self.points is None:
            assert self.limit_w is not None
            return self.model_copy(update={"limit_w": share * self.limit_w})
        points = tuple((at_s, share * watts) for at_s, watts in self.points)
        return self.model_copy(update={"points": points})


def _limit_where_bare(value: Any) -> Any:
    return value if isinstance(value, (dict, BaseModel)) else {"limit": value}


SomePowerCap = Annotated[
    PowerCap, BeforeValidator(_limit_where_bare, json_schema_input_type=str | PowerCap)
]
"""Power cap of a scenario file: a power, or a mapping."""
