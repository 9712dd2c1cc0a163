"""Lengths of a range, all equally likely."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import model_validator

from cluster_sim.schema import Description
from cluster_sim.typing import Count


class Uniform(Description):
    """Whole numbers from `low` to `high`, both included, all equally likely."""

    distribution: Literal["uniform"] = "uniform"
    low: Count
    """Minimum length [tokens]."""
    high: Count
    """Maximum length [tokens]."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Uniform:
        if self.high < self.low:
            raise ValueError(f"got high {self.high} and low {self.low}; expected high at least low")
        return self

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` lengths [tokens]."""
        return rng.integers(self.low, self.high, count, endpoint=True)

    @property
    def longest(self) -> int | None:
        """Maximum length that can be drawn [tokens]."""
        return self.high

    def mean(self) -> float:
        """Return the mean length [tokens]."""
        return (self.low + self.high) / 2
