"""Constants of matrix products, fitted to measured kernels and tested on other shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.calibration.constants import Bounds, Constants, LogFit, cross_validated, rounded
from cluster_sim.calibration.errors import Errors
from cluster_sim.hardware.kernel_fits import GemmFit
from cluster_sim.physics.gemm import TileLayout, gemms_s, laid_out
from cluster_sim.typing import Array

ROWS = 4000
"""Maximum number of kernels per fit; they are drawn at random.

More kernels change no constant notably, and take longer.
"""
TOLERANCE = 0.02
"""Relative error above which a kernel counts linearly instead of by its square."""

_ROUGH_ROWS, _ROUGH_STARTS, _STARTS = 400, 8, 2
"""Number of kernels and starts of a rough fit, and number of its best results that continue with
all kernels."""
_SPREAD = 0.7
"""Standard deviation of the starts, in the logarithm of each constant."""


@dataclass(frozen=True, slots=True)
class Products:
    """Measured products, one per row: m tokens, n outputs, k inputs."""

    m: Array
    n: Array
    k: Array
    seconds: Array

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> Products:
        """Return some of the rows, by index or by mask."""
        return Products(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def laid_out(self, silicon: Silicon) -> TileLayout:
        """Return the possible layouts of the products as tiles."""
        return laid_out(self.m, self.n, self.k, silicon.element_bytes, silicon.processors)


class Silicon(NamedTuple):
    """Device of the measured products according to its data sheet; no fit exceeds a peak."""

    element_bytes: float
    """Size of one weight, scales included [B]."""
    peak_flop_per_s: float
    """Peak compute rate [FLOP/s]."""
    peak_bandwidth: float
    """Peak memory bandwidth [B/s]."""
    processors: int
    """Number of streaming multiprocessors."""


def fit_gemm(
    products: Products, silicon: Silicon, seed: int = 0, like: GemmFit | None = None
) -> GemmFit:
    """Return the constants that fit `products`, rounded to four digits; about 5 s on one core.

    Parameters
    ----------
    products
        Measured products.
    silicon
        Device of the measurements.
    seed
        Seed of the starts and of the sample; the same seed gives the same constants.
    like
        Kernels of a similar device, with rates scaled to this one. They are used where the products
        do not determine a constant.

    Raises
    ------
    ValueError
        There are fewer products than constants, or times that are not positive.
    """
    bounds = _bounds(silicon)
    if len(products) < len(bounds):
        raise ValueError(f"expected at least {len(bounds)} kernels to fit as many constants")
    if not (np.isfinite(products.seconds) & (products.seconds > 0.0)).all():
        raise ValueError("expected times above 0 s")
    rng = np.random.default_rng(seed)
    drawn = products.take(rng.permutation(len(products))[:ROWS])
    few = drawn.take(slice(_ROUGH_ROWS))
    alike = None if like is None else {name: float(getattr(like, name)) for name in bounds}
    start = np.log(
        [
            bound.start if alike is None else max(alike[name], bound.low)
            for name, bound in bounds.items()
        ]
    )
    further = (start + rng.normal(0.0, _SPREAD, len(start)) for _ in range(_ROUGH_STARTS - 1))
    starts = [dict(zip(bounds, np.exp(logs).tolist(), strict=True)) for logs in (start, *further)]

    def best_of(sample: Products, starts: list[Constants], steps: int) -> list[Constants]:
        layout = sample.laid_out(silicon)
        fit = LogFit(
            bounds,
            lambda constants: gemms_s(_made(constants, silicon), layout),
            sample.seconds,
            TOLERANCE,
            alike,
        )
        ends = [fit.solved(start, steps) for start in starts]
        return [constants for _, constants in sorted(ends, key=lambda end: end[0])]

    rough = best_of(few, starts, steps=25)
    best = best_of(drawn, rough[:_STARTS], steps=100)[0]
    return _made(rounded(bounds, best), silicon)


def errors(fit: GemmFit, products: Products) -> Errors:
    """Return the errors of a fit on products."""
    return Errors.of(_predicted_s(fit, products), products.seconds)


def cross_validate(products: Products, silicon: Silicon, like: GemmFit | None = None) -> Errors:
    """Return the errors on weight matrices (n, k) outside of the fit.

    The parameters are those of `fit_gemm`.
    """

    def refit(seen: Array, held: Array) -> Array:
        return _predicted_s(fit_gemm(products.take(seen), silicon, like=like), products.take(held))

    return cross_validated(np.stack([products.n, products.k]), products.seconds, refit)


def naive_s(products: Products, silicon: Silicon) -> Array:
    """Return the time of each product at the device's peaks, for comparison [s]."""
    moved = silicon.element_bytes * products.n * products.k + 2.0 * products.m * (
        products.n + products.k
    )
    flop = 2.0 * products.m * products.n * products.k
    predicted_s: Array = np.maximum(moved / silicon.peak_bandwidth, flop / silicon.peak_flop_per_s)
    return predicted_s


def _predicted_s(fit: GemmFit, products: Products) -> Array:
    return gemms_s(
        fit, laid_out(products.m, products.n, products.k, fit.element_bytes, fit.processors)
    )


def _bounds(silicon: Silicon) -> dict[str, Bounds]:
    """Return the range of each constant, by the name of its field."""
    flop_per_s, bandwidth = silicon.peak_flop_per_s, silicon.peak_bandwidth
    return {
        "launch_s": Bounds(2e-6, 1e-7, 1e-3),
        "bandwidth_bytes_per_s": Bounds(0.85 * bandwidth, 0.05 * bandwidth, bandwidth),
        "compute_flop_per_s": Bounds(0.7 * flop_per_s, 0.03 * flop_per_s, flop_per_s),
        "overlap": Bounds(2.0, 1.0, 12.0),
        "tile_overhead": Bounds(1e3, 1.0, 1e6, vanishes=True),
        "epilogue_s": Bounds(1e-11, 1e-14, 1e-8, vanishes=True),
        "split_s": Bounds(1e-6, 1e-9, 1e-4),
        "partial_bandwidth_bytes_per_s": Bounds(1e12, 1e9, 1e15),
        "slowdown": Bounds(0.15, 1e-3, 1.0, vanishes=True),
        "row_s": Bounds(1e-10, 1e-13, 1e-7, vanishes=True),
        "activation_s": Bounds(1e-13, 1e-16, 1e-10, vanishes=True),
    }


def _made(constants: dict[str, Any], silicon: Silicon) -> GemmFit:
    return GemmFit.model_construct(
        **constants, element_bytes=silicon.element_bytes, processors=silicon.processors
    )
