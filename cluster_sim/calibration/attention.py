"""Constants of attention kernels, fitted to measured kernels and tested on other shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.columns import numbers
from cluster_sim.calibration.constants import Bounds, LogFit, cross_validated, rounded
from cluster_sim.calibration.errors import Errors
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import ContextAttentionFit, GenerationAttentionFit
from cluster_sim.physics.attention import AttentionShape
from cluster_sim.physics.decode_attention import generation_floor_s, generation_line
from cluster_sim.physics.prefill_attention import context_floor_s, context_line
from cluster_sim.typing import Array

Fit = TypeVar("Fit")

TOLERANCE = 0.03
"""Relative error above which a kernel counts linearly instead of by its square."""
MOST_ROWS = 4000
"""Maximum number of kernels per fit; they are drawn at random."""
SHORT_KEYS = (128, 127)
"""Values of `short_keys` that are tried. The second one is for devices on which a kernel of exactly
128 keys already runs like longer ones."""

_GENERATION = {
    "start_s": Bounds(6e-6, 5e-7, 5e-5),
    "value_s": Bounds(5e-9, 1e-12, 1e-6, vanishes=True),
    "head_s": Bounds(1e-10, 1e-13, 1e-7, vanishes=True),
    "sequence_s": Bounds(5e-9, 1e-11, 1e-6, vanishes=True),
    "free_units": Bounds(100.0, 5.0, 4e3),
    "unit_s": Bounds(5e-9, 1e-12, 1e-6, vanishes=True),
    "tile_bandwidth_bytes_per_s": Bounds(5e12, 1e11, 1e15),
    "long_start_s": Bounds(8e-6, 5e-7, 5e-5),
    "long_unit_s": Bounds(3e-9, 1e-12, 1e-6, vanishes=True),
    "window_s": Bounds(5e-7, 1e-9, 1e-5, vanishes=True),
    "bandwidth_bytes_per_s": Bounds(4e12, 1e11, 1e14),
    "half_units": Bounds(2.0, 0.01, 100.0),
}
_CONTEXT = {
    "start_s": Bounds(7e-6, 5e-7, 5e-5),
    "value_s": Bounds(5e-9, 1e-12, 1e-6, vanishes=True),
    "head_s": Bounds(1e-8, 1e-12, 1e-6, vanishes=True),
    "kv_head_s": Bounds(1e-9, 1e-12, 1e-6, vanishes=True),
    "long_start_s": Bounds(8e-6, 5e-7, 5e-5),
    "compute_flop_per_s": Bounds(1.5e15, 1e13, 1e17),
    "extra_values": Bounds(60.0, 0.1, 1e3, vanishes=True),
    "wide": Bounds(0.1, 1e-3, 10.0, vanishes=True),
    "extra_keys": Bounds(200.0, 1.0, 3e3),
    "tile_tokens": Bounds(64.0, 0.1, 500.0, vanishes=True),
    "window_keys": Bounds(64.0, 0.1, 500.0, vanishes=True),
    "key_s": Bounds(3e-9, 1e-11, 1e-7, vanishes=True),
}


@dataclass(frozen=True, slots=True)
class AttentionKernels:
    """Measured attention kernels, one per row."""

    batch: Array
    tokens: Array
    """Numbers of tokens per sequence: cached tokens in decode, new tokens in prefill."""
    window: Array
    """Lengths of the sliding window [tokens]; 0 without one."""
    heads: Array
    kv_heads: Array
    head_dim: Array
    kv_bytes: Array
    """Sizes of one value of the KV cache [B]."""
    seconds: Array

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> AttentionKernels:
        """Return some of the rows, by index or by mask."""
        return AttentionKernels(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def sample(self, most: int, seed: int = 0) -> AttentionKernels:
        """Return at most that many rows, drawn with a fixed seed."""
        if len(self) <= most:
            return self
        return self.take(
            np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False))
        )

    @property
    def shape(self) -> AttentionShape:
        """Shape of each kernel."""
        return AttentionShape(self.heads, self.kv_heads, self.head_dim, self.kv_bytes)

    @property
    def keys(self) -> Array:
        """Number of keys that the last query of a sequence sees, per kernel."""
        return np.where(self.window > 0, np.minimum(self.tokens, self.window), self.tokens)

    @property
    def pairs(self) -> Array:
        """Number of causal (query, key) pairs per sequence in prefill, per kernel."""
        hidden = self.tokens - self.keys
        pairs: Array = self.tokens * (self.tokens + 1) / 2 - hidden * (hidden + 1) / 2
        return pairs


def attention_kernels(rows: pa.Table) -> AttentionKernels:
    """Return the kernels of a table with the columns of aiconfigurator.

    The columns are batch_size, isl, step, num_heads, num_key_value_heads, head_dim, window_size,
    kv_cache_dtype and latency_ms. `isl + step` is the context in decode. In prefill `isl` is the
    prompt and `step` is 0. Rows without a time above 0 are omitted.
    """
    rows = rows.filter(pc.greater(rows["latency_ms"], 0.0))
    narrow = np.asarray(pc.equal(rows["kv_cache_dtype"], "fp8").to_numpy(), dtype=bool)
    return AttentionKernels(
        batch=numbers(rows, "batch_size"),
        tokens=numbers(rows, "isl") + numbers(rows, "step"),
        window=numbers(rows, "window_size"),
        heads=numbers(rows, "num_heads"),
        kv_heads=numbers(rows, "num_key_value_heads"),
        head_dim=numbers(rows, "head_dim"),
        kv_bytes=np.where(narrow, 1.0, 2.0),
        seconds=numbers(rows, "latency_ms") * 1e-3,
    )


def predict_generation(fit: GenerationAttentionFit, kernels: AttentionKernels) -> Array:
    """Return the time of each kernel according to `generation_attention_s` [s]."""
    windowed = kernels.keys < kernels.tokens
    floor_s = generation_floor_s(fit, kernels.shape, kernels.batch)
    fixed_s, per_key_s = generation_line(fit, kernels.shape, kernels.batch, windowed=windowed)
    line_s = fixed_s + kernels.batch * kernels.keys * per_key_s
    predicted_s: Array = np.where(
        (kernels.keys <= fit.short_keys) & ~windowed, floor_s, np.maximum(floor_s, line_s)
    )
    return predicted_s


def predict_context(fit: ContextAttentionFit, kernels: AttentionKernels) -> Array:
    """Return the time of each kernel according to `context_attention_s` [s]."""
    hidden = kernels.tokens - kernels.keys
    # second ragged edges of tokens whose view is cut by a window
    edges = hidden * (fit.window_keys + fit.tile_tokens * kernels.kv_heads / kernels.heads)
    line = context_line(fit, kernels.shape, kernels.batch)
    line_s = line.fixed_s + kernels.batch * (
        line.per_token_s * kernels.tokens + line.per_pair_s * (kernels.pairs + edges)
    )
    floor_s = context_floor_s(fit, kernels.shape, kernels.batch)
    # the loop over keys ends with the window
    predicted_s: Array = np.maximum(floor_s, line_s - fit.key_s * hidden)
    return predicted_s


def fit_generation(
    kernels: AttentionKernels, like: GenerationAttentionFit | None = None
) -> GenerationAttentionFit:
    """Return the constants that fit decode attention; deterministic, takes seconds.

    Parameters
    ----------
    kernels
        Measured kernels.
    like
        Constants of a similar device, with rates scaled to this one. They are used where the kernels
        do not determine a constant.

    Returns
    -------
    GenerationAttentionFit
        Constants, rounded to four digits.
    """
    sample = kernels.sample(MOST_ROWS)
    alike = None if like is None else {name: float(getattr(like, name)) for name in _GENERATION}

    def fitted(short_keys: int) -> tuple[float, GenerationAttentionFit]:
        def made(constants: dict[str, Any]) -> GenerationAttentionFit:
            return GenerationAttentionFit.model_construct(short_keys=short_keys, **constants)

        cost, best = LogFit(
            _GENERATION,
            lambda constants: predict_generation(made(constants), sample),
            sample.seconds,
            TOLERANCE,
            alike,
        ).solved()
        return cost, made(rounded(_GENERATION, best))

    short_keys = SHORT_KEYS if like is None else (like.short_keys,)
    return min(map(fitted, short_keys), key=lambda end: end[0])[1]


def fit_context(
    kernels: AttentionKernels, peak_bandwidth: float, like: ContextAttentionFit | None = None
) -> ContextAttentionFit:
    """Return the constants that fit prefill attention; deterministic, takes seconds.

    Parameters
    ----------
    kernels
        Measured kernels.
    peak_bandwidth
        Peak bandwidth of the device's memory [B/s].
    like
        Constants of a similar device, with rates scaled to this one. They are used where the kernels
        do not determine a constant.

    Returns
    -------
    ContextAttentionFit
        Constants, rounded to four digits.
    """
    sample = kernels.sample(MOST_ROWS)
    alike = None if like is None else {name: float(getattr(like, name)) for name in _CONTEXT}

    def made(constants: dict[str, Any]) -> ContextAttentionFit:
        return ContextAttentionFit.model_construct(
            bandwidth_bytes_per_s=peak_bandwidth, **constants
        )

    _, best = LogFit(
        _CONTEXT,
        lambda constants: predict_context(made(constants), sample),
        sample.seconds,
        TOLERANCE,
        alike,
    ).solved()
    return made(rounded(_CONTEXT, best))


def cross_validate(
    kernels: AttentionKernels,
    fit: Callable[[AttentionKernels], Fit],
    predict: Callable[[Fit, AttentionKernels], Array],
) -> Errors:
    """Return the errors on shapes (heads, KV heads, width), each outside of one fit."""

    def refit(seen: Array, held: Array) -> Array:
        return predict(fit(kernels.take(seen)), kernels.take(held))

    return cross_validated(
        np.stack([kernels.heads, kernels.kv_heads, kernels.head_dim]), kernels.seconds, refit
    )


def naive_generation(device: Device, kernels: AttentionKernels) -> Array:
    """Return the time of each kernel at the device's peak memory bandwidth [s]."""
    read = (
        2.0 * kernels.kv_heads * kernels.head_dim * kernels.kv_bytes * kernels.batch * kernels.keys
    )
    predicted_s: Array = read / device.memory.bandwidth_bytes_per_s
    return predicted_s


def naive_context(device: Device, kernels: AttentionKernels) -> Array:
    """Return the time of each kernel at the device's peaks [s].

    It is the larger one of bf16 compute, and of memory traffic for queries, keys, values and
    outputs.
    """
    flop = 4.0 * kernels.batch * kernels.heads * kernels.head_dim * kernels.pairs
    moved = (
        2.0
        * kernels.batch
        * kernels.tokens
        * kernels.head_dim
        * (2.0 * kernels.heads + kernels.kv_heads * kernels.kv_bytes)
    )
    predicted_s: Array = np.maximum(
        flop / device.peak.bf16_flop_per_s, moved / device.memory.bandwidth_bytes_per_s
    )
    return predicted_s
