"""Number formats of weights and KV cache, and figures that differ by format."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.schema import Description

Precision = Literal["bf16", "fp8", "fp4"]
"""A number format of weights or of the KV cache."""


class ByPrecision(Description):
    """One number per precision. fp8 and fp4 use the number of the next wider precision by default."""

    bf16: Annotated[float, Field(gt=0.0)]
    """Number for bf16."""
    fp8: Annotated[float, Field(gt=0.0)] | None = None
    """Number for fp8. Default: the number for bf16."""
    fp4: Annotated[float, Field(gt=0.0)] | None = None
    """Number for fp4. Default: the number for fp8."""

    def of(self, precision: Precision) -> float:
        """Return the number for `precision`."""
        return given_or_wider(precision, self.bf16, self.fp8, self.fp4)


def given_or_wider(
    precision: Precision, bf16: float, fp8: float | None, fp4: float | None
) -> float:
    """Return the number for `precision`, or the number for the next wider precision that is given.

    >>> given_or_wider("fp4", 3.0, 2.0, None), given_or_wider("fp4", 3.0, None, None)
    (2.0, 3.0)
    """
    fp8 = bf16 if fp8 is None else fp8
    return {"bf16": bf16, "fp8": fp8, "fp4": fp8 if fp4 is None else fp4}[precision]
