"""Lengths whose frequency falls as a power of the length.

The minimum length is the most frequent one, and there is no typical length.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from cluster_sim.limits import LENGTH
from cluster_sim.schema import Description
from cluster_sim.typing import Count


class Zipf(Description):
    """Whole numbers n from `min` to `max` with probability proportional to n^-`exponent`.

    BurstGPT's generator draws its lengths from this distribution with an exponent of 1.1 (Wang et
    al., KDD 2025).
    """

    distribution: Literal["zipf"] = "zipf"
    exponent: Annotated[float, Field(ge=0.0, le=20.0)]
    """Exponent with which the frequency falls with the length."""
    min: Count = 1
    """Minimum length [tokens]."""
    max: Annotated[int, Field(gt=0), LENGTH]
    """Maximum length [tokens]."""

    @model_validator(mode="after")
    def _ascends(self) -> Zipf:
        if self.max < self.min:
            raise ValueError(f"got max {self.max} and min {self.min}; expected max at least min")
        return self

    @cached_property
    def _below(self) -> np.ndarray:
        """Cumulative probability of each length."""
        weights = np.arange(self.min, self.max + 1, dtype=float) ** -self.exponent
        below: np.ndarray = np.cumsum(weights) / np.sum(weights)
        below[-1] = 1.0
        return below

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` lengths [tokens]."""
        return self.min + np.searchsorted(self._below, rng.random(count), side="right")

    @property
    def longest(self) -> int | None:
        """Maximum length that can be drawn [tokens]."""
        return self.max

    def mean(self) -> float:
        """Return the mean length [tokens]."""
        return float(np.dot(np.arange(self.min, self.max + 1), np.diff(self._below, prepend=0.0)))
