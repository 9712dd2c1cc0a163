"""Times of the kernels of latent attention on one device (DeepSeek-V2, arXiv 2405.04434).

Decode works on the cached latent vectors: the projections up to keys and values are absorbed into
queries and outputs, head by head. Prefill expands keys and values for each head first.
"""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.latent_fit import (
    LatentContextFit,
    LatentGenerationFit,
    LatentProductFit,
)
from cluster_sim.physics.attention import above
from cluster_sim.physics.decode_attention import DecodeAttention
from cluster_sim.typing import Number

ACTIVATION_BYTES = 2.0
"""Size of one value of inputs and outputs of the absorbed projections [B]."""
TILE_HEADS, WIDE_HEADS = 16, 64
"""Number of query heads of one tile, and number of heads from which one tile holds all of them.
Both are read off the measured kernels: on Blackwell, 32 heads take 1.4 times as long per key as 16
or 64 heads."""


class LatentShape(NamedTuple):
    """Latent attention on one device."""

    heads: Number
    """Number of query heads on the device."""
    latent: float
    """Number of cached values per token."""
    rank: float
    """Number of cached values that are summed up for the output, without the rotary part."""
    expanded: float
    """Number of values of a head's key and value after their expansion."""
    kv_bytes: Number
    """Size of one cached value [B]."""


class LatentPromptLine(NamedTuple):
    """Line of a prefill kernel; the time is at least `latent_context_floor_s`.

    The time is fixed + batch x (sequence + token x new tokens + pair x pairs) + key x keys of one
    sequence.
    """

    fixed_s: float
    sequence_s: Number
    token_s: Number
    pair_s: Number
    key_s: float


def rounded_maximum(one: Number, other: Number, sharpness: float) -> Number:
    """Return the p-norm of two positive numbers or arrays with p = `sharpness`.

    >>> rounded_maximum(3.0, 4.0, 2.0)
    5.0
    """
    larger = one + above(other, one)
    ratio = (one + other - larger) / larger
    return larger * (1.0 + ratio**sharpness) ** (1.0 / sharpness)


def latent_key_s(fit: LatentGenerationFit, shape: LatentShape, batch: Number) -> Number:
    """Return the time of decode per key of a batch [s].

    Reading and computing both grow with the keys, so the time per key is the rounded maximum of

    * kv_bytes * latent / bandwidth * (1 + half_sequences / batch) * (1 + reread * further tiles),
    * heads * 2 * (latent + rank) / compute, with `tile_rows` heads for a kernel of 64 or more that
      fill only a part of its tile.

    A query is multiplied by the whole latent vector; the output sums up its first `rank` values.

    Examples
    --------
    An fp8 key of 576 B at 5.76 TB/s with 100 ps, and 16 heads at 1 PFLOP/s with 35 ps:

    >>> from types import SimpleNamespace
    >>> fit = SimpleNamespace(bandwidth_bytes_per_s=5.76e12, half_sequences=0.0, reread=0.0,
    ...                       compute_flop_per_s=1e15, tile_rows=64, overlap=100.0)
    >>> round(latent_key_s(fit, LatentShape(16, 576, 512, 320, 1.0), 8) * 1e12, 6)
    100.0
    """
    read_s = shape.kv_bytes * shape.latent / fit.bandwidth_bytes_per_s
    read_s = read_s * (1.0 + fit.half_sequences / batch)
    read_s = read_s * (1.0 + fit.reread * further_tiles(shape.heads))
    return rounded_maximum(read_s, latent_key_compute_s(fit, shape), fit.overlap)


