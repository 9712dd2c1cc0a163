"""Options that select the measured kernels of a fit."""

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
"""Precision and bytes per weight, by the names in the tables."""
_FEWEST = 100
"""Minimum number of kernels of one kind: five folds of a dozen constants need as many."""
_FEWEST_ALIKE = 20
"""Minimum number of kernels of one kind with the constants of a similar device."""


@dataclass(frozen=True)
class FitOptions:
    """Options of a fit, which select kernels of a table."""

    processors: int
    """Number of streaming multiprocessors of the device."""
    engine: str = ""
    """Engine of these kernels; its fits get a separate name, such as `fp8_vllm`."""
    like: Device | None = None
    """Similar device, whose constants are used where the kernels do not determine a constant.
    Twenty kernels of a kind are enough then, instead of a hundred."""
    widest_fp8: int = 10**6
    """Maximum width of heads with an 8-bit cache: for wider heads, an engine may use kernels that
    are several times as slow."""

    @property
    def fewest(self) -> int:
        """Minimum number of kernels of one kind for a fit."""
        return _FEWEST if self.like is None else _FEWEST_ALIKE

    def key(self, precision: str) -> str:
        """Return the name of the fit of a precision."""
        return fit_name(precision, self.engine)
