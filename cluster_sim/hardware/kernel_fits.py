"""Times of a device's kernels, fitted to measurements."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Self, TypeVar

from pydantic import Field

from cluster_sim.hardware.block_attention_fit import BlockAttentionFit
from cluster_sim.hardware.engine_releases import maker
from cluster_sim.hardware.expert_fit import ExpertFit
from cluster_sim.hardware.fused_fit import FusedExpertsFit
from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.hardware.latent_fit import (
    LatentContextFit,
    LatentGenerationFit,
    LatentProductFit,
)
from cluster_sim.hardware.linear_fit import LinearAttentionFit
from cluster_sim.hardware.sparse_fit import SparseAttentionFit
from cluster_sim.schema import Description
from cluster_sim.typing import Count, CountOrZero
from cluster_sim.units import BytesPerSecond, FlopPerSecond, PositiveBytes, PositiveSeconds, Seconds


class GemmFit(KernelFit):
    """Time of one matrix product alone on a device, one fit per precision.

    `physics.gemm.gemm_s` combines the constants.
    """

    processors: Count
    """Number of streaming multiprocessors, which is the number of output tiles processed in
    parallel."""
    element_bytes: PositiveBytes
    """Size of one weight including its share of the scales [B]: 0.5625 B for nvfp4."""
    launch_s: PositiveSeconds
    """Time of the smallest product [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which weights, inputs and outputs move [B/s]."""
    compute_flop_per_s: FlopPerSecond
    """Compute rate of a short kernel with any number of tiles [FLOP/s]."""
    overlap: Annotated[float, Field(ge=1.0)]
    """Exponent of the norm that combines data movement and computing. With 1 they do not
    overlap."""
    tile_overhead: Annotated[float, Field(ge=0.0)]
    """Cost of a tile per input in addition to its elements: loads and latency of the main loop
    [elements]."""
    epilogue_s: Seconds
    """Time to write one element of a tile after its sum is complete [s]."""
    split_s: Seconds
    """Time to combine the parts of a product with a split k dimension, per square root of the
    number of parts [s]."""
    partial_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which the partial sums are added up, at 4 B each [B/s]."""
    slowdown: Annotated[float, Field(ge=0.0)]
    """Share by which a long kernel is slower than short ones suggest, presumably because of the
    device's power limit."""
    row_s: Seconds
    """Time per token of a kernel that quantises the inputs [s]."""
    activation_s: Seconds
    """Time to quantise one element of the inputs [s]."""


class GenerationAttentionFit(KernelFit):
    """Time of one decode-attention kernel, one fit per precision of the KV cache.

    A unit is one KV head of one sequence. `physics.decode_attention` combines the constants.
    """

    start_s: Seconds
    """Time of a kernel with few short sequences, without the time per head width [s]."""
    value_s: Seconds
    """Time per value of a head's width (`head_dim`) [s]."""
    head_s: Seconds
    """Time per query head of each sequence [s]."""
    sequence_s: Seconds
    """Time per sequence, for at most 512 sequences [s]. Kernels that plan their work first visit
    every sequence."""
    free_units: Annotated[float, Field(ge=0.0)]
    """Number of units that run in parallel at no cost, about one wave of thread blocks."""
    unit_s: Seconds
    """Time per unit beyond the free units, without reading its bytes [s]."""
    tile_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which the first tile of keys of a unit is read [B/s]. A kernel reads a whole tile
    even if there are few keys."""
    short_keys: CountOrZero
    """Maximum number of keys per sequence for which the time does not depend on the number of
    keys."""
    long_start_s: Seconds
    """Start time of a kernel with longer sequences, which are split over several blocks and
    combined [s]."""
    long_unit_s: Seconds
    """Time per unit beyond the free units in a kernel with longer sequences [s]."""
    window_s: Seconds
    """Additional time if a window cuts the sequences [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which keys and values are read if there are enough units [B/s]."""
    half_units: Annotated[float, Field(ge=0.0)]
    """Number of units at which half of `bandwidth` is reached, because a single sequence can be
    split only so far."""


class ContextAttentionFit(KernelFit):
    """Time of one prefill-attention kernel, one fit per precision of the KV cache.

    A head is one query head of one sequence. `physics.prefill_attention` combines the constants.
    """

    start_s: Seconds
    """Time of a kernel with few short prompts, without the time per head width [s]."""
    value_s: Seconds
    """Time per value of a head's width (`head_dim`) [s]."""
    head_s: Seconds
    """Time per head of prompts that fit into one tile [s]."""
    kv_head_s: Seconds
    """Time per KV head of prompts that fit into one tile [s]."""
    long_start_s: Seconds
    """Start time of a kernel with longer prompts [s]."""
    compute_flop_per_s: FlopPerSecond
    """Compute rate of the two products for very wide heads [FLOP/s]."""
    extra_values: Annotated[float, Field(ge=0.0)]
    """Cost of the softmax per query-key pair [values of a head's width]."""
    wide: Annotated[float, Field(ge=0.0)]
    """Additional cost of each value of a head beyond the 128th, relative to one of the first 128.
    Tiles become smaller for wide heads."""
    extra_keys: Annotated[float, Field(ge=0.0)]
    """Number of keys that a token costs in addition to those it sees: masked parts of tiles,
    reading queries, writing outputs."""
    tile_tokens: Annotated[float, Field(ge=0.0)]
    """Number of tokens that one tile spans if each query head has its own KV head. They count as
    extra keys. If g query heads share a KV head, a tile packs their queries and spans 1/g of the
    tokens, and so does its ragged edge."""
    window_keys: Annotated[float, Field(ge=0.0)]
    """Number of further extra keys per token if a window cuts its view: a second ragged edge, in
    addition to another `tile_tokens / g`."""
    key_s: Seconds
    """Time per key of one sequence [s]. A block visits the keys one tile after another, and the
    longest such sequence of tiles counts."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which cached keys and values are read [B/s]. It is the device's peak, not a fit. New
    keys are read while others are computed."""


class KernelFits(Description):
    """Kernels alone on a device, fitted to measured ones by `cluster-sim calibrate`.

    Keys are precisions of the weights or of the KV cache, or names such as `fp8_vllm` if an engine
    has its own kernels.
    """

    gemm: dict[str, GemmFit] = Field(default_factory=dict)
    """Fits of matrix products, by precision of the weights. Default: no fits."""
    generation: dict[str, GenerationAttentionFit] = Field(default_factory=dict)
    """Fits of decode attention, by precision of the KV cache. Default: no fits."""
    block_generation: dict[str, BlockAttentionFit] = Field(default_factory=dict)
    """Fits of decode attention of other attention back ends, by precision of the KV cache and back
    end, such as `fp8_flashinfer`. Default: no fits."""
    context: dict[str, ContextAttentionFit] = Field(default_factory=dict)
    """Fits of prefill attention, by precision of the KV cache. Default: no fits."""
    linear: dict[str, LinearAttentionFit] = Field(default_factory=dict)
    """Fits of the state part of linear-attention layers. Keys are kinds of layers, such as
    `gated_delta_net`, or `gated_delta_net_vllm` if an engine has its own kernels. Default: no
    fits."""
    sparse: dict[str, SparseAttentionFit] = Field(default_factory=dict)
    """Fits of sparse attention. Keys are kinds of layers with the precision of the KV cache, such
    as `latent_fp8`, or `latent_fp8_vllm` if an engine has its own kernels. Default: no fits."""
    latent_generation: dict[str, LatentGenerationFit] = Field(default_factory=dict)
    """Fits of decode with latent attention, by precision of the KV cache. Default: no fits."""
    latent_context: dict[str, LatentContextFit] = Field(default_factory=dict)
    """Fits of prefill with latent attention, by precision of the KV cache. Default: no fits."""
    latent_queries: dict[str, LatentProductFit] = Field(default_factory=dict)
    """Fits of the absorbed projection of the queries of latent decode, by precision of the weights.
    Default: no fits."""
    latent_outputs: dict[str, LatentProductFit] = Field(default_factory=dict)
    """Fits of the absorbed projection of the outputs of latent decode, by precision of the weights.
    Default: no fits."""

    fused_experts: dict[str, FusedExpertsFit] = Field(default_factory=dict)
    """Fits of kernels that run experts and their exchange together. Keys are formats of the
    experts' weights, such as `mxfp4`. Default: no fits."""

    experts: dict[str, ExpertFit] = Field(default_factory=dict)
    """Fits of routed experts. Keys are formats of their weights (`bf16`, `fp8`, `fp8_block`,
    `nvfp4`, `mxfp4`, `int4`), with the name of a further kernel, such as `nvfp4.min-latency`, and
    with that of an engine, such as `nvfp4_vllm`, if it has its own kernels. Default: no fits."""

    def backends(self, kv_cache: str) -> list[str]:
        """Return the attention back ends with fits for a precision of the KV cache, sorted."""
        names = (name.partition("_") for name in self.block_generation)
        return sorted(backend for precision, _, backend in names if precision == kv_cache)

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """Return all fits at a share of the clock and of the memory, see `KernelFit.at`."""
        slowed = {
            kind: {name: fit.at(clock, memory) for name, fit in getattr(self, kind).items()}
            for kind in type(self).model_fields
        }
        return self.model_copy(update=slowed)

    def updated(self, other: KernelFits) -> KernelFits:
        """Return these fits, with the fits of `other` in place of those of the same name."""
        return KernelFits(
            **{kind: getattr(self, kind) | getattr(other, kind) for kind in type(self).model_fields}
        )


Fit = TypeVar("Fit")


def fit_name(precision: str, engine: str) -> str:
    """Return the key of an engine's own fit of a precision; the precision if `engine` is empty.

    >>> fit_name("fp8", "vLLM"), fit_name("fp8", "")
    ('fp8_vllm', 'fp8')
    """
    return f"{precision}_{engine.lower()}" if engine else precision


def fit_of_engine(fits: Mapping[str, Fit], precision: str, engine: str) -> Fit | None:
    """Return the engine's own fit of a precision, or else the fit for all engines, if any.

    A release without a fit of its own has that of its engine.

    Examples
    --------
    >>> fits = {"fp8": "all engines", "fp8_vllm": "vLLM"}
    >>> fit_of_engine(fits, "fp8", "vLLM 0.22"), fit_of_engine(fits, "fp8", "SGLang")
    ('vLLM', 'all engines')
    """
    key = key_of_engine(fits, precision, engine)
    return None if key is None else fits[key]


def key_of_engine(fits: Collection[str], precision: str, engine: str) -> str | None:
    """Return the key of the fit that `fit_of_engine` returns; None if there is no fit."""
    keys = (fit_name(precision, engine), fit_name(precision, maker(engine)), precision)
    return next((key for key in keys if key in fits), None)
