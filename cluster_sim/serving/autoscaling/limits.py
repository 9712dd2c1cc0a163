"""Limits on the speed of scaling, as policies of Kubernetes' horizontal pod autoscaler."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.typing import ClusterCount
from cluster_sim.units import PositiveSeconds

_ROUNDING = 1e-9
"""Distance from a whole number that counts as rounding."""


class Change(NamedTuple):
    """One change of the number of replicas."""

    at_s: float
    """Time of the change [s]."""
    replicas: int
    """Number of replicas that were added; negative if replicas were removed."""


class ScalingPolicy(Description):
    """One limit on the change of the number of replicas within a period."""

    replicas: ClusterCount | None = None
    """Maximum change within the period [replicas]. Either `replicas` or `percent` is required."""
    percent: Annotated[float, Field(gt=0.0)] | None = None
    """Maximum change within the period [% of the replicas at its beginning]."""
    period_s: PositiveSeconds = 15.0
    """Period of the limit [s]."""

    @model_validator(mode="after")
    def _is_one_limit(self) -> ScalingPolicy:
        if (self.replicas is None) == (self.percent is None):
            raise ValueError("expected either 'replicas' or 'percent', such as 'replicas: 4'")
        return self

    def most(self, current: int, changes: Sequence[Change], now_s: float) -> int:
        """Return the maximum number of replicas that the policy allows now.

        A percentage is rounded up, so that one replica can grow.
        """
        begun = current - sum(self._recent(changes, now_s))
        if self.replicas is not None:
            return begun + self.replicas
        return ceil(begun * (1.0 + (self.percent or 0.0) / 100.0) - _ROUNDING)

    def least(self, current: int, changes: Sequence[Change], now_s: float) -> int:
        """Return the minimum number of replicas that the policy allows now."""
        begun = current - sum(self._recent(changes, now_s))
        if self.replicas is not None:
            return begun - self.replicas
        return int(begun * (1.0 - (self.percent or 0.0) / 100.0) + _ROUNDING)

    def _recent(self, changes: Sequence[Change], now_s: float) -> list[int]:
        """Return the changes within the period that ends now."""
        since_s = now_s - self.period_s + _ROUNDING
        return [change.replicas for change in changes if change.at_s > since_s]


class ScalingLimits(Description):
    """Limits on the change of the number of replicas in one direction."""

    policies: tuple[ScalingPolicy, ...]
    """Limits, such as `[{percent: 100, period: 15 s}]`. With none, replicas never change in this
    direction."""
    select: Literal["max", "min"] = "max"
    """Policy that counts if there are several. max: the one that allows the largest change. min:
    the one that allows the smallest change."""

    def most(self, current: int, changes: Sequence[Change], now_s: float) -> int:
        """Return the maximum number of replicas that the policies allow now, at least `current`."""
        allowed = [policy.most(current, changes, now_s) for policy in self.policies]
        choose = max if self.select == "max" else min
        return max(choose(allowed, default=current), current)

    def least(self, current: int, changes: Sequence[Change], now_s: float) -> int:
        """Return the minimum number of replicas that the policies allow now, at most `current`."""
        allowed = [policy.least(current, changes, now_s) for policy in self.policies]
        choose = min if self.select == "max" else max
        return min(choose(allowed, default=current), current)

    @property
    def longest_period_s(self) -> float:
        """Longest period of the policies [s]; 0 without policies."""
        return max((policy.period_s for policy in self.policies), default=0.0)
