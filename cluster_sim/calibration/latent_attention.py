"""Constants of latent attention, fitted to measured kernels and tested on other shapes.

Tables have the columns of aiconfigurator's `generation_mla_perf`, `context_mla_perf` (kernels
alone) and `mla_bmm_perf` (absorbed projections).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.calibrated import Calibrated, DeviceFits
from cluster_sim.calibration.constants import (
    Bounds,
    Constants,
    LogFit,
    cross_validated,
    guess,
    rounded,
    some_of,
)
from cluster_sim.calibration.engines import by_engine, newest_version
from cluster_sim.calibration.errors import Errors
from cluster_sim.calibration.fit_options import DTYPES, FitOptions
from cluster_sim.calibration.latent_kernels import (
    KV_BYTES,
    LatentKernels,
    LatentProducts,
    expanding_prompts,
    latent_kernels,
    latent_products,
    starts_from_host,
)
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.hardware.kernel_fits import KernelFits, fit_name
from cluster_sim.hardware.latent_fit import (
    LatentContextFit,
    LatentGenerationFit,
    LatentProductFit,
)
from cluster_sim.physics.latent_attention import (
    latent_context_floor_s,
    latent_context_line,
    latent_fixed_s,
    latent_floor_s,
    latent_key_s,
    latent_product_s,
)
from cluster_sim.typing import Array

Fit = TypeVar("Fit", bound=KernelFit)
Kernels = TypeVar("Kernels", LatentKernels, LatentProducts)

TOLERANCE = 0.03
"""Relative error above which a kernel counts linearly instead of by its square."""
MOST_ROWS = 2000
"""Maximum number of kernels per fit; they are drawn at random."""
SHORT_KEYS = (128, 256, 512)
"""Values of `short_keys` that are tried."""
REACHED = 0.7
"""Maximum share of the peak compute rate. An estimate: FlashMLA's decode reaches 660 of the 989
TFLOP/s of an H800 (its README), and the fits of prefill 0.38 to 0.68."""
TILE_ROWS = (64, 128)
"""Values of `tile_rows` that are tried: the rows of a matrix instruction of Hopper's and of
Blackwell's full rate."""
CACHE_BYTES = (30e6, 60e6, 90e6)
"""Values of `cache_bytes` that are tried: second-level caches have 40 MB (A100), 50 MB (H100) and
126 MB (B200), according to NVIDIA's data sheets."""

_GENERATION = {
    "start_s": Bounds(1e-5, 1e-6, 1e-3),
    "sequence_s": Bounds(3e-8, 1e-11, 1e-6, vanishes=True),
    "head_s": Bounds(5e-10, 1e-13, 1e-7, vanishes=True),
    "rise": Bounds(1.5, 1.001, 20.0),
    "long_start_s": Bounds(1.2e-5, 5e-7, 1e-3),
    "long_sequence_s": Bounds(1e-8, 1e-11, 1e-6, vanishes=True),
    "long_head_s": Bounds(5e-10, 1e-13, 1e-7, vanishes=True),
    "bandwidth_bytes_per_s": Bounds(4e12, 1e11, 1e14),
    "reread": Bounds(0.1, 1e-3, 3.0, vanishes=True),
    "half_sequences": Bounds(0.5, 0.01, 100.0, vanishes=True),
    "compute_flop_per_s": Bounds(1e15, 1e12, 1e17),
    "overlap": Bounds(4.0, 1.001, 20.0),
}
_CONTEXT = {
    "start_s": Bounds(1.2e-5, 1e-6, 1e-3),
    "head_s": Bounds(2e-8, 1e-12, 1e-5, vanishes=True),
    "long_start_s": Bounds(1e-5, 5e-7, 1e-3),
    "long_head_s": Bounds(1e-8, 1e-12, 1e-5, vanishes=True),
    "extra_keys": Bounds(200.0, 1.0, 1e4),
    "key_s": Bounds(3e-9, 1e-11, 1e-7, vanishes=True),
    "compute_flop_per_s": Bounds(1e15, 1e12, 1e17),
}
_PRODUCT = {
    "start_s": Bounds(5e-6, 1e-6, 1e-4),
    "bandwidth_bytes_per_s": Bounds(4e12, 1e11, 1e14),
    "cache_bandwidth_bytes_per_s": Bounds(8e12, 1e11, 1e14),
    "compute_flop_per_s": Bounds(5e14, 1e13, 1e17),
    "token_s": Bounds(1e-11, 1e-14, 1e-8, vanishes=True),
    "rise": Bounds(2.0, 1.001, 20.0),
}
_PRODUCTS = {"mla_gen_pre": "latent_queries", "mla_gen_post": "latent_outputs"}
"""Fields of `KernelFits` by the names of the absorbed projections."""


