"""What kernels draw: constants from measured boards, whether their readings repeat, and errors on
shapes that the fit has not seen.

A kernel draws  min(limit, busy + active (1 - start/t) + e_mem BW + e_flop FLOPS),  the formula of
`physics.power` at the clock it ran at: kernels shorter than their start find the processors mostly
empty.

Readings are means of a sampler over a short while, and those of some collectors do not repeat: the
same product with 160 and with 161 tokens reads 258 and 671 W. So the collectors are weighed before
anything is fitted. Two kernels of one kind are alike when time, bytes and FLOP are each within
about 15 %; of each kind the collector counts whose like kernels differ least, and a kind is left
out where even those differ by more than `WORST` in the median: no formula comes below that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cluster_sim.calibration.attention import attention_kernels
from cluster_sim.calibration.constants import Array, cross_validated
from cluster_sim.calibration.errors import Errors

WORST = 0.15
"""Median difference of like kernels up to which a kind is fitted."""
FEWEST = 300
"""Kernels of a kind that one collector must have measured."""
ROWS = 1500
"""Kernels that one fit takes at most, drawn at random."""

_ALIKE = 0.15
# a reading repeats that differs by less from its nearest like kernel; only those are fitted to
_REPEATS = 0.2
_WEIGHT_BYTES = {
    "bfloat16": 2.0,
    "bf16": 2.0,
    "fp8": 1.0,
    "fp8_block": 1.0,
    "nvfp4": 0.5625,
    "fp4": 0.5625,
}
_TOLERANCE = 0.05
_KNEE = 12  # of the limit: boards near it draw a few percent less, as it is kept on the mean


class KernelPower(NamedTuple):
    """Constants of one kind of kernel."""

    busy_w: float
    active_w: float
    start_s: float
    memory_j_per_byte: float
    flop_j_per_flop: float


# Starts are short in most collectors' loops and long where each launch waits for the host: the fit
# is tried from both.
_STARTS = (
    KernelPower(200.0, 200.0, 5e-6, 50e-12, 0.4e-12),
    KernelPower(200.0, 300.0, 5e-5, 20e-12, 0.1e-12),
)
_LOW = KernelPower(50.0, 1.0, 1e-7, 1e-13, 1e-15)
_HIGH = KernelPower(400.0, 1000.0, 1e-4, 400e-12, 3e-12)


@dataclass(frozen=True, slots=True)
class Readings:
    """Kernels of one kind and the power of the board while they ran, one a row."""

    seconds: Array
    bytes: Array
    flop: Array
    watts: Array
    limit_w: Array
    shape: Array
    """Numbers that tell the shape of the weights or heads, one row a number."""

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> Readings:
        """Those rows, by index or by mask."""
        return Readings(*(getattr(self, name)[..., rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class CalibratedPower:
    """One kind of kernel: whose readings count, how well they repeat, and, where they do, errors by
    cross-validation and constants.
    """

    kind: str
    collector: str
    rows: int
    difference: float
    """Median difference of like kernels, as a share."""
    errors: Errors | None = None
    """Of all readings."""
    repeating: Errors | None = None
    """Of the readings that repeat."""
    fit: KernelPower | None = None


def calibrate(tables: list[pa.Table]) -> Iterator[CalibratedPower]:
    """Each kind of kernel in tables with the columns `power_w` and `power_limit_w`; about ten
    seconds each.
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
    """Of each kernel, how far the nearest like kernel's reading is off, as a share; NaN where no
    kernel is like it.
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

    def refit(seen: NDArray[np.bool_], held: NDArray[np.bool_]) -> Array:
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
    """The constants that fit `readings`, robustly: what is made small is nearly the median error.
    The same for the same `seed`.
    """
    from scipy.optimize import least_squares

    sample = readings.take(np.random.default_rng(seed).permutation(len(readings))[:ROWS])
    log_w = np.log(sample.watts)

    def residuals(logs: Array) -> Array:
        off: Array = np.log(kernel_w(KernelPower(*np.exp(logs)), sample)) - log_w
        return off

    busy_w = float(np.percentile(sample.watts, 2))
    low, high = np.log(_LOW), np.log(_HIGH)
    ended = [
        least_squares(
            residuals,
            np.clip(np.log(start._replace(busy_w=busy_w)), low + 1e-3, high - 1e-3),
            bounds=(low, high), loss="soft_l1", f_scale=_TOLERANCE, max_nfev=100,
        )
        for start in _STARTS
    ]  # fmt: skip
    return KernelPower(
        *(float(f"{one:.4g}") for one in np.exp(min(ended, key=lambda one: float(one.cost)).x))
    )


def kernel_w(fit: KernelPower, readings: Readings) -> Array:
    """What the board draws during each kernel."""
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
    """Products by precision, attention of prefill and of decoding by the precision of the cache."""
    if "gemm_dtype" in table.column_names:
        for dtype in _WEIGHT_BYTES:
            yield f"GEMM {dtype}", table.filter(pc.equal(table["gemm_dtype"], dtype))
        return
    for op in ("context_attention", "generation_attention"):
        for dtype in ("bfloat16", "fp8"):
            mine = pc.and_(pc.equal(table["op"], op), pc.equal(table["kv_cache_dtype"], dtype))
            yield f"{op.replace('_', ' ')} {dtype}", table.filter(mine)


def readings_of(rows: pa.Table) -> Readings:
    """The kernels of one kind, as `kinds` gives them: seconds, and the bytes and FLOP that they
    must move and do.
    """

    def column(name: str) -> Array:
        return np.asarray(rows[name].to_numpy(), dtype=float)

    seconds, watts, limit_w = (
        1e-3 * column("latency_ms"),
        column("power_w"),
        column("power_limit_w"),
    )
    if "gemm_dtype" in rows.column_names:
        m, n, k = column("m"), column("n"), column("k")
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
    queries = (
        4.0 * kernels.batch * kernels.heads * kernels.head_dim
    )  # in and out, 2 B each; and the FLOP of a pair of query and key
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
