"""Share of an answer that is reasoning, which a user waits for and does not read."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, field_validator

from cluster_sim.schema import Description


class ReasoningShares(Description):
    """Share of an answer's tokens that is reasoning, as a piecewise-linear quantile function.

    Reasoning comes first, and at least one token follows it.
    """

    quantiles: dict[float, Annotated[float, Field(ge=0.0, le=1.0)]]
    """Share by quantile, such as {0: 0, 0.5: 0.76, 1: 1}; shares between two quantiles are
    interpolated linearly. The quantiles 0 and 1 are required."""

    @field_validator("quantiles")
    @classmethod
    def _ascend(cls, quantiles: dict[float, float]) -> dict[float, float]:
        at, shares = list(quantiles), list(quantiles.values())
        if at != sorted(at) or shares != sorted(shares) or at[:1] != [0.0] or at[-1:] != [1.0]:
            raise ValueError(
                "quantiles must ascend from 0 to 1, and their shares must not decrease"
            )
        return quantiles

    def tokens(self, rng: np.random.Generator, output_tokens: np.ndarray) -> np.ndarray:
        """Return the number of reasoning tokens per answer for these lengths [tokens]."""
        shares = np.interp(
            rng.random(len(output_tokens)), list(self.quantiles), list(self.quantiles.values())
        )
        tokens: np.ndarray = np.minimum(
            (shares * output_tokens).astype(np.int64), output_tokens - 1
        )
        return tokens


def _from_number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"quantiles": {0.0: value, 1.0: value}}
    return value


ReasoningShare = Annotated[
    ReasoningShares, BeforeValidator(_from_number, json_schema_input_type=float | ReasoningShares)
]
"""A bare number is the share of every answer."""
