"""Lengths of several kinds of requests in one stream: short commands beside long documents."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from cluster_sim.schema import Description
from cluster_sim.workload.lengths.bare import from_integer
from cluster_sim.workload.lengths.empirical import Empirical
from cluster_sim.workload.lengths.fixed import Fixed
from cluster_sim.workload.lengths.lognormal import LogNormal
from cluster_sim.workload.lengths.uniform import Uniform
from cluster_sim.workload.lengths.zipf import Zipf

Pure = Annotated[
    Annotated[Fixed | Uniform | LogNormal | Zipf | Empirical, Field(discriminator="distribution")],
    BeforeValidator(from_integer, json_schema_input_type=Any),
]


class Part(Description):
    """One kind, and how common it is."""

    weight: Annotated[float, Field(gt=0.0)]
    """Relative to the other parts' weights."""
    lengths: Pure


class Mixture(Description):
    """Each length is drawn from one of the parts, picked by their weights; cut at `max`."""

    distribution: Literal["mixture"] = "mixture"
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    max: Annotated[int, Field(gt=0)] | None = None
    """Longer ones are cut to this."""

    @cached_property
    def _weights(self) -> np.ndarray:
        weights: np.ndarray = np.array([part.weight for part in self.parts])
        return weights / np.sum(weights)  # type: ignore[no-any-return]

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """`count` lengths [tokens]."""
        which = rng.choice(len(self.parts), count, p=self._weights)
        drawn = np.empty(count, dtype=np.int64)
        for place, part in enumerate(self.parts):
            mine = which == place
            drawn[mine] = part.lengths.draw(rng, int(np.sum(mine)))
        return drawn if self.max is None else np.minimum(drawn, self.max)

    @property
    def longest(self) -> int | None:
        """The longest that can be drawn; None where nothing cuts them."""
        longest = [part.lengths.longest for part in self.parts]
        known = [length for length in longest if length is not None]
        if len(known) < len(longest):
            return self.max
        return min(max(known), self.max) if self.max is not None else max(known)

    def mean(self) -> float:
        """Mean length, the cut at `max` of the whole left out."""
        return float(
            sum(
                weight * part.lengths.mean()
                for weight, part in zip(self._weights, self.parts, strict=True)
            )
        )
