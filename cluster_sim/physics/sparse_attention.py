"""Time of sparse attention of one layer on one device, without its projections.

An indexer scores all keys of the context, and a query reads the `top_k` best of them. Two kinds are
covered: DeepSeek Sparse Attention (DeepSeek-V3.2, 2025) over latent vectors, which GLM-5 uses too,
and the sparse attention of MiniMax-M3, which chooses blocks of 128 keys. The caller applies tensor
parallelism: a shape has the heads of one device, while every device runs the whole indexer.

    sparse_decode_line(fit, shape, batch, selecting=True)
        -> SparseDecodeLine(fixed_s, index_key_s, limited_key_s)
    sparse_prefill_line(fit, shape, selecting=True)
        -> SparsePrefillLine(fixed_s, token_s, index_pair_s, limited_pair_s, key_s)
    sparse_roofline(bandwidth, flop_per_s) -> SparseAttentionFit
    sparse_shape(kind, ranks, kv_cache) -> SparseShape

`selecting` is false if no sequence is longer than `top_k`: then all keys are read, and no scores of
the indexer are needed. `sparse_roofline` returns the constants for a layer that was not measured,
so that all functions work for both cases. `KernelFits.sparse` holds the fits by kind of layer and
precision of the cache; `fit_of_engine(fits.sparse, "latent_fp8", engine)` returns one of them.

Range of the measurements: whole attention blocks, projections included. A fit is the time of a
block minus the time of this project's products (`physics.gemm`), whose launches overlap as in the
engine. To get a whole block, add the times of all products of the layer, the indexer's included,
and subtract no further launch. In the measurements the host launched the kernels of prompts one
after another, which slowed down short prompts. A fit does not contain that time; the engine's
minimum length of a step does (`Overhead.eager_layer_s`).
"""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.precision import Precision
from cluster_sim.hardware.sparse_fit import SparseAttentionFit
from cluster_sim.llm.layers import AttentionLayers
from cluster_sim.physics.attention import above
from cluster_sim.physics.kv_sizes import cache_bytes
from cluster_sim.typing import Number

_UNLIMITED = 1e30
"""Bandwidth that limits nothing [B/s]: queries of a prompt share what they read by caches."""


class SparseShape(NamedTuple):
    """Sparse attention of one layer on one device; numbers, or arrays of one value per kernel."""

    heads: Number
    """Number of query heads."""
    key_bytes: Number
    """Bytes that a query reads of one chosen token: latent vector, or keys and values [B]."""
    key_flop: Number
    """Arithmetic of one query with one chosen token, over all heads [FLOP]."""
    dense_flop: Number
    """Arithmetic of one pair in prompts that are too short for choosing, over all heads [FLOP]."""
    index_bytes: Number = 0.0
    """Size of one token's index key with its scale [B]; 0 if an earlier layer chooses."""
    index_flop: Number = 0.0
    """Arithmetic of one query with one index key, over all index heads [FLOP]."""


class SparseDecodeLine(NamedTuple):
    """Time of sparse decode attention of one layer for a fixed batch.

    The time is fixed + index_key x keys of all contexts + limited_key x keys that are read.
    """

    fixed_s: Number
    index_key_s: Number
    limited_key_s: Number


class SparsePrefillLine(NamedTuple):
    """Time of sparse prefill attention of one layer.

    The time is fixed + token x new tokens + index_pair x causal pairs + limited_pair x pairs that
    are read + key x tokens of all sequences, cached tokens included.
    """

    fixed_s: Number
    token_s: Number
    index_pair_s: Number
    limited_pair_s: Number
    key_s: Number


def sparse_shape(kind: AttentionLayers, ranks: int, kv_cache: Precision) -> SparseShape:
    """Return the sparse attention of one layer on one of `ranks` devices.

    Parameters
    ----------
    kind
        Layers that have an indexer or use the one of an earlier layer.
    ranks
        Number of devices that share the heads; each of them runs the whole indexer.
    kv_cache
        Precision of the KV cache.

    Returns
    -------
    SparseShape
        Heads, bytes [B] and arithmetic [FLOP] of one device.
    """
    heads, flop = kind.decode_heads(ranks), kind.decode_flop
    assert heads is not None
    return SparseShape(
        heads.heads,
        cache_bytes(kind.read_values(ranks).limited, 0.0, kv_cache),
        flop.limited / ranks,
        kind.dense_flop / ranks,
        cache_bytes(0.0, kind.index_values(ranks), kv_cache),
        flop.context,
    )


