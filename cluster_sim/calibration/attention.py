"""Constants of attention kernels: fitted to measured kernels, and tested on shapes that the fit has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.optimize import least_squares

from cluster_sim.calibration.errors import Errors
from cluster_sim.hardware import ContextAttentionFit, Device, GenerationAttentionFit
from cluster_sim.physics.attention import context_floor_s, context_line, generation_floor_s, generation_line

Array = NDArray[np.float64]
Fit = TypeVar("Fit")

TOLERANCE = 0.03
"""Relative error at which a kernel begins to count linearly, no longer by its square."""
MOST_ROWS = 4000
"""Kernels in one fit; of more, this many are drawn."""
SHORT_KEYS = (128, 127)
"""Tried for `short_keys`: the second where a kernel of exactly 128 keys already takes the path of long ones."""

# Start, least and most of each constant, in the order of the fields (without `short_keys`).
_GENERATION: dict[str, tuple[float, float, float]] = {
    "start_s": (6e-6, 5e-7, 5e-5),
    "value_s": (5e-9, 1e-13, 1e-6),
    "head_s": (1e-10, 1e-15, 1e-7),
    "free_units": (100.0, 1.0, 1e4),
    "unit_s": (5e-9, 1e-13, 1e-6),
    "tile_bandwidth_bytes_per_s": (1e13, 1e11, 1e15),
    "narrow": (0.6, 0.25, 4.0),
    "long_start_s": (8e-6, 5e-7, 5e-5),
    "long_unit_s": (3e-9, 1e-14, 1e-6),
    "bandwidth_bytes_per_s": (6e12, 1e11, 1e14),
    "half_units": (2.0, 0.01, 100.0),
}
_CONTEXT: dict[str, tuple[float, float, float]] = {
    "start_s": (7e-6, 5e-7, 5e-5),
    "value_s": (5e-9, 1e-13, 1e-6),
    "head_s": (1e-8, 1e-13, 1e-6),
    "kv_head_s": (1e-9, 1e-13, 1e-6),
    "long_start_s": (8e-6, 1e-7, 5e-5),
    "idle_heads": (3.0, 0.01, 1e3),
    "compute_flop_per_s": (1.5e15, 1e13, 1e17),
    "narrow": (0.9, 0.25, 4.0),
    "extra_values": (60.0, 0.1, 1e3),
    "extra_keys": (300.0, 1.0, 3e3),
    "bandwidth_bytes_per_s": (5e12, 1e11, 1e13),
    "key_s": (3e-9, 1e-14, 1e-7),
}


@dataclass(frozen=True, slots=True)
class Kernels:
    """Measured attention kernels, one a row."""

    batch: Array
    tokens: Array
    """In decoding the keys that a sequence has cached, in prefill those that are new."""
    window: Array
    """[tokens]; 0 without."""
    heads: Array
    kv_heads: Array
    head_dim: Array
    kv_bytes: Array
    """Of one value of the KV cache [B]."""
    seconds: Array

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> Kernels:
        """Those rows, by index or by mask."""
        return Kernels(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def sample(self, most: int, seed: int = 0) -> Kernels:
        """At most that many rows, drawn the same way every time."""
        if len(self) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False)))

    @property
    def keys(self) -> Array:
        """Keys that the last query of a sequence sees."""
        return np.where(self.window > 0, np.minimum(self.tokens, self.window), self.tokens)

    @property
    def pairs(self) -> Array:
        """Causal pairs of query and key of one sequence in prefill."""
        hidden = self.tokens - self.keys
        return self.tokens * (self.tokens + 1) / 2 - hidden * (hidden + 1) / 2


def attention_kernels(rows: pa.Table) -> Kernels:
    """The kernels of a table with the columns of aiconfigurator's: batch_size, isl, step, num_heads, num_key_value_heads, head_dim,
    window_size, kv_cache_dtype, latency_ms.

    `isl + step` is the context in decoding and `isl` the prompt in prefill (`step` is 0 there). Rows without a time, or with
    one of 0, are broken and left out.
    """
    rows = rows.filter(pc.greater(rows["latency_ms"], 0.0))

    def column(name: str) -> Array:
        return np.asarray(rows[name].to_numpy(), dtype=np.float64)

    narrow = np.asarray(pc.equal(rows["kv_cache_dtype"], "fp8").to_numpy(), dtype=bool)
    return Kernels(
        batch=column("batch_size"),
        tokens=column("isl") + column("step"),
        window=column("window_size"),
        heads=column("num_heads"),
        kv_heads=column("num_key_value_heads"),
        head_dim=column("head_dim"),
        kv_bytes=np.where(narrow, 1.0, 2.0),
        seconds=column("latency_ms") * 1e-3,
    )


def predict_generation(fit: GenerationAttentionFit, kernels: Kernels) -> Array:
    """Seconds of each kernel by `physics.attention.generation_attention_s`, all at once."""
    shape = (kernels.batch, kernels.heads, kernels.kv_heads, kernels.head_dim, kernels.kv_bytes)
    floor_s = generation_floor_s(fit, *shape)
    fixed_s, per_key_s = generation_line(fit, *shape)
    line_s = fixed_s + kernels.batch * kernels.keys * per_key_s
    predicted_s: Array = np.where(kernels.keys <= fit.short_keys, floor_s, np.maximum(floor_s, line_s))
    return predicted_s


def predict_context(fit: ContextAttentionFit, kernels: Kernels) -> Array:
    """Seconds of each kernel by `physics.attention.context_attention_s`, all at once."""
    line = context_line(fit, kernels.batch, kernels.heads, kernels.kv_heads, kernels.head_dim, kernels.kv_bytes)
    line_s = line.fixed_s + kernels.batch * (line.per_token_s * kernels.tokens + line.per_pair_s * kernels.pairs)
    walk_s = fit.key_s * (kernels.tokens - kernels.keys)  # the walk ends with the window
    floor_s = context_floor_s(fit, kernels.batch, kernels.heads, kernels.kv_heads, kernels.head_dim)
    predicted_s: Array = np.maximum(floor_s, line_s - walk_s)
    return predicted_s


def fit_generation(kernels: Kernels) -> GenerationAttentionFit:
    """The constants of decode attention that come closest to `kernels`; seconds to run, the same every time."""
    sample = kernels.sample(MOST_ROWS)
    found = []
    for short in SHORT_KEYS:

        def made(values: Sequence[float], short: int = short) -> GenerationAttentionFit:
            constants: dict[str, Any] = dict(zip(_GENERATION, values, strict=True))
            return GenerationAttentionFit.model_construct(short_keys=short, **constants)

        found.append(_fitted(_GENERATION, made, predict_generation, sample))
    return min(found, key=lambda one: one[0])[1]


def fit_context(kernels: Kernels) -> ContextAttentionFit:
    """The same of prefill attention."""

    def made(values: Sequence[float]) -> ContextAttentionFit:
        constants: dict[str, Any] = dict(zip(_CONTEXT, values, strict=True))
        return ContextAttentionFit.model_construct(**constants)

    return _fitted(_CONTEXT, made, predict_context, kernels.sample(MOST_ROWS))[1]


def cross_validate_generation(kernels: Kernels, folds: int = 5) -> Errors:
    """Errors on shapes (heads, KV heads, width) that were left out of the fit, each once."""
    return _cross_validate(kernels, fit_generation, predict_generation, folds)


def cross_validate_context(kernels: Kernels, folds: int = 5) -> Errors:
    """The same of prefill attention."""
    return _cross_validate(kernels, fit_context, predict_context, folds)


def naive_generation(device: Device, kernels: Kernels) -> Array:
    """Seconds of each kernel at the device's peak memory bandwidth, for comparison."""
    read = 2.0 * kernels.kv_heads * kernels.head_dim * kernels.kv_bytes * kernels.batch * kernels.keys
    predicted_s: Array = read / device.memory.bandwidth_bytes_per_s
    return predicted_s


