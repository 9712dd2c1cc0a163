"""Constants of the power of kernels, from measured boards whose readings are repeatable.

    P = min(limit, busy + active (1 - start/t) + e_mem BW + e_flop FLOPS)

This is the formula of `physics.power` at the clock at which the kernel ran. The processors are
mostly idle during kernels that are shorter than their start.

Readings are means of a sampler over a short time, and some collectors are not repeatable: one
product with 160 and with 161 tokens reads 258 and 671 W. Therefore the collectors are compared
before the fit. Two kernels of one kind are similar if time, bytes and FLOP differ by less than
about 15 %. For each kind, the collector counts whose similar kernels differ least. A kind is
omitted if even those differ by more than `WORST` in the median, because no formula can be better.
Errors are those on shapes outside of the fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.attention import attention_kernels
from cluster_sim.calibration.columns import numbers
from cluster_sim.calibration.constants import cross_validated
from cluster_sim.calibration.errors import Errors
from cluster_sim.typing import Array

WORST = 0.15
"""Maximum median difference of similar kernels for a kind to be fitted."""
FEWEST = 300
"""Minimum number of kernels of a kind from one collector."""
ROWS = 1500
"""Maximum number of kernels per fit; they are drawn at random."""

_ALIKE = 0.15
"""Maximum distance of similar kernels in the logarithms of time, bytes and FLOP."""
_REPEATS = 0.2
"""Maximum difference from the nearest similar kernel for a reading to count as repeatable; only
such readings are fitted."""
_WEIGHT_BYTES = {
    "bfloat16": 2.0,
    "bf16": 2.0,
    "fp8": 1.0,
    "fp8_block": 1.0,
    "nvfp4": 0.5625,
    "fp4": 0.5625,
}
_TOLERANCE = 0.05
_KNEE = 12
"""Sharpness of the power limit: boards near the limit draw a few percent less, because the limit
applies to the mean."""


class KernelPower(NamedTuple):
    """Constants of the power of one kind of kernel."""

    busy_w: float
    active_w: float
    start_s: float
    memory_j_per_byte: float
    flop_j_per_flop: float


_STARTS = (
    KernelPower(200.0, 200.0, 5e-6, 50e-12, 0.4e-12),
    KernelPower(200.0, 300.0, 5e-5, 20e-12, 0.1e-12),
)
"""Constants from which a fit starts. Starts of kernels are short in the loops of most collectors,
and long if each launch waits for the host."""
_LOW = KernelPower(50.0, 1.0, 1e-7, 1e-13, 1e-15)
_HIGH = KernelPower(400.0, 1000.0, 1e-4, 400e-12, 3e-12)


@dataclass(frozen=True, slots=True)
class Readings:
    """Kernels of one kind and the power of the board during each of them, one per row."""

    seconds: Array
    bytes: Array
    flop: Array
    watts: Array
    limit_w: Array
    shape: Array
    """Numbers that describe the shape of the weights or heads; one row per number."""

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> Readings:
        """Return some of the rows, by index or by mask."""
        return Readings(*(getattr(self, name)[..., rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class CalibratedPower:
    """Readings of one kind of kernel, and the fit if they are repeatable."""

    kind: str
    collector: str
    """Collector whose readings count."""
    rows: int
    """Number of readings."""
    difference: float
    """Median difference of similar kernels, as a share."""
    errors: Errors | None = None
    """Errors by cross-validation on all readings."""
    repeating: Errors | None = None
    """Errors by cross-validation on the repeatable readings."""
    fit: KernelPower | None = None


def calibrate(tables: list[pa.Table]) -> Iterator[CalibratedPower]:
    """Yield the fit of each kind of kernel in tables with `power_w` and `power_limit_w`.

    Each kind takes about ten seconds.

    Parameters
    ----------
    tables
        Tables of measured kernels; tables without `power_w` and `power_limit_w` are skipped.

    Yields
    ------
    CalibratedPower
        Fit of one kind of kernel; without constants if the readings are not repeatable.
    """
    for table in tables:
        if not {"power_w", "power_limit_w", "version"} <= set(table.column_names):
            continue
        for kind, rows in kinds(
            table.filter(
                pc.and_(pc.greater(table["power_w"], 0.0), pc.greater(table["power_limit_w"], 0.0))
            )
        ):
            by_collector = {}
            for version in pc.unique(rows["version"]).to_pylist():
                readings = readings_of(rows.filter(pc.equal(rows["version"], version)))
                if len(readings) >= FEWEST:
                    by_collector[str(version)] = readings, differences(readings)
            if by_collector:
                collector = min(
                    by_collector, key=lambda name: float(np.nanmedian(by_collector[name][1]))
                )
                yield _calibrated(kind, collector, *by_collector[collector])


def differences(readings: Readings) -> Array:
    """Return the difference of each kernel's reading from that of the nearest similar kernel.

    It is a share [1]; NaN if there is no similar kernel.
    """
    from scipy.spatial import cKDTree

    places = np.log(np.stack([readings.seconds, readings.bytes, readings.flop], axis=1))
    distance, nearest = cKDTree(places).query(places, k=2)
    off: Array = np.abs(np.log(readings.watts / readings.watts[nearest[:, 1]]))
    return np.where(distance[:, 1] < _ALIKE, off, np.nan)


def _calibrated(kind: str, collector: str, readings: Readings, off: Array) -> CalibratedPower:
    difference = float(np.nanmedian(off))
    if not difference <= WORST:
        return CalibratedPower(kind, collector, len(readings), difference)
    repeats = off < _REPEATS
    predicted_w = np.empty(len(readings))

    def refit(seen: Array, held: Array) -> Array:
        predicted_w[held] = kernel_w(fit_power(readings.take(seen & repeats)), readings.take(held))
        held_w: Array = predicted_w[held]
        return held_w

    errors = cross_validated(readings.shape, readings.watts, refit)
    repeating = Errors.of(predicted_w[repeats], readings.watts[repeats])
    return CalibratedPower(
        kind,
        collector,
        len(readings),
        difference,
        errors,
        repeating,
        fit_power(readings.take(repeats)),
    )


def fit_power(readings: Readings, seed: int = 0) -> KernelPower:
    """Return the constants that fit `readings`; the method nearly minimises the median error.

    Equal values of `seed` give equal constants.
    """
    from scipy.optimize import least_squares

    sample = readings.take(np.random.default_rng(seed).permutation(len(readings))[:ROWS])
    log_w = np.log(sample.watts)

    def residuals(logs: Array) -> Array:
        off: Array = np.log(kernel_w(KernelPower(*np.exp(logs)), sample)) - log_w
        return off

    busy_w = float(np.percentile(sample.watts, 2))
    low, high = np.log(_LOW), np.log(_HIGH)
    ends = [
        least_squares(
            residuals,
            np.clip(np.log(start._replace(busy_w=busy_w)), low + 1e-3, high - 1e-3),
            bounds=(low, high), loss="soft_l1", f_scale=_TOLERANCE, max_nfev=100,
        )
        for start in _STARTS
    ]  # fmt: skip
    best = min(ends, key=lambda end: float(end.cost))
    return KernelPower(*(float(f"{value:.4g}") for value in np.exp(best.x)))


def kernel_w(fit: KernelPower, readings: Readings) -> Array:
    """Return the power of the board during each kernel [W]."""
    held = np.maximum(1.0 - fit.start_s / readings.seconds, 1e-3)
    demand = (
        fit.busy_w
        + fit.active_w * held
        + (fit.memory_j_per_byte * readings.bytes + fit.flop_j_per_flop * readings.flop)
        / readings.seconds
    )
    watts: Array = demand * (1.0 + (demand / readings.limit_w) ** _KNEE) ** (-1.0 / _KNEE)
    return watts


def kinds(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield the kinds of kernels in a table: name and rows.

    Products are separated by precision, attention by phase and by the precision of the cache.
    """
    if "gemm_dtype" in table.column_names:
        for dtype in _WEIGHT_BYTES:
            yield f"GEMM {dtype}", table.filter(pc.equal(table["gemm_dtype"], dtype))
        return
    for op in ("context_attention", "generation_attention"):
        for dtype in ("bfloat16", "fp8"):
            mask = pc.and_(pc.equal(table["op"], op), pc.equal(table["kv_cache_dtype"], dtype))
            yield f"{op.replace('_', ' ')} {dtype}", table.filter(mask)


