"""Calibrated: one fit of a device's kernels, with its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cluster_sim.calibration.errors import Errors
from cluster_sim.hardware.collective_fits import CollectiveFits
from cluster_sim.hardware.kernel_fits import KernelFits


class DeviceFits(NamedTuple):
    """Fits of some kinds of kernels of a device."""

    kernels: KernelFits = KernelFits()
    collectives: CollectiveFits = CollectiveFits()


@dataclass(frozen=True)
class Calibrated:
    """Fit of one kind of kernel, with its errors by cross-validation over shapes."""

    kind: str
    rows: int
    """Number of kernels that it was fitted to."""
    errors: Errors
    naive: Errors
    """Errors of a roofline: peak bandwidth and peak FLOP/s, whichever is slower; of a collective,
    latency and bandwidth of the links."""
    fits: DeviceFits
    fitted: Errors | None = None
    """Errors on the kernels that the constants were fitted to; None where they are not counted."""
