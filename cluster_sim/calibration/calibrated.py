"""Calibrated: fit of one kind of a device's kernels, with its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cluster_sim.calibration.errors import Errors
from cluster_sim.hardware.collective_fits import CollectiveFits
from cluster_sim.hardware.exchange_fits import ExchangeFits
from cluster_sim.hardware.kernel_fits import KernelFits


class DeviceFits(NamedTuple):
    """Fits of several kinds of kernels of a device."""

    kernels: KernelFits = KernelFits()
    collectives: CollectiveFits = CollectiveFits()
    exchanges: ExchangeFits = ExchangeFits()


@dataclass(frozen=True)
class Calibrated:
    """Fit of one kind of kernel, with its errors by cross-validation over shapes."""

    kind: str
    rows: int
    """Number of kernels in the fit."""
    errors: Errors
    naive: Errors
    """Errors of a roofline: the slower one of peak bandwidth and peak FLOP/s; for a collective,
    latency and bandwidth of the links."""
    fits: DeviceFits
    fitted: Errors | None = None
    """Errors on the kernels of the fit; None if they are not computed."""
