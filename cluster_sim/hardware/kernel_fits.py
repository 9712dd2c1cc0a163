"""Times of a device's kernels, fitted to measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self, TypeVar

from pydantic import Field

from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.hardware.linear_fit import LinearAttentionFit
from cluster_sim.hardware.sparse_fit import SparseAttentionFit
from cluster_sim.schema import Description
from cluster_sim.typing import Count, CountOrZero
from cluster_sim.units import BytesPerSecond, FlopPerSecond, PositiveBytes, PositiveSeconds, Seconds


class GemmFit(KernelFit):
    """Time of one matrix product alone on a device, one fit per precision.

    `physics.gemm.gemm_s` puts the constants together.
    """

    processors: Count
    """Number of streaming multiprocessors: tiles of the output that are worked on at a time."""
    element_bytes: PositiveBytes
    """Size of one weight with its share of the scales [B]: 0.5625 B for nvfp4."""
    launch_s: PositiveSeconds
    """Time of the smallest product [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which weights, inputs and outputs move [B/s]."""
    compute_flop_per_s: FlopPerSecond
    """Compute rate of a short kernel with any number of tiles [FLOP/s]."""
    overlap: Annotated[float, Field(ge=1.0)]
    """Exponent of the norm that joins moving and computing. With 1 they do not overlap."""
    tile_overhead: Annotated[float, Field(ge=0.0)]
    """Cost of a tile at each of its inputs beside its elements: loads and latency of the main loop
    [elements]."""
    epilogue_s: Seconds
    """Time to write one element of a tile after it is summed [s]."""
    split_s: Seconds
    """Time to join the parts of a product whose k is split, per square root of the parts [s]."""
    partial_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which the sums of the parts are added up, 4 B each [B/s]."""
    slowdown: Annotated[float, Field(ge=0.0)]
    """Share by which a long kernel takes longer than short ones suggest, presumably because of the
    device's power limit."""
    row_s: Seconds
    """Time per token of a kernel that quantises it [s]."""
    activation_s: Seconds
    """Time to quantise one element of the inputs [s]."""


class GenerationAttentionFit(KernelFit):
    """Time of one decode-attention kernel, one fit per precision of the KV cache.

    A unit is one KV head of one sequence. `physics.decode_attention` puts the constants together.
    """

    start_s: Seconds
    """Time of a kernel of few short sequences, before the width of heads counts [s]."""
    value_s: Seconds
    """Time per value of a head's width (`head_dim`) [s]."""
    head_s: Seconds
    """Time per query head of each sequence [s]."""
    sequence_s: Seconds
    """Time per sequence, up to 512 of them: kernels that plan ahead walk over them first [s]."""
    free_units: Annotated[float, Field(ge=0.0)]
    """Number of units that run side by side at no cost: about one wave of thread blocks."""
    unit_s: Seconds
    """Time per unit beyond the free ones, without its bytes [s]."""
    tile_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which the first tile of keys of a unit is read [B/s]. A kernel reads a whole tile
    even of few keys."""
    short_keys: CountOrZero
    """Number of keys per sequence up to which the time does not depend on them."""
    long_start_s: Seconds
    """Start of a kernel of longer sequences, which are split over several blocks and combined
    [s]."""
    long_unit_s: Seconds
    """Time per unit beyond the free ones in a kernel of longer sequences [s]."""
    window_s: Seconds
    """Additional time where a window cuts the sequences [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which keys and values are read when there are enough units [B/s]."""
    half_units: Annotated[float, Field(ge=0.0)]
    """Number of units that reach half of that bandwidth: the limit of splitting one sequence."""


class ContextAttentionFit(KernelFit):
    """Time of one prefill-attention kernel, one fit per precision of the KV cache.

    A head is one query head of one sequence. `physics.prefill_attention` puts the constants
    together.
    """

    start_s: Seconds
    """Time of a kernel of few short prompts, before the width of heads counts [s]."""
    value_s: Seconds
    """Time per value of a head's width (`head_dim`) [s]."""
    head_s: Seconds
    """Time per head of prompts that fit into one tile [s]."""
    kv_head_s: Seconds
    """Time per KV head of prompts that fit into one tile [s]."""
    long_start_s: Seconds
    """Start of a kernel of longer prompts [s]."""
    compute_flop_per_s: FlopPerSecond
    """Rate of the two products with very wide heads [FLOP/s]."""
    extra_values: Annotated[float, Field(ge=0.0)]
    """Cost of the softmax of a pair, in values of a head's width."""
    wide: Annotated[float, Field(ge=0.0)]
    """Additional cost of a head's value beyond the 128th, relative to one before: tiles become
    smaller."""
    extra_keys: Annotated[float, Field(ge=0.0)]
    """Number of keys that a token costs beyond those it sees: masked parts of tiles, reading
    queries, writing outputs."""
    tile_tokens: Annotated[float, Field(ge=0.0)]
    """Number of tokens that one tile spans where each query head has its own KV head; they count as
    extra keys. Where g query heads share a KV head, a tile packs their queries and spans a g-th of
    the tokens, and so does its ragged edge."""
    window_keys: Annotated[float, Field(ge=0.0)]
    """Number of further extra keys of a token whose view a window cuts: a second ragged edge, on
    top of another `tile_tokens / g`."""
    key_s: Seconds
    """Time per key of one sequence [s]. A block walks over them one tile after another, and the
    longest walk counts."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which cached keys and values are read [B/s]: the device's peak, not a fit. New keys
    are read while others are computed."""


class KernelFits(Description):
    """Kernels alone on a device, fitted to measured ones by `cluster-sim calibrate`.

    Keys are precisions of the weights or of the KV cache, or names such as `fp8_vllm` where an
    engine has kernels of its own.
    """

    gemm: dict[str, GemmFit] = Field(default_factory=dict)
    """Matrix products."""
    generation: dict[str, GenerationAttentionFit] = Field(default_factory=dict)
    """Attention of decoding."""
    context: dict[str, ContextAttentionFit] = Field(default_factory=dict)
    """Attention of prefill."""
    linear: dict[str, LinearAttentionFit] = Field(default_factory=dict)
    """State part of linear-attention layers; keys are kinds of layers, such as
    `gated_delta_net`, or `gated_delta_net_vllm` where an engine has kernels of its own."""
    sparse: dict[str, SparseAttentionFit] = Field(default_factory=dict)
    """Sparse attention; keys are kinds of layers with the precision of the KV cache, such as
    `latent_fp8`, or `latent_fp8_vllm` where an engine has kernels of its own."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """Return all fits at a share of the clock and of the memory, see `KernelFit.at`."""
        slowed = {
            kind: {name: fit.at(clock, memory) for name, fit in getattr(self, kind).items()}
            for kind in type(self).model_fields
        }
        return self.model_copy(update=slowed)

    def updated(self, other: KernelFits) -> KernelFits:
        """Return these fits with those of `other` in place of the ones of the same name."""
        return KernelFits(
            **{kind: getattr(self, kind) | getattr(other, kind) for kind in type(self).model_fields}
        )


Fit = TypeVar("Fit")


def fit_name(precision: str, engine: str) -> str:
    """Return the key of an engine's own fit of a precision; the precision where `engine` is empty.

    >>> fit_name("fp8", "vLLM"), fit_name("fp8", "")
    ('fp8_vllm', 'fp8')
    """
    return f"{precision}_{engine.lower()}" if engine else precision


def fit_of_engine(fits: Mapping[str, Fit], precision: str, engine: str) -> Fit | None:
    """Return the engine's own fit of a precision, or else that of all engines; None without any."""
    return fits.get(fit_name(precision, engine), fits.get(precision))
