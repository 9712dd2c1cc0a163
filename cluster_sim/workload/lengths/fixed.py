"""Always the same length."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.schema import Description


class Fixed(Description):
    """`tokens`, always."""

    distribution: Literal["fixed"] = "fixed"
    tokens: Annotated[int, Field(gt=0)]

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """`count` lengths [tokens]."""
        return np.full(count, self.tokens)

    @property
    def longest(self) -> int | None:
        """The longest that can be drawn."""
        return self.tokens

    def mean(self) -> float:
        """Mean length."""
        return float(self.tokens)
