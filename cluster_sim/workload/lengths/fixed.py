"""One length for all requests."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cluster_sim.schema import Description
from cluster_sim.typing import Count


class Fixed(Description):
    """Number of tokens that is equal for every request."""

    distribution: Literal["fixed"] = "fixed"
    tokens: Count
    """Length of every request [tokens]."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` lengths [tokens]."""
        return np.full(count, self.tokens)

    @property
    def longest(self) -> int | None:
        """Maximum length that can be drawn [tokens]."""
        return self.tokens

    def mean(self) -> float:
        """Return the mean length [tokens]."""
        return float(self.tokens)
