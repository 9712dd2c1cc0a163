"""Constants that a device takes over from its predecessor where it has none of its own.

Starts, launches and host times stay as they are on the predecessor. Rates grow with what both
devices can do: rates of memory with the bandwidth of the memory, compute rates with the peak times
the share of it that large products reach, rates of collectives with the bandwidth of the links. So
a device that is better in all three is never slower than its predecessor because of an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from cluster_sim.hardware.expert_fit import ExpertFit
from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.hardware.kernel_fits import KernelFits
from cluster_sim.hardware.operating_point import scaled_by
from cluster_sim.hardware.precision import Precision

PRECISIONS: tuple[Precision, ...] = ("bf16", "fp8", "fp4")

Fit = TypeVar("Fit", bound=KernelFit)


class Gains(NamedTuple):
    """Rates of a device, relative to those of its predecessor."""

    memory: float
    """Ratio of the bandwidths of the memories."""
    links: float
    """Ratio of the bandwidths from device to device."""
    compute: Mapping[Precision, float]
    """Ratio of the compute rates that large products reach, by precision."""

    def kernels(self, fits: KernelFits) -> KernelFits:
        """Return the fits of the predecessor's kernels with the rates of the device."""
        return fits.model_copy(
            update={
                kind: {
                    name: self._scaled(fit, _computed_in(fit) or precision_of(name))
                    for name, fit in getattr(fits, kind).items()
                }
                for kind in KernelFits.model_fields
            }
        )

    def _scaled(self, fit: Fit, precision: Precision) -> Fit:
        rates = (name for name in type(fit).model_fields if name.endswith("_per_s"))
        return scaled_by(
            fit,
            {
                name: self.compute[precision] if name.endswith("_flop_per_s") else self.memory
                for name in rates
            },
        )


def _computed_in(fit: KernelFit) -> Precision | None:
    """Return the precision that a fit says it is computed in; None if it does not say so."""
    return fit.computed_in if isinstance(fit, ExpertFit) else None


def precision_of(kernel: str) -> Precision:
    """Return the precision in the name of a kernel's fit; bf16 if the name has none.

    >>> precision_of("fp8_vllm"), precision_of("latent_fp8"), precision_of("mamba2")
    ('fp8', 'fp8', 'bf16')
    """
    parts = kernel.split("_")
    return next((precision for precision in PRECISIONS if precision in parts), "bf16")
