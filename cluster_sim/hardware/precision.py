"""Number formats of weights and KV cache, and figures that differ by format."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.schema import Description

Precision = Literal["bf16", "fp8", "fp4"]


Share = Annotated[float, Field(gt=0.0, le=1.0)]


class ByPrecision(Description):
    """A number for each precision; fp8 and fp4 fall back to the wider one where they are left out."""

    bf16: Annotated[float, Field(gt=0.0)]
    fp8: Annotated[float, Field(gt=0.0)] | None = None
    fp4: Annotated[float, Field(gt=0.0)] | None = None

    def of(self, precision: Precision) -> float:
        """The number for `precision`."""
        return widened(precision, self.bf16, self.fp8, self.fp4)


def widened(precision: Precision, bf16: float, fp8: float | None, fp4: float | None) -> float:
    """That of `precision`, or of the next wider one that is given."""
    fp8 = bf16 if fp8 is None else fp8
    return {"bf16": bf16, "fp8": fp8, "fp4": fp8 if fp4 is None else fp4}[precision]
