"""The constants of matrix products: from measured kernels, and how far they carry to shapes that
the fit has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cluster_sim.calibration.constants import Array, Bounds, Found, cross_validated, rounded, solved
from cluster_sim.calibration.errors import Errors
from cluster_sim.hardware.kernel_fits import GemmFit
from cluster_sim.physics.gemm import TileLayout, gemms_s, laid_out

ROWS = 4000
"""Kernels that one fit takes at most, drawn at random: more change no constant by what matters, and
take longer."""
TOLERANCE = 0.02

_ROUGH_ROWS, _ROUGH_STARTS, _STARTS = (
    400,
    8,
    2,
)  # starts that are tried on few rows, and how many of them go on
_SPREAD = 0.7  # of the starts, in the logarithm of every constant


@dataclass(frozen=True, slots=True)
class Products:
    """Measured products, one a row: m tokens, n outputs, k inputs."""

    m: Array
    n: Array
    k: Array
    seconds: Array

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> Products:
        """Those rows, by index or by mask."""
        return Products(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def laid_out(self, silicon: Silicon) -> TileLayout:
        """What of them depends on their sizes alone."""
        return laid_out(self.m, self.n, self.k, silicon.element_bytes, silicon.processors)


class Silicon(NamedTuple):
    """What the products ran on, as its data sheet says."""

    element_bytes: float
    """Of one weight [B], scales included."""
    peak_flop_per_s: float
    peak_bandwidth: float
    """[B/s]; no fit exceeds either peak."""
    processors: int


def fit_gemm(
    products: Products, silicon: Silicon, seed: int = 0, like: GemmFit | None = None
) -> GemmFit:
    """The constants that fit `products`; about 5 s on one core.

    From several starts, and the same for the same `seed`; rounded to four digits. `like`: kernels
    of a similar device, its rates scaled to this one, whose constants hold where few products do
    not tell. Raises ValueError for fewer products than constants or times that are not positive.
    """
    ranges = _ranges(silicon)
    if len(products) < len(ranges):
        raise ValueError(f"wanted at least {len(ranges)} kernels to fit as many constants")
    if not (np.isfinite(products.seconds) & (products.seconds > 0.0)).all():
        raise ValueError("wanted times above 0 s")
    rng = np.random.default_rng(seed)
    drawn = products.take(rng.permutation(len(products))[:ROWS])
    few = drawn.take(slice(_ROUGH_ROWS))
    alike = None if like is None else {name: float(getattr(like, name)) for name in ranges}
    start = np.log(
        [one.start if alike is None else max(alike[name], one.low) for name, one in ranges.items()]
    )
    starts = [
        start,
        *(start + rng.normal(0.0, _SPREAD, len(start)) for _ in range(_ROUGH_STARTS - 1)),
    ]

    def best_of(sample: Products, starts: list[Found], steps: int) -> list[tuple[float, Found]]:
        layout = sample.laid_out(silicon)
        ended = [
            solved(
                ranges,
                lambda found: gemms_s(_made(found, silicon), layout),
                sample.seconds,
                TOLERANCE,
                start=one,
                alike=alike,
                steps=steps,
            )
            for one in starts
        ]
        return sorted(ended, key=lambda one: one[0])

    rough = best_of(
        few, [dict(zip(ranges, np.exp(one).tolist(), strict=True)) for one in starts], steps=25
    )
    _, best = best_of(drawn, [found for _, found in rough[:_STARTS]], steps=100)[0]
    return _made(rounded(ranges, best), silicon)


def errors(fit: GemmFit, products: Products) -> Errors:
    """How far `fit` is off on products."""
    return Errors.of(_predicted_s(fit, products), products.seconds)


def cross_validate(products: Products, silicon: Silicon, like: GemmFit | None = None) -> Errors:
    """How far constants are off on weight matrices (n, k) that they were not fitted to; arguments
    as for `fit_gemm`.
    """

    def refit(seen: NDArray[np.bool_], held: NDArray[np.bool_]) -> Array:
        return _predicted_s(fit_gemm(products.take(seen), silicon, like=like), products.take(held))

    return cross_validated(np.stack([products.n, products.k]), products.seconds, refit)


def naive_s(products: Products, silicon: Silicon) -> Array:
    """Seconds of each product at the peaks, for comparison."""
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


def _ranges(silicon: Silicon) -> dict[str, Bounds]:
    """Where each constant may lie, by the name of its field."""
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
