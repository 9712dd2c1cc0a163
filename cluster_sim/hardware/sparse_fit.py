"""Constants of sparse attention, in which an indexer selects the keys that a query reads."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.units import BytesPerSecond, FlopPerSecond, Seconds


class SparseAttentionFit(KernelFit):
    """Time of sparse attention without its projections, one fit per precision of the KV cache.

    `physics.sparse_attention` combines the constants.
    """

    start_s: Seconds
    """Time of the kernels of one decoding sequence, without those of the indexer [s]."""
    sequence_s: Seconds
    """Time per decoding sequence [s]."""
    head_s: Seconds
    """Time per query head of each decoding sequence [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which decode gathers the selected keys and values [B/s]."""
    compute_flop_per_s: FlopPerSecond
    """Compute rate of decoding queries with the selected keys [FLOP/s]."""
    index_start_s: Seconds
    """Time of the indexer's kernels in decode for any length of context [s]."""
    select_s: Seconds
    """Additional time in decode to select keys, if the context is longer than the number of keys
    that is read [s]."""
    index_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which decode reads index keys and selects among them [B/s]."""
    half_sequences: Annotated[float, Field(ge=0.0)]
    """Number of decoding sequences at which half of `index_bandwidth` is reached."""
    prompt_start_s: Seconds
    """Time of the kernels for few prompt tokens [s]."""
    prompt_token_s: Seconds
    """Time per prompt token [s]."""
    prompt_head_s: Seconds
    """Time per query head of each prompt token [s]."""
    prompt_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which prefill gathers the selected keys and values [B/s]."""
    prompt_compute_flop_per_s: FlopPerSecond
    """Compute rate per query-key pair in prefill [FLOP/s]."""
    expand_s: Seconds
    """Time per query head and key of a prompt that is too short for a selection, and whose keys and
    values are expanded [s]."""
    prompt_select_s: Seconds
    """Time of the selection in prefill for any number of tokens [s]."""
    index_compute_flop_per_s: FlopPerSecond
    """Compute rate of the indexer's pairs in prefill, selection included [FLOP/s]."""
    index_extra_tokens: Annotated[float, Field(ge=0.0)]
    """Number of tokens that the indexer counts per chunk in addition, for half-empty tiles."""
    is_partial: bool = False
    """Whether one phase was not measured well enough. Its constants are then shares of the
    peaks."""
