"""Constants of sparse attention, fitted to measured blocks and tested on other shapes.

The predicted time of a block is the sum of its projections, by this project's fits with launches
overlapped as in the engine, and of the attention by the constants. In the measurements, the host
launched the kernels of prompts one after another. Blocks of prompts therefore take at least as long
as those of a few tokens with equal products, indexer and range of the number of keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.block_products import block_products
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
from cluster_sim.calibration.engines import by_engine, shares_of_peaks
from cluster_sim.calibration.errors import Errors
from cluster_sim.calibration.fit_options import FitOptions
from cluster_sim.calibration.sparse_blocks import (
    ProductsSeconds,
    SparseBlocks,
    sparse_blocks,
)
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.kernel_fits import KernelFits, fit_name
from cluster_sim.hardware.precision import Precision
from cluster_sim.hardware.sparse_fit import SparseAttentionFit
from cluster_sim.physics.sparse_attention import (
    sparse_decode_line,
    sparse_prefill_line,
    sparse_roofline,
)
from cluster_sim.typing import Array

TOLERANCE = 0.03
"""Relative error above which a block counts linearly instead of by its square."""
MOST_ROWS = 4000
"""Maximum number of blocks per fit; they are drawn at random."""
POOR = 0.3
"""Median error on excluded shapes above which a roofline replaces the constants."""

_DECODE = {
    "start_s": Bounds(2e-5, 1e-7, 1e-3, vanishes=True),
    "sequence_s": Bounds(1e-8, 1e-11, 1e-5, vanishes=True),
    "head_s": Bounds(1e-9, 1e-12, 1e-7, vanishes=True),
    "bandwidth_bytes_per_s": Bounds(5e12, 1e11, 1e14),
    "compute_flop_per_s": Bounds(5e14, 1e12, 1e17),
    "index_start_s": Bounds(1e-5, 1e-8, 1e-3, vanishes=True),
    "select_s": Bounds(1e-5, 1e-8, 1e-3, vanishes=True),
    "index_bandwidth_bytes_per_s": Bounds(4e12, 1e11, 1e14),
    "half_sequences": Bounds(2.0, 0.01, 100.0, vanishes=True),
}
_PREFILL = {
    "prompt_start_s": Bounds(5e-5, 1e-6, 5e-3, vanishes=True),
    "prompt_token_s": Bounds(1e-8, 1e-11, 1e-5, vanishes=True),
    "prompt_head_s": Bounds(1e-10, 1e-13, 1e-7, vanishes=True),
    "prompt_bandwidth_bytes_per_s": Bounds(5e12, 1e11, 1e15),
    "prompt_compute_flop_per_s": Bounds(5e14, 1e13, 1e17),
    "expand_s": Bounds(1e-9, 1e-13, 1e-7, vanishes=True),
    "prompt_select_s": Bounds(3e-5, 1e-7, 5e-3, vanishes=True),
    "index_compute_flop_per_s": Bounds(1e15, 1e13, 1e17),
    "index_extra_tokens": Bounds(30.0, 0.1, 1e3, vanishes=True),
}
_LARGEST_GRAPH = 512
"""Maximum number of sequences for which SGLang ran decode in a CUDA graph in the measurements."""
_FEW_TOKENS, _FEW_SEQUENCES = 64, 8
"""Maximum numbers of new tokens and of sequences of prompts whose time is that of the host."""
_ATTENTION = {"dsa": "latent", "msa": "full"}
"""Kinds of layers by the prefix of `op_name`."""


@dataclass(frozen=True)
class HostFit:
    """Constants of one phase, with the times in which the host launches a block, by group."""

    constants: Constants
    host_s: dict[float, float]

    def floor_s(self, blocks: SparseBlocks) -> Array:
        """Return the minimum time of each block [s]."""
        return np.array([self.host_s.get(group, 0.0) for group in blocks.group])


class _Phase(NamedTuple):
    """Phase of serving, with the bounds of its constants."""

    name: str
    bounds: dict[str, Bounds]
    predict: Callable[[SparseAttentionFit, SparseBlocks], Array]
    is_from_host: bool


def predict_decode(fit: SparseAttentionFit, blocks: SparseBlocks) -> Array:
    """Return the time of each block in decode, projections included [s]."""
    line = sparse_decode_line(
        fit, blocks.shape, blocks.sequences, selecting=blocks.is_selecting * 1.0
    )
    full, read = blocks.pairs
    seconds: Array = (
        blocks.products_s + line.fixed_s + line.index_key_s * full + line.limited_key_s * read
    )
    return seconds


def predict_prefill(fit: SparseAttentionFit, blocks: SparseBlocks) -> Array:
    """Return the time of each block in prefill, projections included [s]."""
    line = sparse_prefill_line(fit, blocks.shape, selecting=blocks.is_selecting * 1.0)
    full, read = blocks.pairs
    seconds: Array = (
        blocks.products_s
        + line.fixed_s
        + line.token_s * blocks.sequences * blocks.tokens
        + line.index_pair_s * full
        + line.limited_pair_s * read
        + line.key_s * blocks.sequences * blocks.keys
    )
    return seconds


_PHASES = (
    _Phase("generation", _DECODE, predict_decode, is_from_host=False),
    _Phase("context", _PREFILL, predict_prefill, is_from_host=True),
)


def calibrate_sparse(table: pa.Table, device: Device, choice: FitOptions) -> Iterator[Calibrated]:
    """Yield the errors and the fit of each kind of attention and precision of the cache.

    There is one result for decode and one for prefill, per engine. Kinds with too few blocks of one
    phase are skipped. If the constants of a phase have an error above `POOR`, a roofline is used
    instead.
    """
    for engine, kept_as, rows in by_engine(table, choice):
        for op, kind in _ATTENTION.items():
            alike = rows.filter(pc.starts_with(rows["op_name"], op))
            for kv_cache in ("bf16", "fp8"):
                blocks = _blocks(alike, kv_cache, block_products(device, engine), engine)
                if min(map(len, blocks)) < choice.fewest:
                    continue
                name = fit_name(f"{kind}_{kv_cache}", kept_as)
                yield from _calibrated(blocks, device, f"{kind} {kv_cache} {engine}".strip(), name)


def _calibrated(
    blocks: list[SparseBlocks], device: Device, title: str, name: str
) -> Iterator[Calibrated]:
    naive = sparse_roofline(device.memory.bandwidth_bytes_per_s, device.peak.bf16_flop_per_s)
    unmeasured = sparse_roofline(*shares_of_peaks(device))
    constants = {field: getattr(unmeasured, field) for field in SparseAttentionFit.model_fields}
    rows = []
    for phase, measured in zip(_PHASES, blocks, strict=True):
        phase_fit, errors = fit_phase(phase, measured)
        constants |= phase_fit.constants if errors.median <= POOR else {"is_partial": True}
        predicted_s = _predicted_s(phase, phase_fit, measured)
        rows.append((phase, measured, errors, Errors.of(predicted_s, measured.seconds)))
    fit = guess(SparseAttentionFit, constants)
    fits = DeviceFits(KernelFits(sparse={name: fit}))
    for phase, measured, errors, fitted in rows:
        yield Calibrated(
            f"sparse {title} {phase.name}",
            len(measured),
            errors,
            Errors.of(phase.predict(naive, measured), measured.seconds),
            fits,
            fitted,
        )


def fit_phase(phase: _Phase, blocks: SparseBlocks) -> tuple[HostFit, Errors]:
    """Return the constants of one phase, and the errors on whole shapes outside of the fit.

    A shape is a model with its heads on the device, with or without an indexer, and the precision
    of its products.
    """

    def refit(seen: Array, held: Array) -> Array:
        return _predicted_s(phase, _fitted(phase, blocks.take(seen)), blocks.take(held))

    errors = cross_validated(blocks.layer[None], blocks.seconds, refit)
    return _fitted(phase, blocks), errors


def _fitted(phase: _Phase, blocks: SparseBlocks) -> HostFit:
    host_s = _host_s(blocks) if phase.is_from_host else {}
    drawn = blocks.take(some_of(len(blocks), MOST_ROWS))
    # the cost of an indexer can only be separated if there are layers without one
    held = {}
    if "index_start_s" in phase.bounds and (blocks.index_flop > 0.0).all():
        held = {"index_start_s": 0.0}
    bounds = {name: bound for name, bound in phase.bounds.items() if name not in held}
    floor_s = HostFit({}, host_s).floor_s(drawn)
    _, best = LogFit(
        bounds,
        lambda constants: np.maximum(
            phase.predict(guess(SparseAttentionFit, constants | held), drawn), floor_s
        ),
        drawn.seconds,
        TOLERANCE,
    ).solved()
    return HostFit(rounded(bounds, best) | held, host_s)


def _predicted_s(phase: _Phase, fit: HostFit, blocks: SparseBlocks) -> Array:
    seconds: Array = np.maximum(
        phase.predict(guess(SparseAttentionFit, fit.constants), blocks), fit.floor_s(blocks)
    )
    return seconds


def _host_s(blocks: SparseBlocks) -> dict[float, float]:
    """Return the median time of blocks with few tokens and sequences, by group [s]."""
    tokens = blocks.sequences * blocks.tokens
    few = (tokens <= _FEW_TOKENS) & (blocks.sequences <= _FEW_SEQUENCES)
    return {
        float(group): float(np.median(blocks.seconds[few & (blocks.group == group)]))
        for group in np.unique(blocks.group[few])
    }


def _blocks(
    table: pa.Table, kv_cache: Precision, products_s: ProductsSeconds, engine: str
) -> list[SparseBlocks]:
    """Return the blocks of decode and of prefill.

    The following are omitted: prompts of one token, which engines decode; precisions of products
    without a fit; SGLang's batches above its largest graph; and SGLang's short prompts with so many
    sequences that it does not expand their keys.
    """
    decode = sparse_blocks(table, kv_cache, products_s, decoding=True)
    prompts = table.filter(pc.greater(table["isl"], 1))
    if engine == "SGLang":
        decode = decode.take(decode.sequences <= _LARGEST_GRAPH)
        short = pc.less_equal(pc.add(prompts["isl"], prompts["step"]), 2048)
        gathers = pc.and_(short, pc.match_substring(prompts["kernel_source"], "_indexer"))
        prompts = prompts.filter(pc.invert(gathers))
    prefill = sparse_blocks(prompts, kv_cache, products_s, decoding=False)
    return [blocks.take(np.isfinite(blocks.products_s)) for blocks in (decode, prefill)]
