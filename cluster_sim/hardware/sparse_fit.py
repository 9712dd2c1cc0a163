"""Constants of sparse attention: an indexer chooses the keys that a query reads."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.units import BytesPerSecond, FlopPerSecond, Seconds


class SparseAttentionFit(KernelFit):
    """Time of sparse attention beside its projections, one fit per precision of the KV cache.

    `physics.sparse_attention` puts the constants together.
    """

    start_s: Seconds
    """Time of the kernels of one decoding sequence, without those of the indexer [s]."""
    sequence_s: Seconds
    """Time per decoding sequence [s]."""
    head_s: Seconds
    """Time per query head of each decoding sequence [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which decoding gathers the chosen keys and values [B/s]."""
    compute_flop_per_s: FlopPerSecond
    """Rate of decoding queries with the chosen keys [FLOP/s]."""
    index_start_s: Seconds
    """Time of the indexer's kernels in decoding, however short the context [s]."""
    select_s: Seconds
    """Time in decoding from which on keys are chosen, where the context is longer than the number
    that is read [s]."""
    index_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which decoding reads index keys and chooses among them [B/s]."""
    half_sequences: Annotated[float, Field(ge=0.0)]
    """Number of decoding sequences that reach half of that rate."""
    prompt_start_s: Seconds
    """Time of the kernels of few prompt tokens [s]."""
    prompt_token_s: Seconds
    """Time per prompt token [s]."""
    prompt_head_s: Seconds
    """Time per query head of each prompt token [s]."""
    prompt_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which prompts gather the chosen keys and values [B/s]."""
    prompt_compute_flop_per_s: FlopPerSecond
    """Rate of pairs of query and key in prefill [FLOP/s]."""
    expand_s: Seconds
    """Time per query head of each key of a prompt that is too short for choosing, whose keys and
    values are spelled out [s]."""
    prompt_select_s: Seconds
    """Time of choosing in prefill, however few tokens [s]."""
    index_compute_flop_per_s: FlopPerSecond
    """Rate of the indexer's pairs in prefill, choosing included [FLOP/s]."""
    index_extra_tokens: Annotated[float, Field(ge=0.0)]
    """Number of tokens that a chunk counts in addition for the indexer: half-empty tiles."""
    is_partial: bool = False
    """Whether one phase was not measured well enough, whose constants are shares of the peaks."""