def further_tiles(heads: Number) -> Number:
    """Return the number of tiles of query heads beyond the first one.

    >>> further_tiles(16), further_tiles(32), further_tiles(128)
    (0.0, 1.0, 0.0)
    """
    tiles = -(-heads // TILE_HEADS)
    return (heads < WIDE_HEADS) * above(tiles, 1.0)


def latent_key_compute_s(fit: LatentGenerationFit, shape: LatentShape) -> Number:
    """Return the time of computing one key for one query of each head [s]."""
    empty = (shape.heads >= WIDE_HEADS) * above(fit.tile_rows, shape.heads)
    return (shape.heads + empty) * 2.0 * (shape.latent + shape.rank) / fit.compute_flop_per_s


def latent_floor_s(fit: LatentGenerationFit, shape: LatentShape, batch: Number) -> Number:
    """Return the time of decode of sequences of up to `short_keys` keys [s].

    It is the norm of `start` and batch * (sequence + heads * head), with the exponent `rise`.
    """
    sequences_s = batch * (fit.sequence_s + shape.heads * fit.head_s)
    return rounded_maximum(fit.start_s, sequences_s, fit.rise)


def latent_fixed_s(fit: LatentGenerationFit, shape: LatentShape, batch: Number) -> Number:
    """Return the time of decode of longer sequences without their keys [s]."""
    return fit.long_start_s + batch * (fit.long_sequence_s + shape.heads * fit.long_head_s)


def latent_decode(fit: LatentGenerationFit, shape: LatentShape, batch: int) -> DecodeAttention:
    """Return the decode attention of one layer for a batch.

    For a fixed batch the time is a constant and then a line in the number of keys.

    Parameters
    ----------
    fit
        Constants for the precision of the KV cache.
    shape
        Heads of one device and widths of the vectors.
    batch
        Number of sequences.

    Returns
    -------
    DecodeAttention
        Time by the number of keys that all sequences read in total.
    """
    return DecodeAttention(
        float(batch * fit.short_keys),
        float(latent_floor_s(fit, shape, batch)),
        float(latent_fixed_s(fit, shape, batch)),
        float(latent_key_s(fit, shape, batch)),
    )


def latent_context_floor_s(fit: LatentContextFit, shape: LatentShape, batch: Number) -> Number:
    """Return the time of a prefill kernel of prompts that fit into one tile [s]."""
    return fit.start_s + batch * shape.heads * fit.head_s


def latent_context_line(fit: LatentContextFit, shape: LatentShape) -> LatentPromptLine:
    """Return the line of a prefill kernel.

    A pair takes 2 * expanded FLOP per head: the product with the key, and the sum over values. A
    new token costs `extra_keys` further pairs.
    """
    pair_s = shape.heads * 2.0 * shape.expanded / fit.compute_flop_per_s
    return LatentPromptLine(
        fit.long_start_s,
        shape.heads * fit.long_head_s,
        pair_s * fit.extra_keys,
        pair_s,
        fit.key_s,
    )


def latent_product_s(
    fit: LatentProductFit, heads: Number, matrix: tuple[float, float], tokens: Number
) -> Number:
    """Return the time of one absorbed projection [s].

    It is the norm, with the exponent `rise`, of `start` and of the larger one of moving the bytes
    and computing, plus `token` per token and head. Inputs and outputs move at `cache_bandwidth` if
    together they have at most `cache` bytes.

    Parameters
    ----------
    fit
        Constants for the precision of the weights.
    heads
        Number of query heads on the device.
    matrix
        Numbers of rows and columns of the matrix of one head.
    tokens
        Number of tokens.
    """
    rows, columns = matrix
    read = heads * rows * columns * fit.weight_bytes
    moved = heads * tokens * (rows + columns) * ACTIVATION_BYTES
    beyond = (moved > fit.cache_bytes) * 1.0
    moving_s = (read + beyond * moved) / fit.bandwidth_bytes_per_s
    moving_s = moving_s + (1.0 - beyond) * moved / fit.cache_bandwidth_bytes_per_s
    compute_s = heads * tokens * 2.0 * rows * columns / fit.compute_flop_per_s
    longer_s = moving_s + above(compute_s, moving_s)
    return rounded_maximum(fit.start_s, longer_s + heads * tokens * fit.token_s, fit.rise)