def sparse_decode_line(
    fit: SparseAttentionFit, shape: SparseShape, batch: Number, *, selecting: Number = True
) -> SparseDecodeLine:
    """Return the line of sparse decode attention of one layer.

        fixed = start + batch (sequence + heads head) + [indexer] (index_start + [selecting] select)
        index_key = [selecting] index_bytes / index_bandwidth (1 + half_sequences / batch)
        limited_key = max(key_bytes / bandwidth, key_flop / compute)

    Parameters
    ----------
    fit
        Constants for the kind of layer and the precision of the KV cache.
    shape
        Heads of one device; may hold arrays.
    batch
        Number of decoding sequences, or an array of numbers.
    selecting
        Whether a context is longer than the number of keys that are read, or an array of flags.

    Returns
    -------
    SparseDecodeLine
        Times per layer, per index key and per key that is read [s].

    Examples
    --------
    Index keys of 132 B and latent vectors of 576 B at 1 TB/s:

    >>> shape = SparseShape(128, 576.0, 278_528.0, 81_920.0, 132.0, 16_384.0)
    >>> sparse_decode_line(sparse_roofline(1e12, 1e18), shape, 64)
    SparseDecodeLine(fixed_s=0.0, index_key_s=1.32e-10, limited_key_s=5.76e-10)
    """
    indexed = shape.index_flop > 0.0
    seconds = fit.index_start_s + selecting * fit.select_s
    fixed_s = fit.start_s + batch * (fit.sequence_s + shape.heads * fit.head_s) + indexed * seconds
    read_s = shape.index_bytes / fit.index_bandwidth_bytes_per_s
    index_key_s = selecting * read_s * (1.0 + fit.half_sequences / batch)
    limited_key_s = _larger(
        shape.key_bytes / fit.bandwidth_bytes_per_s, shape.key_flop / fit.compute_flop_per_s
    )
    return SparseDecodeLine(fixed_s, index_key_s, limited_key_s)


def sparse_prefill_line(
    fit: SparseAttentionFit, shape: SparseShape, *, selecting: Number = True
) -> SparsePrefillLine:
    """Return the line of sparse prefill attention of one layer.

    If keys are chosen, with [indexer] for layers that have one:

        fixed = prompt_start + [indexer] prompt_select
        token = prompt_token + heads prompt_head
        index_pair = index_flop / index_compute
        limited_pair = max(key_bytes / prompt_bandwidth, key_flop / prompt_compute)
        key = index_extra_tokens index_pair

    If no context is longer than the number of keys that are read:

        fixed = prompt_start, index_pair = 0
        limited_pair = dense_flop / prompt_compute
        key = heads expand

    Parameters
    ----------
    fit
        Constants for the kind of layer and the precision of the KV cache.
    shape
        Heads of one device; may hold arrays.
    selecting
        Whether a context is longer than the number of keys that are read, or an array of flags.

    Returns
    -------
    SparsePrefillLine
        Times per layer, token, index pair, pair that is read, and key [s].

    Examples
    --------
    278,528 FLOP per pair at 1 PFLOP/s:

    >>> shape = SparseShape(128, 576.0, 278_528.0, 81_920.0, 132.0, 16_384.0)
    >>> sparse_prefill_line(sparse_roofline(1e12, 1e15), shape).limited_pair_s
    2.78528e-10
    """
    indexed = selecting * (shape.index_flop > 0.0)
    dense = 1 - selecting * 1
    index_pair_s = indexed * (shape.index_flop / fit.index_compute_flop_per_s)
    limited_pair_s = _larger(
        shape.key_bytes / fit.prompt_bandwidth_bytes_per_s,
        shape.key_flop / fit.prompt_compute_flop_per_s,
    )
    dense_pair_s = shape.dense_flop / fit.prompt_compute_flop_per_s
    return SparsePrefillLine(
        fit.prompt_start_s + indexed * fit.prompt_select_s,
        fit.prompt_token_s + shape.heads * fit.prompt_head_s,
        index_pair_s,
        selecting * limited_pair_s + dense * dense_pair_s,
        fit.index_extra_tokens * index_pair_s + dense * shape.heads * fit.expand_s,
    )


def sparse_roofline(bandwidth: float, flop_per_s: float) -> SparseAttentionFit:
    """Return constants for sparse attention that was not measured: only bytes and FLOP.

    Parameters
    ----------
    bandwidth
        Rate at which index keys, and the chosen keys and values, are read [B/s].
    flop_per_s
        Rate of the indexer's and the attention's products [FLOP/s].

    Returns
    -------
    SparseAttentionFit
        Constants for `sparse_decode_line` and `sparse_prefill_line`, which have examples.
    """
    return SparseAttentionFit.model_construct(
        start_s=0.0,
        sequence_s=0.0,
        head_s=0.0,
        bandwidth_bytes_per_s=bandwidth,
        compute_flop_per_s=flop_per_s,
        index_start_s=0.0,
        select_s=0.0,
        index_bandwidth_bytes_per_s=bandwidth,
        half_sequences=0.0,
        prompt_start_s=0.0,
        prompt_token_s=0.0,
        prompt_head_s=0.0,
        prompt_bandwidth_bytes_per_s=_UNLIMITED,
        prompt_compute_flop_per_s=flop_per_s,
        expand_s=0.0,
        prompt_select_s=0.0,
        index_compute_flop_per_s=flop_per_s,
        index_extra_tokens=0.0,
    )


def _larger(one: Number, other: Number) -> Number:
    return other + above(one, other)
