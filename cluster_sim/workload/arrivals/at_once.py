"""Everything queued at time zero: offline work."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.schema import Description


class AtOnce(Description):
    """All requests are there from the start; what counts is how long until the last is done."""

    process: Literal["at_once"] = "at_once"
    requests: Annotated[int, Field(gt=0)]

    def pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Time zero, many at a time, again and again."""
        return repeat(np.zeros(4096))

    def times(self, rng: np.random.Generator) -> Iterator[float]:
        """Time zero, again and again."""
        return repeat(0.0)
