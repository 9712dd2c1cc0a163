"""Measured lengths: a file of lengths, or their quantiles."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.schema import Description, find, read_text
from cluster_sim.typing import Count

_MOST_DIGITS = 9


class Empirical(Description):
    """Lengths from a file, all equally likely, or from a piecewise linear quantile function."""

    distribution: Literal["empirical"] = "empirical"
    path: str | None = None
    """Path of a file with one length per line, or of a CSV file with lengths in its first column
    [tokens]. A first line that is not a number is a heading."""
    quantiles: dict[float, Annotated[float, Field(ge=1.0)]] | None = None
    """Length by quantile, such as {0: 3, 0.5: 1469, 0.99: 7436, 1: 7437} [tokens]; lengths between
    two quantiles are interpolated linearly. The quantiles 0 and 1 are required."""
    max: Count | None = None
    """Maximum length; longer lengths are cut to it, as services do [tokens]. Default: no cut."""

    @field_validator("path", mode="before")
    @classmethod
    def _find(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        path = find(value)
        if path is None:
            raise ValueError(f"no file '{value}'")
        return str(path)

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Empirical:
        if (self.path is None) == (self.quantiles is None):
            raise ValueError("expected exactly one of 'path' and 'quantiles'")
        if self.quantiles is not None:
            at, lengths = list(self.quantiles), list(self.quantiles.values())
            if (
                not at
                or at != sorted(at)
                or lengths != sorted(lengths)
                or at[0] != 0.0
                or at[-1] != 1.0
            ):
                raise ValueError(
                    "quantiles must ascend from 0 to 1, and their lengths must not decrease"
                )
        else:
            # A file that cannot be read is a fault of the scenario, not of the run.
            _ = self._values
        return self

    @cached_property
    def _values(self) -> np.ndarray:
        assert self.path is not None
        values: list[int] = []
        for number, line in enumerate(read_text(Path(self.path)).splitlines(), start=1):
            text = line.split(",")[0].strip()
            if not text or (number == 1 and not text.lstrip("+-").isdigit()):
                continue
            if not text.isdecimal() or len(text) > _MOST_DIGITS or int(text) < 1:
                raise ScenarioError.at(
                    f"{self.path}:{number}",
                    f"got {shown(text)}; expected a whole number of tokens from 1 on",
                )
            values.append(int(text))
        if not values:
            raise ScenarioError.at(self.path, "the file has no lengths; write one number per line")
        return np.array(values, dtype=np.int64)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` lengths [tokens]."""
        if self.quantiles is None:
            drawn = rng.choice(self._values, count)
        else:
            at, lengths = self._line
            drawn = np.maximum(np.rint(np.interp(rng.random(count), at, lengths)), 1).astype(
                np.int64
            )
        return drawn if self.max is None else np.minimum(drawn, self.max)

    @property
    def longest(self) -> int | None:
        """Maximum length that can be drawn [tokens]."""
        longest = int(self._values.max()) if self.quantiles is None else round(self.quantiles[1.0])
        return longest if self.max is None else min(longest, self.max)

    def mean(self) -> float:
        """Return the mean length [tokens]."""
        if self.quantiles is None:
            return float(
                np.mean(self._values if self.max is None else np.minimum(self._values, self.max))
            )
        at, lengths = self._line
        if self.max is not None and lengths[0] < self.max < lengths[-1]:
            # The quantile function has a corner at the cut.
            corner = float(np.interp(self.max, lengths, at))
            place = int(np.searchsorted(at, corner))
            at, lengths = np.insert(at, place, corner), np.insert(lengths, place, self.max)
        return float(
            np.trapezoid(lengths if self.max is None else np.minimum(lengths, self.max), at)
        )

    @cached_property
    def _line(self) -> tuple[np.ndarray, np.ndarray]:
        """Points of the quantile function: quantiles, and lengths [tokens]."""
        assert self.quantiles is not None
        return np.array(list(self.quantiles)), np.array(list(self.quantiles.values()))
