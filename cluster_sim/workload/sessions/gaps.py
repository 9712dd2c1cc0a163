"""Times between an answer and the next request: how long tools run and people think."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.units import PositiveSeconds, Seconds

Sigma = Annotated[float, Field(ge=0.0)]


class FixedGap(Description):
    """Always the same."""

    distribution: Literal["fixed"] = "fixed"
    gap_s: Seconds

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """`count` gaps [s]."""
        return np.full(count, self.gap_s)


class LogNormalGap(Description):
    """Log-normal, cut at `max`: people."""

    distribution: Literal["lognormal"] = "lognormal"
    median_s: PositiveSeconds
    sigma: Sigma
    """Standard deviation of the logarithm."""
    max_s: PositiveSeconds | None = None
    """Longer ones are cut to this."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """`count` gaps [s]."""
        return _cut(self.median_s * np.exp(self.sigma * rng.standard_normal(count)), self.max_s)


class Span(Description):
    """Gaps from `low` to `high`, each decade as likely; or, with `mean`, a Pareto tail from `low`
    on.
    """

    weight: Annotated[float, Field(gt=0.0)]
    """Relative to the other spans' weights."""
    low_s: PositiveSeconds
    high_s: PositiveSeconds | None = None
    mean_s: PositiveSeconds | None = None
    """Of the tail, before `max` cuts it."""

    @model_validator(mode="after")
    def _has_one_end(self) -> Span:
        if (self.high_s is None) == (self.mean_s is None):
            raise ValueError("wanted either 'high', or 'mean' for a tail")
        if (self.high_s or self.mean_s or 0.0) <= self.low_s:
            raise ValueError(f"{'high' if self.mean_s is None else 'mean'} must be above low")
        return self

    def of(self, uniform: np.ndarray) -> np.ndarray:
        """The gaps [s] below which these shares lie."""
        if self.high_s is not None:
            gaps_s: np.ndarray = self.low_s * (self.high_s / self.low_s) ** uniform
            return gaps_s
        assert self.mean_s is not None
        exponent = self.mean_s / (
            self.mean_s - self.low_s
        )  # the mean of a Pareto tail is low·a / (a − 1)
        tail_s: np.ndarray = self.low_s * (1.0 - uniform) ** (-1.0 / exponent)
        return tail_s


class SpansGap(Description):
    """Spans by their weights, cut at `max`: tools, of which most take moments and some take
    minutes.
    """

    distribution: Literal["spans"] = "spans"
    spans: Annotated[tuple[Span, ...], Field(min_length=1)]
    max_s: PositiveSeconds | None = None
    """Longer ones are cut to this."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """`count` gaps [s]."""
        weights = np.array([span.weight for span in self.spans])
        which = np.searchsorted(
            np.cumsum(weights / weights.sum())[:-1], rng.random(count), side="right"
        )
        uniform = rng.random(count)
        drawn = np.empty(count)
        for place, span in enumerate(self.spans):
            mine = which == place
            drawn[mine] = span.of(uniform[mine])
        return _cut(drawn, self.max_s)


def _cut(gaps_s: np.ndarray, max_s: float | None) -> np.ndarray:
    return gaps_s if max_s is None else np.minimum(gaps_s, max_s)


def _from_time(came: Any) -> Any:
    return {"distribution": "fixed", "gap": came} if isinstance(came, str) else came


Gaps = Annotated[
    Annotated[FixedGap | LogNormalGap | SpansGap, Field(discriminator="distribution")],
    BeforeValidator(_from_time, json_schema_input_type=Any),
]
"""A bare time, such as `2 s`, is a gap that is always the same."""
