"""Choice of the measured kernels that are fitted."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import fit_name
from cluster_sim.hardware.precision import Precision

DTYPES: dict[str, tuple[Precision, float]] = {
    "bfloat16": ("bf16", 2.0),
    "bf16": ("bf16", 2.0),
    "fp8": ("fp8", 1.0),
    "nvfp4": ("fp4", 0.5625),
    "fp4": ("fp4", 0.5625),
}
"""Precision and bytes per weight by the names of the tables."""
_FEWEST = 100
"""Number of kernels of one kind for five folds of a dozen constants."""
_FEWEST_ALIKE = 20
"""Number of kernels of one kind with the constants of a similar device to lean on."""


@dataclass(frozen=True)
class FitOptions:
    """Choice of the kernels of a table that are fitted, and how."""

    processors: int
    """Number of streaming multiprocessors of the device."""
    engine: str = ""
    """Engine whose kernels these are; its fits are kept apart, as `fp8_vllm`."""
    like: Device | None = None
    """Similar device, whose constants hold where few kernels do not tell: twenty of a kind suffice
    then, not a hundred."""
    widest_fp8: int = 10**6
    """Widest heads over an 8-bit cache that count: beyond, an engine may fall back to kernels
    several times as slow."""

    @property
    def fewest(self) -> int:
        """Number of kernels of one kind that a fit needs."""
        return _FEWEST if self.like is None else _FEWEST_ALIKE

    def key(self, precision: str) -> str:
        """Return the name under which the fit of a precision is kept."""
        return fit_name(precision, self.engine)
