"""Compute rates of a device, and arrays that multiply matrices."""

from __future__ import annotations

from cluster_sim.hardware.precision import Precision
from cluster_sim.schema import Description
from cluster_sim.typing import Count
from cluster_sim.units import FlopPerSecond


class Systolic(Description):
    """Arrays of multipliers that hold weights while tokens stream through.

    Small products leave parts of the arrays empty, see `physics.systolic`.
    """

    rows: Count
    """Number of inputs of a product over which one array sums."""
    columns: Count
    """Number of outputs of a product that one array computes."""
    arrays: Count = 1
    """Number of arrays that work in parallel. Together they reach the device's peak."""
    load_cycles: Count | None = None
    """Number of cycles to fill one array with weights. The filling is hidden behind the tokens of
    the previous weights. Default: one cycle per row."""


class Peak(Description):
    """Dense peak compute rate by precision. An omitted precision has no hardware support."""

    bf16_flop_per_s: FlopPerSecond
    """Dense peak compute rate in bf16 [FLOP/s]."""
    fp8_flop_per_s: FlopPerSecond | None = None
    """Dense peak compute rate in fp8 [FLOP/s]. Default: no hardware support."""
    fp4_flop_per_s: FlopPerSecond | None = None
    """Dense peak compute rate in fp4 [FLOP/s]. Default: no hardware support."""
    int8_flop_per_s: FlopPerSecond | None = None
    """Dense peak compute rate of 8-bit integers [FLOP/s]. A run warns of weights in int8 if it is
    below that of fp8, at which they are computed. Default: that of fp8."""

    def of(self, precision: Precision) -> tuple[Precision, float]:
        """Return the precision in which `precision` weights are multiplied, and its peak [FLOP/s].

        Weights of a precision without hardware support are widened to bf16.
        """
        rate = {
            "bf16": self.bf16_flop_per_s,
            "fp8": self.fp8_flop_per_s,
            "fp4": self.fp4_flop_per_s,
        }[precision]
        return (precision, rate) if rate is not None else ("bf16", self.bf16_flop_per_s)