def predict_generation(fit: LatentGenerationFit, kernels: LatentKernels) -> Array:
    """Return the time of each decode kernel [s]."""
    shape, batch = kernels.shape, kernels.batch
    floor_s = latent_floor_s(fit, shape, batch)
    line_s = latent_fixed_s(fit, shape, batch)
    line_s = line_s + latent_key_s(fit, shape, batch) * batch * kernels.tokens
    is_short = kernels.tokens <= fit.short_keys
    return np.asarray(np.where(is_short, floor_s, np.maximum(floor_s, line_s)))


def predict_context(fit: LatentContextFit, kernels: LatentKernels) -> Array:
    """Return the time of each prefill kernel [s]."""
    line = latent_context_line(fit, kernels.shape)
    tokens = kernels.tokens
    sequence_s = line.sequence_s + line.token_s * tokens + line.pair_s * tokens * (tokens + 1) / 2
    line_s = line.fixed_s + kernels.batch * sequence_s + line.key_s * tokens
    floor_s = latent_context_floor_s(fit, kernels.shape, kernels.batch)
    predicted_s: Array = np.maximum(floor_s, line_s)
    return predicted_s


def predict_product(fit: LatentProductFit, products: LatentProducts) -> Array:
    """Return the time of each absorbed projection [s]."""
    predicted_s: Array = latent_product_s(fit, products.heads, products.matrix, products.tokens)
    return predicted_s


def fit_generation(kernels: LatentKernels, peak_flop_per_s: float) -> LatentGenerationFit:
    """Return the constants that fit decode, rounded to four digits.

    The compute rate is at most `REACHED` of the peak: kernels that reading limits do not determine
    it.
    """
    bounds = _GENERATION | {"compute_flop_per_s": _below(peak_flop_per_s)}
    given = ({"short_keys": keys, "tile_rows": rows} for keys in SHORT_KEYS for rows in TILE_ROWS)
    fits = (
        _fitted(LatentGenerationFit, bounds, predict_generation, kernels, each) for each in given
    )
    return min(fits, key=lambda end: end[0])[1]


def fit_context(kernels: LatentKernels, peak_flop_per_s: float) -> LatentContextFit:
    """Return the constants that fit prefill, rounded to four digits."""
    bounds = _CONTEXT | {"compute_flop_per_s": _below(peak_flop_per_s)}
    return _fitted(LatentContextFit, bounds, predict_context, kernels, {})[1]


def fit_product(products: LatentProducts, weight_bytes: float) -> LatentProductFit:
    """Return the constants that fit the absorbed projections, rounded to four digits."""
    fits = (
        _fitted(
            LatentProductFit,
            _PRODUCT,
            predict_product,
            products,
            {"weight_bytes": weight_bytes, "cache_bytes": size},
        )
        for size in CACHE_BYTES
    )
    return min(fits, key=lambda end: end[0])[1]


