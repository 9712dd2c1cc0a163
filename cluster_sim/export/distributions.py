"""Distributions of a metric, of single values or of pooled values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cluster_sim.export.percentiles import linear
from cluster_sim.typing import Array


class Distribution(Protocol):
    """Statistics of a metric that clients report."""

    @property
    def count(self) -> int:
        """Number of values."""
        ...

    def mean(self) -> float:
        """Return the mean of the values."""
        ...

    def std(self) -> float:
        """Return the population standard deviation."""
        ...

    def percentiles(self, percents: list[float]) -> list[float]:
        """Return percentiles with linear interpolation."""
        ...


@dataclass(frozen=True)
class Values:
    """Distribution of single values."""

    values: Array
    """Values, in any order."""

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.values)

    def mean(self) -> float:
        """Return the mean of the values."""
        return float(np.mean(self.values))

    def std(self) -> float:
        """Return the population standard deviation."""
        return float(np.std(self.values))

    def percentiles(self, percents: list[float]) -> list[float]:
        """Return percentiles with linear interpolation."""
        return linear(self.values, percents)
