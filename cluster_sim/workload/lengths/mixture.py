"""Lengths of several kinds of requests in one stream, such as commands and long documents."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from cluster_sim.schema import Description
from cluster_sim.typing import Count
from cluster_sim.workload.lengths.bare import from_integer
from cluster_sim.workload.lengths.empirical import Empirical
from cluster_sim.workload.lengths.fixed import Fixed
from cluster_sim.workload.lengths.lognormal import LogNormal
from cluster_sim.workload.lengths.uniform import Uniform
from cluster_sim.workload.lengths.zipf import Zipf

_Pure = Annotated[
    Fixed | Uniform | LogNormal | Zipf | Empirical, Field(discriminator="distribution")
]
Pure = Annotated[_Pure, BeforeValidator(from_integer, json_schema_input_type=Count | _Pure)]


class MixturePart(Description):
    """One kind of request, with its weight."""

    weight: Annotated[float, Field(gt=0.0)]
    """Weight of this kind, relative to the weights of the other parts."""
    lengths: Pure
    """Lengths of this kind of request [tokens]."""


class Mixture(Description):
    """Lengths that are each drawn from one part, chosen by weight, and cut at `max`."""

    distribution: Literal["mixture"] = "mixture"
    parts: Annotated[tuple[MixturePart, ...], Field(min_length=1)]
    """Kinds of requests, with weights and lengths."""
    max: Count | None = None
    """Maximum length; longer lengths are cut to it [tokens]. Default: no cut."""

    @cached_property
    def _weights(self) -> np.ndarray:
        weights: np.ndarray = np.array([part.weight for part in self.parts])
        return weights / np.sum(weights)  # type: ignore[no-any-return]

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` lengths [tokens]."""
        which = rng.choice(len(self.parts), count, p=self._weights)
        drawn = np.empty(count, dtype=np.int64)
        for place, part in enumerate(self.parts):
            of_part = which == place
            drawn[of_part] = part.lengths.draw(rng, int(np.sum(of_part)))
        return drawn if self.max is None else np.minimum(drawn, self.max)

    @property
    def longest(self) -> int | None:
        """Maximum length that can be drawn [tokens]; None without a cut."""
        longest = [part.lengths.longest for part in self.parts]
        known = [length for length in longest if length is not None]
        if len(known) < len(longest):
            return self.max
        return min(max(known), self.max) if self.max is not None else max(known)

    def mean(self) -> float:
        """Return the mean length [tokens], without the cut at the mixture's own `max`."""
        return float(
            sum(
                weight * part.lengths.mean()
                for weight, part in zip(self._weights, self.parts, strict=True)
            )
        )