def calibrate_latent(table: pa.Table, device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    """Yield the errors and the fit of each engine, phase and precision of the KV cache.

    Only the newest version of each engine counts. Tables of whole blocks are skipped. Kernels whose
    shortest times are those of the host that launched them are skipped, and so are prefill kernels
    in the latent space (`expanding_prompts`).
    """
    bare = table.filter(pc.match_substring(table["table"], "_mla_perf"))
    bare = bare.filter(pc.invert(pc.match_substring(bare["table"], "wideep")))
    for engine, kept_as, rows in by_engine(bare, choice):
        for phase in _PHASES:
            alike = newest_version(rows.filter(pc.match_substring(rows["op_name"], phase.op)))
            if phase.op == "context":
                alike = expanding_prompts(alike)
            for dtype, kv_bytes in KV_BYTES.items():
                kernels = latent_kernels(alike, dtype)
                if len(kernels) < choice.fewest or starts_from_host(kernels):
                    continue
                name = fit_name(DTYPES[dtype][0], kept_as)
                title = f"latent {phase.op} {DTYPES[dtype][0]} {engine}"
                peak = device.peak.of(DTYPES[dtype][0])[1]

                def refit(kernels: LatentKernels, phase: _Phase = phase, peak: float = peak) -> Any:
                    return phase.fit(kernels, peak)

                fit = refit(kernels)
                yield Calibrated(
                    title,
                    len(kernels),
                    _errors(kernels, refit, phase.predict),
                    Errors.of(phase.naive_s(device, kernels, kv_bytes), kernels.seconds),
                    DeviceFits(KernelFits(**{phase.kept: {name: fit}})),
                    Errors.of(phase.predict(fit, kernels), kernels.seconds),
                )


def calibrate_latent_products(
    table: pa.Table, device: Device, choice: FitOptions
) -> Iterator[Calibrated]:
    """Yield the errors and the fit of the absorbed projections of each engine and precision."""
    for engine, kept_as, rows in by_engine(table, choice):
        for dtype, (precision, weight_bytes) in DTYPES.items():
            alike = newest_version(rows.filter(pc.equal(rows["bmm_dtype"], dtype)))

            def refit(products: LatentProducts, size: float = weight_bytes) -> LatentProductFit:
                return fit_product(products, size)

            for op, kept in _PRODUCTS.items():
                products = latent_products(alike.filter(pc.equal(alike["op_name"], op)))
                if len(products) < choice.fewest:
                    continue
                fit = refit(products)
                yield Calibrated(
                    f"{kept.replace('_', ' ')} {precision} {engine}",
                    len(products),
                    _errors(products, refit, predict_product),
                    Errors.of(products.naive_s(device, weight_bytes), products.seconds),
                    DeviceFits(KernelFits(**{kept: {fit_name(precision, kept_as): fit}})),
                    Errors.of(predict_product(fit, products), products.seconds),
                )


def _below(peak_flop_per_s: float) -> Bounds:
    return Bounds(0.5 * peak_flop_per_s, 1e-3 * peak_flop_per_s, REACHED * peak_flop_per_s)


def _errors(
    kernels: Kernels, fit: Callable[[Kernels], Fit], predict: Callable[[Fit, Kernels], Array]
) -> Errors:
    """Return the errors on whole shapes (heads and batch) outside of the fit."""

    def refit(seen: Array, held: Array) -> Array:
        return predict(fit(kernels.take(seen)), kernels.take(held))

    return cross_validated(kernels.shapes, kernels.seconds, refit)


def _fitted(
    made: type[Fit],
    bounds: dict[str, Bounds],
    predict: Callable[[Fit, Kernels], Array],
    kernels: Kernels,
    given: dict[str, Any],
) -> tuple[float, Fit]:
    drawn = kernels.take(some_of(len(kernels), MOST_ROWS))

    def predicted(constants: Constants) -> Array:
        return predict(guess(made, given | constants), drawn)

    cost, best = LogFit(bounds, predicted, drawn.seconds, TOLERANCE).solved()
    return cost, guess(made, given | rounded(bounds, best))


def _naive_generation(device: Device, kernels: LatentKernels, kv_bytes: float) -> Array:
    shape = kernels.shape
    keys = kernels.batch * kernels.tokens
    read_s = keys * shape.latent * kv_bytes / device.memory.bandwidth_bytes_per_s
    flop = keys * shape.heads * 2.0 * (shape.latent + shape.rank)
    naive_s: Array = np.maximum(read_s, flop / device.peak.bf16_flop_per_s)
    return naive_s


def _naive_context(device: Device, kernels: LatentKernels, kv_bytes: float) -> Array:
    pairs = kernels.batch * kernels.tokens * (kernels.tokens + 1) / 2
    flop = pairs * kernels.heads * 2.0 * kernels.shape.expanded
    moved = kernels.batch * kernels.tokens * kernels.heads * 2.0 * kernels.shape.expanded * 2.0
    naive_s: Array = np.maximum(
        flop / device.peak.bf16_flop_per_s, moved / device.memory.bandwidth_bytes_per_s
    )
    return naive_s


class _Phase(NamedTuple):
    """Phase of serving with its fit."""

    op: str
    """Part of `op_name` of its kernels."""
    kept: str
    """Field of `KernelFits` of its fits."""
    fit: Callable[[LatentKernels, float], Any]
    predict: Callable[[Any, LatentKernels], Array]
    naive_s: Callable[[Device, LatentKernels, float], Array]


_PHASES = (
    _Phase(
        "generation", "latent_generation", fit_generation, predict_generation, _naive_generation
    ),
    _Phase("context", "latent_context", fit_context, predict_context, _naive_context),
)
