"""Times for which clients wait: constant, exponential or log-normal."""

from __future__ import annotations

from math import exp, log1p
from statistics import NormalDist
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from cluster_sim.schema import Description
from cluster_sim.typing import Sigma
from cluster_sim.units import PositiveSeconds

_NORMAL = NormalDist()
_LEAST_SHARE = 2.0**-54
"""Half of the smallest positive number that the random generator returns."""


class FixedTime(Description):
    """A constant time."""

    is_drawn: ClassVar[bool] = False

    distribution: Literal["fixed"] = "fixed"
    time_s: PositiveSeconds
    """Time that every client waits [s]."""

    def quantile_s(self, share: float) -> float:
        """Return the time [s], whatever the share."""
        return self.time_s


class ExponentialTime(Description):
    """Exponential times, as the patience of callers in the model Erlang-A."""

    is_drawn: ClassVar[bool] = True

    distribution: Literal["exponential"]
    mean_s: PositiveSeconds
    """Mean time [s]."""

    def quantile_s(self, share: float) -> float:
        """Return the time [s] that a share of the clients does not exceed.

        Examples
        --------
        >>> ExponentialTime(distribution="exponential", mean="2 s").quantile_s(0.5)
        1.3862943611198906
        """
        return -self.mean_s * log1p(-share)


class LogNormalTime(Description):
    """Log-normal times, cut at `max`."""

    is_drawn: ClassVar[bool] = True

    distribution: Literal["lognormal"]
    median_s: PositiveSeconds
    """Median time [s]."""
    sigma: Sigma
    """Standard deviation of the logarithm of a time."""
    max_s: PositiveSeconds | None = None
    """Maximum time; longer times are cut to it [s]. Default: no cut."""

    def quantile_s(self, share: float) -> float:
        """Return the time [s] that a share of the clients does not exceed."""
        time_s = self.median_s * exp(self.sigma * _NORMAL.inv_cdf(max(share, _LEAST_SHARE)))
        return time_s if self.max_s is None else min(time_s, self.max_s)


def _from_time(value: Any) -> Any:
    """Return a bare time as a constant one; return other values unchanged."""
    is_bare = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return {"distribution": "fixed", "time": value} if is_bare else value


_Patience = Annotated[
    FixedTime | ExponentialTime | LogNormalTime, Field(discriminator="distribution")
]
Patience = Annotated[
    _Patience, BeforeValidator(_from_time, json_schema_input_type=PositiveSeconds | _Patience)
]
"""Time for which a client waits; a bare time, such as `10 s`, is a constant one."""