def naive_context(device: Device, kernels: Kernels) -> Array:
    """Seconds of each kernel at the device's peak: bf16 compute, or memory for queries, keys, values and outputs."""
    flop = 4.0 * kernels.batch * kernels.heads * kernels.head_dim * kernels.pairs
    moved = 2.0 * kernels.batch * kernels.tokens * kernels.head_dim * (2.0 * kernels.heads + kernels.kv_heads * kernels.kv_bytes)
    predicted_s: Array = np.maximum(flop / device.peak.bf16_flop_per_s, moved / device.memory.bandwidth_bytes_per_s)
    return predicted_s


def _fitted(
    ranges: dict[str, tuple[float, float, float]], made: Callable[[Sequence[float]], Fit], predict: Callable[[Fit, Kernels], Array], sample: Kernels
) -> tuple[float, Fit]:
    """(remaining cost, fit): least squares of the logarithm of time over the logarithms of the constants."""
    start, least, most = (np.array([log(bound[i]) for bound in ranges.values()]) for i in range(3))
    measured = np.log(sample.seconds)

    def residuals(logs: Array) -> Array:
        return np.log(predict(made(np.exp(logs).tolist()), sample)) - measured

    solution = least_squares(residuals, start, bounds=(least, most), loss="soft_l1", f_scale=TOLERANCE, max_nfev=100)
    return float(solution.cost), made(np.exp(solution.x).tolist())


def _cross_validate(kernels: Kernels, fit: Callable[[Kernels], Fit], predict: Callable[[Fit, Kernels], Array], folds: int) -> Errors:
    shapes, shape_of = np.unique(np.stack([kernels.heads, kernels.kv_heads, kernels.head_dim]), axis=1, return_inverse=True)
    fold_of = np.random.default_rng(0).permutation(shapes.shape[1])[shape_of.ravel()] % folds
    predicted_s = np.empty(len(kernels))
    for fold in range(folds):
        left_out = fold_of == fold
        predicted_s[left_out] = predict(fit(kernels.take(~left_out)), kernels.take(left_out))
    return Errors.of(predicted_s, kernels.seconds)
