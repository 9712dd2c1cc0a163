"""The constants of matrix products: from measured kernels, and how far they carry to shapes that the fit has not seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cluster_sim.calibration.errors import Errors
from cluster_sim.hardware import GemmFit
from cluster_sim.physics.gemm import Layout, gemms_s, laid_out

ROWS = 4000
"""Kernels that one fit takes at most, drawn at random: more change no constant by what matters, and take longer."""
TOLERANCE = 0.02
"""Relative error at which a kernel begins to count linearly, no longer by its square: what is made small is nearly the median."""

_ROUGH_ROWS, _ROUGH_STARTS, _STARTS = 400, 8, 2  # starts that are tried on few rows, and how many of them go on
_SPREAD = 0.7  # of the starts, in the logarithm of every constant


class _Range(NamedTuple):
    start: float
    low: float
    high: float
    vanishes: bool = False
    """Whether the low end stands for zero."""


def fit_gemm(
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    seconds: ArrayLike,
    element_bytes: float,
    peak_flop_per_s: float,
    peak_bandwidth: float,
    processors: int,
    seed: int = 0,
) -> GemmFit:
    """The constants that fit kernels of m tokens, n outputs and k inputs that took `seconds` [s]; about 5 s on one core.

    element_bytes: of one weight [B], scales included. peak_flop_per_s [FLOP/s], peak_bandwidth [B/s]: no fit exceeds them.
    Robust least squares of the logarithm of time, from several starts; the same `seed` gives the same constants, which are
    rounded to four digits. Raises ValueError for fewer kernels than constants or times that are not positive.
    """
    m, n, k, seconds = (np.asarray(values, dtype=float) for values in (m, n, k, seconds))
    ranges = _ranges(peak_flop_per_s, peak_bandwidth)
    if len(seconds) < len(ranges):
        raise ValueError(f"wanted at least {len(ranges)} kernels to fit as many constants")
    if not (np.isfinite(seconds) & (seconds > 0.0)).all():
        raise ValueError("wanted times above 0 s")
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(seconds))[:ROWS]
    layout, log_s = laid_out(m[drawn], n[drawn], k[drawn], element_bytes, processors), np.log(seconds[drawn])
    few = Layout(*(part[:_ROUGH_ROWS] for part in layout))
    start, low, high = (np.log([getattr(one, end) for one in ranges.values()]) for end in ("start", "low", "high"))
    starts = [start, *(start + rng.normal(0.0, _SPREAD, len(start)) for _ in range(_ROUGH_STARTS - 1))]

    def solved(layout: Layout, log_s: NDArray[np.float64], start: NDArray[np.float64], steps: int) -> tuple[float, NDArray[np.float64]]:
        from scipy.optimize import least_squares  # slow to import, and wanted here only

        def residuals(found: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.log(gemms_s(_made(ranges, np.exp(found), element_bytes, processors), layout)) - log_s

        inside = np.clip(start, low + 1e-3, high - 1e-3)
        result = least_squares(residuals, inside, bounds=(low, high), loss="soft_l1", f_scale=TOLERANCE, max_nfev=steps, diff_step=1e-3)
        return float(result.cost), result.x

    rough = sorted((solved(few, log_s[:_ROUGH_ROWS], one, steps=25) for one in starts), key=lambda ended: ended[0])
    _, best = min((solved(layout, log_s, one, steps=100) for _, one in rough[:_STARTS]), key=lambda ended: ended[0])
    values = [0.0 if one.vanishes and value < 1.5 * one.low else float(f"{value:.4g}") for one, value in zip(ranges.values(), np.exp(best), strict=True)]
    return _made(ranges, values, element_bytes, processors)


def errors(fit: GemmFit, m: ArrayLike, n: ArrayLike, k: ArrayLike, seconds: ArrayLike) -> Errors:
    """How far `fit` is off on kernels of m tokens, n outputs and k inputs that took `seconds` [s]."""
    return Errors.of(gemms_s(fit, laid_out(m, n, k, fit.element_bytes, fit.processors)), seconds)


def cross_validate(
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    seconds: ArrayLike,
    element_bytes: float,
    peak_flop_per_s: float,
    peak_bandwidth: float,
    processors: int,
    folds: int = 5,
    seed: int = 0,
) -> Errors:
    """How far constants are off on weight matrices that they were not fitted to; arguments as for `fit_gemm`.

    All kernels of one (n, k) are in the same of `folds` parts; each part is predicted from a fit to the others.
    """
    m, n, k, seconds = (np.asarray(values, dtype=float) for values in (m, n, k, seconds))
    _, matrix = np.unique(np.stack([n, k], axis=1), axis=0, return_inverse=True)
    matrix = matrix.reshape(-1)
    part = np.random.default_rng(seed).permutation(matrix.max() + 1)[matrix] % folds
    predicted_s = np.empty_like(seconds)
    for held in range(folds):
        rest, out = part != held, part == held
        fit = fit_gemm(m[rest], n[rest], k[rest], seconds[rest], element_bytes, peak_flop_per_s, peak_bandwidth, processors, seed)
        predicted_s[out] = gemms_s(fit, laid_out(m[out], n[out], k[out], element_bytes, processors))
    return Errors.of(predicted_s, seconds)


def _ranges(peak_flop_per_s: float, peak_bandwidth: float) -> dict[str, _Range]:
    """Where each constant may lie, by the name of its field."""
    return {
        "launch_s": _Range(2e-6, 1e-7, 1e-3),
        "bandwidth_bytes_per_s": _Range(0.85 * peak_bandwidth, 0.05 * peak_bandwidth, peak_bandwidth),
        "compute_flop_per_s": _Range(0.7 * peak_flop_per_s, 0.03 * peak_flop_per_s, peak_flop_per_s),
        "overlap": _Range(2.0, 1.0, 12.0),
        "tile_overhead": _Range(1e3, 1.0, 1e6, vanishes=True),
        "epilogue_s": _Range(1e-11, 1e-14, 1e-8, vanishes=True),
        "split_s": _Range(1e-6, 1e-9, 1e-4),
        "partial_bandwidth_bytes_per_s": _Range(1e12, 1e9, 1e15),
        "slowdown": _Range(0.15, 1e-3, 1.0, vanishes=True),
        "row_s": _Range(1e-10, 1e-13, 1e-7, vanishes=True),
        "activation_s": _Range(1e-13, 1e-16, 1e-10, vanishes=True),
    }


def _made(ranges: dict[str, _Range], values: ArrayLike, element_bytes: float, processors: int) -> GemmFit:
    constants = dict(zip(ranges, np.asarray(values, dtype=float).tolist(), strict=True))
    return GemmFit.model_construct(**constants, element_bytes=element_bytes, processors=processors)
