"""Gaps between an answer and the next request, during which tools run and users think."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.typing import Sigma
from cluster_sim.units import PositiveSeconds, Seconds


class FixedGap(Description):
    """A constant gap."""

    distribution: Literal["fixed"] = "fixed"
    gap_s: Seconds
    """Length of every gap [s]."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` gaps [s]."""
        return np.full(count, self.gap_s)


class LogNormalGap(Description):
    """Log-normal gaps, cut at `max`, such as the think times of users."""

    distribution: Literal["lognormal"] = "lognormal"
    median_s: PositiveSeconds
    """Median gap [s]."""
    sigma: Sigma
    """Standard deviation of the logarithm of a gap."""
    max_s: PositiveSeconds | None = None
    """Maximum gap; longer gaps are cut to it [s]. Default: no cut."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` gaps [s]."""
        return _cut(self.median_s * np.exp(self.sigma * rng.standard_normal(count)), self.max_s)


class Span(Description):
    """Range of gaps: log-uniform from `low` to `high`, or a Pareto tail from `low` with `mean`."""

    weight: Annotated[float, Field(gt=0.0)]
    """Weight of this span, relative to the weights of the other spans."""
    low_s: PositiveSeconds
    """Minimum gap [s]."""
    high_s: PositiveSeconds | None = None
    """Maximum gap [s]. Default: the span is a Pareto tail, see `mean`."""
    mean_s: PositiveSeconds | None = None
    """Mean gap of a Pareto tail, before the cut at `max` [s]. Default: the span ends at `high`."""

    @model_validator(mode="after")
    def _has_one_end(self) -> Span:
        if (self.high_s is None) == (self.mean_s is None):
            raise ValueError("expected exactly one of 'high' and, for a Pareto tail, 'mean'")
        if (self.high_s or self.mean_s or 0.0) <= self.low_s:
            raise ValueError(f"expected '{'high' if self.mean_s is None else 'mean'}' above 'low'")
        return self

    def of(self, uniform: np.ndarray) -> np.ndarray:
        """Return the quantiles of the gaps [s] at these shares from 0 to 1."""
        if self.high_s is not None:
            gaps_s: np.ndarray = self.low_s * (self.high_s / self.low_s) ** uniform
            return gaps_s
        assert self.mean_s is not None
        # The mean of a Pareto tail is low·a / (a − 1).
        exponent = self.mean_s / (self.mean_s - self.low_s)
        tail_s: np.ndarray = self.low_s * (1.0 - uniform) ** (-1.0 / exponent)
        return tail_s


class SpansGap(Description):
    """Gaps drawn from weighted spans and cut at `max`, such as tools: most are fast, some slow."""

    distribution: Literal["spans"] = "spans"
    spans: Annotated[tuple[Span, ...], Field(min_length=1)]
    """Spans of gaps, with weights."""
    max_s: PositiveSeconds | None = None
    """Maximum gap; longer gaps are cut to it [s]. Default: no cut."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` gaps [s]."""
        weights = np.array([span.weight for span in self.spans])
        which = np.searchsorted(
            np.cumsum(weights / weights.sum())[:-1], rng.random(count), side="right"
        )
        uniform = rng.random(count)
        drawn = np.empty(count)
        for place, span in enumerate(self.spans):
            of_span = which == place
            drawn[of_span] = span.of(uniform[of_span])
        return _cut(drawn, self.max_s)


def _cut(gaps_s: np.ndarray, max_s: float | None) -> np.ndarray:
    return gaps_s if max_s is None else np.minimum(gaps_s, max_s)


def _from_time(value: Any) -> Any:
    return {"distribution": "fixed", "gap": value} if isinstance(value, str) else value


_Gaps = Annotated[FixedGap | LogNormalGap | SpansGap, Field(discriminator="distribution")]
Gaps = Annotated[_Gaps, BeforeValidator(_from_time, json_schema_input_type=Seconds | _Gaps)]
"""Gaps between an answer and the next request; a bare time, such as `2 s`, is a constant gap."""
