"""Constants of a similar device, which are used where few kernels do not determine a constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from cluster_sim.calibration.fit_options import DTYPES, FitOptions
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.hardware.kernel_fits import GemmFit, KernelFits
from cluster_sim.hardware.operating_point import scaled_by
from cluster_sim.hardware.precision import Precision

Fit = TypeVar("Fit", bound=KernelFit)


def alike_gemm(choice: FitOptions, device: Device, precision: Precision) -> GemmFit | None:
    """Return the similar device's fit of products, with rates scaled to this device."""
    nearest = _nearest(choice, precision, lambda fits: fits.gemm)
    if nearest is None or choice.like is None:
        return None
    name, fit = nearest
    fitted = next(own for own, _ in DTYPES.values() if name.startswith(own))
    compute = device.peak.of(precision)[1] / choice.like.peak.of(fitted)[1]
    return _scaled(fit, choice.like, device, compute)


def alike_attention(
    choice: FitOptions,
    device: Device,
    precision: Precision,
    of: Callable[[KernelFits], Mapping[str, Fit]],
) -> Fit | None:
    """Return the similar device's fit of attention, with rates scaled to this device."""
    nearest = _nearest(choice, precision, of)
    if nearest is None or choice.like is None:
        return None
    compute = device.peak.bf16_flop_per_s / choice.like.peak.bf16_flop_per_s
    return _scaled(nearest[1], choice.like, device, compute)


def _nearest(
    choice: FitOptions, precision: Precision, of: Callable[[KernelFits], Mapping[str, Fit]]
) -> tuple[str, Fit] | None:
    """Return the name and the fit of the similar device that are nearest to the requested fit.

    If it has no fit for the engine, that of another engine is used. If it has no fit for the
    precision, that of another precision is used.
    """
    fits = of(choice.like.kernels) if choice.like and choice.like.kernels else {}
    if not fits:
        return None
    name = min(
        fits,
        key=lambda name: (
            name != choice.key(precision),
            name != precision,
            not name.startswith(precision),
        ),
    )
    return name, fits[name]


def _scaled(fit: Fit, there: Device, here: Device, compute: float) -> Fit:
    """Return a fit with rates scaled between devices; compute rates are scaled by `compute`."""
    memory = here.memory.bandwidth_bytes_per_s / there.memory.bandwidth_bytes_per_s
    scales = {
        "bandwidth_bytes_per_s": memory,
        "tile_bandwidth_bytes_per_s": memory,
        "compute_flop_per_s": compute,
    }
    return scaled_by(fit, scales)
