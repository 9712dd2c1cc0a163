"""Formats of quantised weights, and the modules of a checkpoint in each format.

A 4-bit weight with a 16-bit scale per group of g weights takes 4 + 16 / g bits. A zero point adds
its bits per group.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cluster_sim.errors import shown
from cluster_sim.hardware.precision import Precision


class Format(NamedTuple):
    """Format of quantised weights."""

    name: str
    native: Precision
    fp4_format: str = "nvfp4"
    bits: float | None = None
    """Number of bits per weight, scales included; None for the usual number of the format."""
    fp8_format: str = "fp8"

    @property
    def stored_bits(self) -> float:
        """Number of bits per weight, scales included."""
        usual = {"nvfp4": 4.5, "mxfp4": 4.25, "int4": 4.125}
        return self.bits or (usual[self.fp4_format] if self.native == "fp4" else 8.0)


class FormatGroup(NamedTuple):
    """Modules in one format."""

    format: Format
    targets: tuple[str, ...] = ()
    """Patterns of the modules; empty for all products with weights."""


Groups = list[FormatGroup]
"""Formats of a checkpoint. The first group that matches a module gives its format."""


BF16 = Format("bf16", "bf16", bits=16.0)
FP8 = Format("fp8", "fp8")
FP8_BLOCK = Format("fp8", "fp8", fp8_format="fp8_block")
"""8-bit floats with a scale per block of 128 by 128 weights."""
NVFP4 = Format("nvfp4", "fp4")
MXFP4 = Format("mxfp4", "fp4", "mxfp4")
MXFP8 = Format("mxfp8", "fp8", bits=8.25)


def integers(bits: Any, group: Any, zero_bits: float) -> Format:
    """Return the format of 4-bit or 8-bit integers with a 16-bit scale per group.

    `zero_bits` is the number of bits of the zero point per group.
    """
    if bits not in (4, 8) or isinstance(bits, bool):
        raise ValueError(f"got weights of {shown(bits)} bits; expected 4 or 8")
    if group is not None and (not isinstance(group, int) or isinstance(group, bool) or group == 0):
        raise ValueError(f"group_size: got {shown(group)}; expected a whole number")
    # without groups, or with -1, there is one scale per column
    per_group = (16.0 + zero_bits) / group if group is not None and group > 0 else 0.0
    if bits == 8:
        bits_each = 8.0 + per_group if per_group else None
        return Format("int8", "fp8", bits=bits_each, fp8_format="int8")
    return Format("int4", "fp4", "int4", 4.0 + per_group)