def readings_of(rows: pa.Table) -> Readings:
    """Return the kernels of one kind, with their minimum bytes and FLOP.

    `rows` holds one kind, as `kinds` yields it.
    """
    seconds, watts, limit_w = (
        1e-3 * numbers(rows, "latency_ms"),
        numbers(rows, "power_w"),
        numbers(rows, "power_limit_w"),
    )
    if "gemm_dtype" in rows.column_names:
        m, n, k = numbers(rows, "m"), numbers(rows, "n"), numbers(rows, "k")
        weight = _WEIGHT_BYTES[rows["gemm_dtype"][0].as_py()] if len(rows) else 0.0
        return Readings(
            seconds,
            weight * n * k + 2.0 * m * (n + k),
            2.0 * m * n * k,
            watts,
            limit_w,
            np.stack([n, k]),
        )
    kernels = attention_kernels(rows)
    shape = np.stack([kernels.heads, kernels.kv_heads, kernels.head_dim, kernels.window])
    # bytes of queries and outputs, 2 B per value; and FLOP per (query, key) pair
    queries = 4.0 * kernels.batch * kernels.heads * kernels.head_dim
    decoding = len(rows) > 0 and rows["op"][0].as_py() == "generation_attention"
    tokens, pairs = (1.0, kernels.keys) if decoding else (kernels.tokens, kernels.pairs)
    cached = (
        2.0
        * kernels.kv_heads
        * kernels.head_dim
        * kernels.kv_bytes
        * kernels.batch
        * (kernels.keys if decoding else kernels.tokens)
    )
    return Readings(seconds, cached + queries * tokens, queries * pairs, watts, limit_w, shape)
