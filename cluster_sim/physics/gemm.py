"""Time of a matrix product on a GPU: m tokens times a weight matrix of n outputs and k inputs."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cluster_sim.hardware.kernel_fits import GemmFit
from cluster_sim.typing import Array

ACTIVATION_BYTES = 2
"""Size of one input or output in 16 bit [B]."""
PARTIAL_BYTES = 4
"""Size of one partial sum of a split product in 32 bit [B]."""
THROTTLING_S = 20e-6
"""Time in the processors at which half of the slowdown of long kernels is reached [s]."""

_TILES = ((32, 128), (64, 128), (128, 128), (256, 128), (128, 32), (128, 64), (128, 256))
"""Rows and columns of the possible tiles of the output."""
_SPLITS = (1, 2, 4, 8, 16, 32)
"""Possible numbers of parts of k that are computed in parallel."""
_CUTS = np.array(
    [(rows, columns, parts) for rows, columns in _TILES for parts in _SPLITS], dtype=float
).T
"""Rows, columns and parts of each possible cut of a product."""

_FEW, _APART, _MANY = 256, 64, 16_384 + 256
"""Number of tokens up to which every product is tabulated, distance of table entries beyond, and
end of the table."""


class TileLayout(NamedTuple):
    """Quantities of products that depend only on their sizes, one value per product.

    The last axis of `waves` and `depth` runs over the possible cuts into tiles.
    """

    rows: Array
    """Numbers of tokens, m."""
    inputs: Array
    """Numbers of inputs, m k."""
    outputs: Array
    """Numbers of outputs, m n."""
    moved_bytes: Array
    """Sizes of weights, inputs and outputs in total [B]."""
    waves: Array
    """Numbers of tiles that each processor computes one after another."""
    depth: Array
    """Numbers of inputs that one tile sums over."""


def gemm_s(fit: GemmFit, m: float, n: float, k: float) -> float:
    """Return the time of one product as the only kernel on the device [s].

        t = launch + ((bytes / bandwidth)^o + busy^o)^(1/o) + m (row + k activation)

    with o = overlap. The time of the processors is busy = best + slowdown best² / (best + 20 us).
    `best` is the minimum over all cuts of the output into tiles of a by b and of k into s parts:

        best = min over a, b, s of
                 w (epilogue a b + k/s (a b + tile_overhead) 2 processors / compute)
                 + [s > 1] (split sqrt(s) + 4 s m n / partial_bandwidth),
        w = max(1, s ceil(m/a) ceil(n/b) / processors).

    The time never falls when m, n or k grows, because the time of no cut falls. Waves count in
    fractions. Whole waves did not improve the fit to any measured kernels by more than 0.2 % of the
    time, presumably because libraries choose tiles that avoid a poor last wave. The rate of large
    products tends to compute / (1 + slowdown), times a b / (a b + tile_overhead). The time of small
    products tends to `launch`.

    Source: roofline as in Williams, Waterman, Patterson, CACM 52(4), 2009; tiles and split k as in
    NVIDIA CUTLASS, "Efficient GEMM". Range: the kernels that `calibrate kernels` fitted.

    Parameters
    ----------
    fit
        Constants for the precision of the weights.
    m, n, k
        Numbers of tokens, outputs and inputs, each at least 1.

    Returns
    -------
    float
        Time [s].
    """
    return float(gemms_s(fit, laid_out(m, n, k, fit.element_bytes, fit.processors)))


class GemmTimes:
    """Lookup table of the times of products of any number of tokens with one matrix.

    The table holds `gemm_s` for each number up to 256 and for every 64th number beyond. Values in
    between are interpolated linearly.
    """

    def __init__(self, fit: GemmFit, n: float, k: float) -> None:
        self._fit, self._n, self._k = fit, n, k
        self._few_s = self._times_s(range(1, _FEW + 1))
        self._many_s: list[float] = []  # from _FEW on, computed at first use

    @classmethod
    @lru_cache(maxsize=512)
    def of(cls, fit: GemmFit, n: float, k: float) -> GemmTimes:
        """Return the times of one matrix, computed once per matrix."""
        return cls(fit, n, k)

    def __call__(self, m: int) -> float:
        """Return the time of the product of `m` tokens, at least one [s]."""
        if m <= _FEW:
            return self._few_s[m - 1]
        if m >= _MANY:
            return gemm_s(self._fit, m, self._n, self._k)
        if not self._many_s:
            self._many_s = self._times_s(range(_FEW, _MANY + 1, _APART))
        place, rest = divmod(m - _FEW, _APART)
        below_s, above_s = self._many_s[place], self._many_s[place + 1]
        return below_s + (above_s - below_s) * rest / _APART

    def _times_s(self, tokens: range) -> list[float]:
        fit = self._fit
        layout = laid_out(np.array(tokens), self._n, self._k, fit.element_bytes, fit.processors)
        times_s: list[float] = gemms_s(fit, layout).tolist()
        return times_s


def laid_out(
    m: ArrayLike, n: ArrayLike, k: ArrayLike, element_bytes: float, processors: int
) -> TileLayout:
    """Return the possible layouts of products as tiles.

    A layout depends on no fitted constant, so a search for constants computes it once.

    Parameters
    ----------
    m, n, k
        Numbers of tokens, outputs and inputs, or arrays of one shape.
    element_bytes
        Size of one weight [B].
    processors
        Number of streaming multiprocessors.

    Returns
    -------
    TileLayout
        Quantities of each product, and of each cut of each product.

    Examples
    --------
    >>> float(laid_out(128, 256, 64, 1.0, 132).moved_bytes)  # 256 x 64 + 2 x 128 x (256 + 64)
    98304.0
    """
    m, n, k = (np.asarray(count, dtype=float) for count in (m, n, k))
    rows, columns, parts = _CUTS
    tiles = parts * np.ceil(m[..., None] / rows) * np.ceil(n[..., None] / columns)
    moved_bytes = element_bytes * n * k + ACTIVATION_BYTES * (m * k + m * n)
    return TileLayout(
        m, m * k, m * n, moved_bytes, np.maximum(1.0, tiles / processors), k[..., None] / parts
    )


def gemms_s(fit: GemmFit, layout: TileLayout) -> Array:
    """Return the time of each product of `layout` [s]; see `gemm_s` for the equation.

    Parameters
    ----------
    fit
        Constants for the precision of the weights.
    layout
        Layouts of the products, see `laid_out`.

    Returns
    -------
    Array
        Time of each product [s].
    """
    rows, columns, parts = _CUTS
    tile = rows * columns
    deep_s = 2.0 * fit.processors / fit.compute_flop_per_s * (tile + fit.tile_overhead)
    split_s = np.where(parts > 1, fit.split_s * np.sqrt(parts), 0.0)
    partial_s = np.where(parts > 1, PARTIAL_BYTES * parts / fit.partial_bandwidth_bytes_per_s, 0.0)
    cuts_s = (
        layout.waves * (fit.epilogue_s * tile + layout.depth * deep_s)
        + split_s
        + layout.outputs[..., None] * partial_s
    )
    best_s = cuts_s.min(axis=-1)
    busy_s = best_s * (1.0 + fit.slowdown * best_s / (best_s + THROTTLING_S))
    moving_s = layout.moved_bytes / fit.bandwidth_bytes_per_s
    longer_s = np.maximum(busy_s, moving_s)  # factored out, so that no power of it overflows
    shorter_s = np.minimum(busy_s, moving_s)
    both_s: Array = longer_s * (1.0 + (shorter_s / longer_s) ** fit.overlap) ** (1.0 / fit.overlap)
    return fit.launch_s + both_s + layout.rows * fit.row_s + layout.inputs * fit.activation_s
