"""Constants of the kernels of latent attention, in which all heads share one vector per token."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.typing import Count, CountOrZero
from cluster_sim.units import (
    BytesPerSecond,
    FlopPerSecond,
    PositiveBytes,
    PositiveSeconds,
    Seconds,
)


class LatentGenerationFit(KernelFit):
    """Time of one kernel of latent decode, one fit per precision of the KV cache.

    `physics.latent_attention` combines the constants.
    """

    start_s: PositiveSeconds
    """Time of a kernel with few short sequences [s]."""
    sequence_s: Seconds
    """Time per short sequence [s]."""
    head_s: Seconds
    """Time per query head of each short sequence: reading queries, writing outputs [s]."""
    rise: Annotated[float, Field(ge=1.0)]
    """Exponent of the norm that combines the start with the time of the short sequences. With 1
    they add up."""
    short_keys: CountOrZero
    """Maximum number of keys per sequence for which the time does not depend on the number of
    keys."""
    long_start_s: Seconds
    """Start time of a kernel with longer sequences, which are split over several blocks and
    combined [s]."""
    long_sequence_s: Seconds
    """Time per longer sequence without its keys [s]."""
    long_head_s: Seconds
    """Time per query head of each longer sequence without its keys [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which latent vectors are read if there are enough sequences [B/s]."""
    reread: Annotated[float, Field(ge=0.0)]
    """Time of reading the keys again for each further tile of query heads, relative to the first
    reading."""
    half_sequences: Annotated[float, Field(ge=0.0)]
    """Number of sequences at which half of `bandwidth` is reached, because a single sequence can be
    split only so far."""
    compute_flop_per_s: FlopPerSecond
    """Compute rate of the query heads with the keys [FLOP/s]."""
    tile_rows: Count
    """Number of query heads that a kernel of 64 or more heads computes at least: the rows of its
    tile."""
    overlap: Annotated[float, Field(ge=1.0)]
    """Exponent of the norm that combines reading and computing. With 1 they do not overlap."""


class LatentContextFit(KernelFit):
    """Time of one kernel of latent prefill, one fit per precision of the KV cache.

    Keys and values are expanded for each head before the kernel. A head is one query head of one
    sequence. `physics.latent_attention` combines the constants.
    """

    start_s: PositiveSeconds
    """Time of a kernel with few short prompts [s]."""
    head_s: Seconds
    """Time per head of prompts that fit into one tile [s]."""
    long_start_s: Seconds
    """Start time of a kernel with longer prompts [s]."""
    long_head_s: Seconds
    """Time per head of longer prompts without their tokens [s]."""
    extra_keys: Annotated[float, Field(ge=0.0)]
    """Number of keys that a token costs in addition to those it sees: masked parts of tiles,
    reading queries, quantising, writing outputs."""
    key_s: Seconds
    """Time per key of one sequence [s]. A block visits the keys one tile after another."""
    compute_flop_per_s: FlopPerSecond
    """Compute rate of the two products of a query with a key [FLOP/s]."""


class LatentProductFit(KernelFit):
    """Time of one absorbed projection of latent decode, one fit per precision of the weights.

    The projection multiplies the queries or the outputs of each head by a matrix of that head.
    `physics.latent_attention` combines the constants.
    """

    start_s: PositiveSeconds
    """Time of the smallest product [s]."""
    weight_bytes: PositiveBytes
    """Size of one weight [B]. It is that of the measured kernel, not a fit."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which weights move, and inputs and outputs that do not fit into the cache [B/s]."""
    cache_bytes: PositiveBytes
    """Size of inputs and outputs up to which they stay in the device's cache [B]."""
    cache_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which inputs and outputs move in the cache [B/s]."""
    compute_flop_per_s: FlopPerSecond
    """Compute rate [FLOP/s]."""
    token_s: Seconds
    """Time per token and head in addition to its bytes and its products: quantising [s]."""
    rise: Annotated[float, Field(ge=1.0)]
    """Exponent of the norm that combines the start with the rest. With 1 they add up."""
