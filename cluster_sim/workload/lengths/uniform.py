"""Any length of a range, each as often."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from cluster_sim.schema import Description


class Uniform(Description):
    """Whole numbers from `low` to `high`, both included."""

    distribution: Literal["uniform"] = "uniform"
    low: Annotated[int, Field(gt=0)]
    high: Annotated[int, Field(gt=0)]

    @model_validator(mode="after")
    def _is_a_range(self) -> Uniform:
        if self.high < self.low:
            raise ValueError(f"high of {self.high} is below low of {self.low}")
        return self

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """`count` lengths [tokens]."""
        return rng.integers(self.low, self.high, count, endpoint=True)

    @property
    def longest(self) -> int | None:
        """The longest that can be drawn."""
        return self.high

    def mean(self) -> float:
        """Mean length."""
        return (self.low + self.high) / 2
