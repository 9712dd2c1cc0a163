"""Time of one prefill-attention kernel on one device; see `physics.attention` for the range."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.kernel_fits import ContextAttentionFit
from cluster_sim.physics.attention import AttentionShape, above
from cluster_sim.physics.limited_view import causal_pairs, window_pairs
from cluster_sim.typing import Number

WIDE = 128
"""Maximum width of a head for kernels with tiles of full size."""


class Chunk(NamedTuple):
    """Chunk of each of several prompts."""

    tokens: int
    """Number of new tokens of each prompt."""
    past: int = 0
    """Number of cached tokens of each prompt."""


class ContextLine(NamedTuple):
    """Line of a prefill-attention kernel; the time is at least `context_floor_s`.

    The time is fixed + per_token x new tokens + per_past x cached tokens + per_pair x pairs. Counts
    are those of one sequence times the batch.
    """

    fixed_s: float
    per_token_s: float
    per_past_s: float
    per_pair_s: float


def context_attention_s(
    fit: ContextAttentionFit,
    shape: AttentionShape,
    batch: int,
    chunk: Chunk,
    window: int | None = None,
) -> float:
    """Return the time of the causal prefill attention of one layer [s].

    It is the larger one of a floor and of a line; see `context_floor_s` and `context_line`.

    Parameters
    ----------
    fit
        Constants for the precision of the KV cache.
    shape
        Heads of one device.
    batch
        Number of sequences.
    chunk
        Tokens of each sequence.
    window
        Length of the layer's window [tokens]; None for a layer without a window.

    Returns
    -------
    float
        Time [s].

    Examples
    --------
    31,996,000 pairs of 16,384 FLOP at 500 TFLOP/s, and 10 us:

    >>> from cluster_sim.hardware.kernel_fits import ContextAttentionFit
    >>> start = {"start": "5 us", "value": "0 s", "head": "0 s", "kv_head": "0 s"}
    >>> long = {"long_start": "10 us", "compute": "500 TFLOP/s", "extra_values": 0, "wide": 0}
    >>> keys = {"extra_keys": 0, "tile_tokens": 0, "window_keys": 0, "key": "0 s"}
    >>> fit = ContextAttentionFit.model_validate(start | long | keys | {"bandwidth": "1 PB/s"})
    >>> round(context_attention_s(fit, AttentionShape(32, 8, 128, 2.0), 1, Chunk(7999)), 6)
    0.001058
    """
    tokens, past = chunk
    if window is not None and tokens + past <= window:
        window = None  # the window hides no key yet
    line = context_line(fit, shape, batch, window)
    if window is None:
        pairs = float(causal_pairs(tokens, past))
    else:  # until the window is full a token has one ragged edge; the line counts two
        pairs = window_pairs(tokens, past, window) - max(window - past, 0) * _window_keys(
            fit, shape
        )
        past = min(past, window)
    line_s = line.fixed_s + batch * (
        line.per_token_s * tokens + line.per_past_s * past + line.per_pair_s * pairs
    )
    return float(max(context_floor_s(fit, shape, batch), line_s))


def context_floor_s(fit: ContextAttentionFit, shape: AttentionShape, batch: Number) -> Number:
    """Return the time of a prefill-attention kernel of prompts that fit into one tile [s].

        start + value * head_dim + batch * (heads * head + kv_heads * kv_head)

    Parameters
    ----------
    fit
        Constants for the precision of the KV cache.
    shape
        Heads of one device; may hold arrays.
    batch
        Number of sequences, or an array of numbers.

    Returns
    -------
    Number
        Time [s], of the shape of the arrays.

    Examples
    --------
    5 us, and 10 x 32 heads of 10 ns:

    >>> from types import SimpleNamespace
    >>> fit = SimpleNamespace(start_s=5e-6, value_s=0.0, head_s=1e-8, kv_head_s=0.0)
    >>> round(context_floor_s(fit, AttentionShape(32, 8, 128, 2.0), 10), 9)
    8.2e-06
    """
    return (
        fit.start_s
        + fit.value_s * shape.head_dim
        + batch * (shape.heads * fit.head_s + shape.kv_heads * fit.kv_head_s)
    )


def context_line(
    fit: ContextAttentionFit, shape: AttentionShape, batch: Number, window: int | None = None
) -> ContextLine:
    """Return the line of a prefill-attention kernel of a fixed shape.

    * A pair takes 4 (head_dim + wide max(head_dim - 128, 0) + extra_values) FLOP per query head.
    * A new token adds `extra_keys + tile_tokens kv_heads / heads` pairs.
    * A cached token adds reading its key and value at `bandwidth`.
    * New and cached tokens both add `key` per token of one sequence, for the loop over the keys.

    Parameters
    ----------
    fit
        Constants for the precision of the KV cache.
    shape
        Heads of one device; may hold arrays.
    batch
        Number of sequences, or an array of numbers.
    window
        Length of the window [tokens], for chunks that reach beyond the window. Every token then has a
        second ragged edge of `window_keys + tile_tokens kv_heads / heads` pairs. The loop runs over
        one window, a constant.

    Returns
    -------
    ContextLine
        Times without tokens, per new token, per cached token and per pair [s].
    """
    # The caller multiplies by the batch: it counts tokens and pairs over the batch.
    values = shape.head_dim + fit.wide * above(shape.head_dim, WIDE) + fit.extra_values
    pair_s = shape.heads * 4.0 * values / fit.compute_flop_per_s
    read_s = 2.0 * shape.kv_heads * shape.head_dim * shape.kv_bytes / fit.bandwidth_bytes_per_s
    fixed_s = fit.long_start_s + fit.value_s * shape.head_dim
    extra_keys = fit.extra_keys + fit.tile_tokens * shape.kv_heads / shape.heads
    if window is not None:
        return ContextLine(
            fixed_s + fit.key_s * window,
            pair_s * (extra_keys + _window_keys(fit, shape)),
            read_s,
            pair_s,
        )
    walk_s = fit.key_s / batch
    return ContextLine(fixed_s, pair_s * extra_keys + walk_s, read_s + walk_s, pair_s)


def _window_keys(fit: ContextAttentionFit, shape: AttentionShape) -> Number:
    """Return the number of pairs of a token's second ragged edge, where a window cuts its view."""
    return fit.window_keys + fit.tile_tokens * shape.kv_heads / shape.heads
