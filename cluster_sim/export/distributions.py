"""Values of a metric, written out one by one or pooled: what clients tell of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cluster_sim.export.percentiles import linear
from cluster_sim.typing import Array


class Distribution(Protocol):
    """What clients tell of the values of a metric."""

    @property
    def count(self) -> int:
        """Number of values."""
        ...

    def mean(self) -> float:
        """Return the mean."""
        ...

    def std(self) -> float:
        """Return the population standard deviation."""
        ...

    def percentiles(self, percents: list[float]) -> list[float]:
        """Return linear percentiles."""
        ...


@dataclass(frozen=True)
class Values:
    """Values that are written out one by one."""

    values: Array
    """The values."""

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.values)

    def mean(self) -> float:
        """Return the mean."""
        return float(np.mean(self.values))

    def std(self) -> float:
        """Return the population standard deviation."""
        return float(np.std(self.values))

    def percentiles(self, percents: list[float]) -> list[float]:
        """Return linear percentiles."""
        return linear(self.values, percents)
