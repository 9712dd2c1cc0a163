"""Time of one attention kernel on one device, fitted to measured kernels (`calibration.attention`).

Every function is arithmetic on numbers, or on numpy arrays of them where its docstring says so.
Tensor parallelism is the caller's: `heads` and `kv_heads` are those of one device. What a window
hides is the caller's too: of `context` keys a layer with a window reads min(context, window), in
decoding as in prefill.

Outside what was measured (batch to 2,048, heads to 128 wide to 512, contexts to 131,072; prompts to
16,384) the lines go on as lines: nothing becomes negative, and more of anything never takes less
time. Prefill after cached tokens was not measured:
there `past` counts by its pairs, its bytes and the length of the walk over it. Kernels were
measured over and over on the same data, so that keys of some 10 MB come from the cache and not from
memory: there the lines are too slow by up to a fifth, and right for a step that reads its weights
in between.
"""

from __future__ import annotations

from math import floor
from typing import Any, NamedTuple

from cluster_sim.hardware.kernel_fits import ContextAttentionFit, GenerationAttentionFit
from cluster_sim.physics.ramp import ALWAYS, Ramp, new_ramp
from cluster_sim.physics.transformer import causal_pairs, window_pairs

TILE_KEYS = 128
"""Keys that a block of threads takes at a time."""
WIDE = 128
"""Values of a head up to which kernels work in tiles of full size."""
PLANNED_SEQUENCES = 512
"""Sequences up to which planning ahead takes time for each: FlashAttention 3 does so for fewer than
a thousand."""

Number = Any  # int, float or an array of them


class ContextLine(NamedTuple):
    """Seconds of a prefill-attention kernel: fixed + per_token x new tokens + per_past x cached
    tokens + per_pair x pairs.

    Counts are of one sequence times the batch. Never less than `context_floor_s`.
    """

    fixed_s: float
    per_token_s: float
    per_past_s: float
    per_pair_s: float


class DecodeAttention(NamedTuple):
    """Decode attention of one layer for a fixed batch: a floor up to `short_keys`, beyond them the
    larger of it and a line in the keys.
    """

    short_keys: float
    floor_s: float
    fixed_s: float
    key_s: float

    def stretch(self, keys: float, growth: float) -> Ramp:
        """Return the lengths of steps that read `keys` keys, and `growth` more each time.

        >>> DecodeAttention(100.0, 5.0, 2.0, 0.02).stretch(90.0, 5.0)  # 90, 95 and 100 keys
        Ramp(first_s=5.0, slope_s=0.0, valid_steps=3)
        >>> DecodeAttention(100.0, 5.0, 2.0, 0.02).stretch(200.0, 5.0)[:2]  # 2 + 4; 0.1 per step
        (6.0, 0.1)
        """
        if keys <= self.short_keys:
            until = floor((self.short_keys - keys) / growth) + 1 if growth else ALWAYS
            return Ramp(self.floor_s, 0.0, until)
        first_s, slope_s = self.fixed_s + self.key_s * keys, self.key_s * growth
        ramp = new_ramp(Ramp, (first_s, slope_s, ALWAYS))
        return ramp if first_s >= self.floor_s else ramp.at_least(self.floor_s)


def generation_attention_s(
    fit: GenerationAttentionFit,
    batch: int,
    keys: float,
    heads: float,
    kv_heads: float,
    head_dim: int,
    kv_bytes: float,
    windowed: bool = False,
) -> float:
    """Seconds of the decode attention of one layer for `batch` sequences that together read `keys`
    cached tokens.

    Affine in keys on either side of `batch * short_keys` and of the crossing with the floor: the
    floor up to the first, the larger of floor and `generation_line` beyond. kv_bytes: of one value
    of the KV cache [B]; windowed: whether the layer's window hides a part of the sequences, which
    are on the line then however short the window.

    >>> from cluster_sim.hardware.kernel_fits import GenerationAttentionFit
    >>> numbers = dict(start="5 us", value="0 s", head="0 s", sequence="0 s", free_units=132, unit="0 s", tile_bandwidth="1 PB/s")
    >>> numbers |= dict(short_keys=128, long_start="10 us", long_unit="0 s", window="0 s", bandwidth="4 TB/s", half_units=0)
    >>> fit = GenerationAttentionFit.model_validate(numbers)
    >>> generation_attention_s(fit, 10, 10 * 10_000, 32, 8, 128, 2.0)  # 100,000 keys of 4 kiB at 4 TB/s, and the start
    0.0001124
    """
    floor_s: float = generation_floor_s(fit, batch, heads, kv_heads, head_dim, kv_bytes)
    if keys <= batch * fit.short_keys and not windowed:
        return floor_s
    fixed_s, per_key_s = generation_line(fit, batch, heads, kv_heads, head_dim, kv_bytes, windowed)
    return float(max(floor_s, fixed_s + keys * per_key_s))


def generation_floor_s(
    fit: GenerationAttentionFit,
    batch: Number,
    heads: Number,
    kv_heads: Number,
    head_dim: Number,
    kv_bytes: Number,
) -> Number:
    """Seconds of a decode-attention kernel of sequences of up to `short_keys` keys, which fill one
    tile a unit. Takes arrays.

    start + value * head_dim + head * batch * heads + sequence * min(batch, 512)
        + max(units - free_units, 0) * (unit + tile bytes / tile_bandwidth),    units = batch *
        kv_heads
    """
    tile_s = TILE_KEYS * 2.0 * head_dim * kv_bytes / fit.tile_bandwidth_bytes_per_s
    return (
        fit.start_s
        + _shape_s(fit, batch, heads, head_dim)
        + _beyond(batch * kv_heads, fit.free_units) * (fit.unit_s + tile_s)
    )


def generation_line(
    fit: GenerationAttentionFit,
    batch: Number,
    heads: Number,
    kv_heads: Number,
    head_dim: Number,
    kv_bytes: Number,
    windowed: Number = False,
) -> tuple[Number, Number]:
    """(fixed_s, per_key_s) of a decode-attention kernel of longer sequences. Takes arrays.

    A key's bytes are read at bandwidth * units / (units + half_units): few units cannot be split
    over the whole device. A window begins and ends inside a tile, so that half a tile more is read.
    """
    units = batch * kv_heads
    per_key_s = (
        2.0
        * kv_heads
        * head_dim
        * kv_bytes
        / fit.bandwidth_bytes_per_s
        * (1.0 + fit.half_units / units)
    )
    fixed_s = (
        fit.long_start_s
        + _shape_s(fit, batch, heads, head_dim)
        + _beyond(units, fit.free_units) * fit.long_unit_s
    )
    return fixed_s + windowed * (fit.window_s + batch * TILE_KEYS / 2 * per_key_s), per_key_s


def context_attention_s(
    fit: ContextAttentionFit,
    batch: int,
    tokens: int,
    past: int,
    heads: float,
    kv_heads: float,
    head_dim: int,
    kv_bytes: float,
    window: int | None = None,
) -> float:
    """Seconds of the prefill attention of one layer: `tokens` new tokens of each of `batch`
    sequences after `past` cached ones.

    Causal, `window` [tokens] where the layer has one. The larger of a floor and of a line, see
    `context_line`.

    >>> from cluster_sim.hardware.kernel_fits import ContextAttentionFit
    >>> numbers = dict(start="5 us", value="0 s", head="0 s", kv_head="0 s", long_start="10 us", compute="500 TFLOP/s", extra_values=0)
    >>> numbers |= dict(wide=0, extra_keys=0, tile_tokens=0, window_keys=0, bandwidth="1 PB/s", key="0 s")
    >>> fit = ContextAttentionFit.model_validate(numbers)
    >>> round(context_attention_s(fit, 1, 7999, 0, 32, 8, 128, 2.0), 6)  # 31,996,000 pairs of 16,384 FLOP, and 10 us
    0.001058
    """
    if window is not None and tokens + past <= window:
        window = None  # nothing is hidden yet
    line = context_line(fit, batch, heads, kv_heads, head_dim, kv_bytes, window)
    if window is None:
        pairs = float(causal_pairs(tokens, past))
    else:  # tokens before the window is full have one ragged edge only, the line counts two
        pairs = window_pairs(tokens, past, window) - max(window - past, 0) * _window_keys(
            fit, heads, kv_heads
        )
        past = min(past, window)
    line_s = line.fixed_s + batch * (
        line.per_token_s * tokens + line.per_past_s * past + line.per_pair_s * pairs
    )
    return float(max(context_floor_s(fit, batch, heads, kv_heads, head_dim), line_s))


def context_floor_s(
    fit: ContextAttentionFit, batch: Number, heads: Number, kv_heads: Number, head_dim: Number
) -> Number:
    """Seconds of a prefill-attention kernel of prompts that fit into one tile. Takes arrays."""
    return (
        fit.start_s
        + fit.value_s * head_dim
        + batch * (heads * fit.head_s + kv_heads * fit.kv_head_s)
    )


def context_line(
    fit: ContextAttentionFit,
    batch: Number,
    heads: Number,
    kv_heads: Number,
    head_dim: Number,
    kv_bytes: Number,
    window: int | None = None,
) -> ContextLine:
    """The line of a prefill-attention kernel of a fixed shape. Takes arrays, but for `window`.

    A pair takes 4 (head_dim + wide (head_dim - 128) + extra_values) FLOP of each head, the second
    term where it is positive; a token `extra_keys + tile_tokens kv_heads / heads` more pairs; a
    cached one its key and value at `bandwidth`; and new and cached alike `key` of a sequence for
    the walk over them. `window` is for chunks that reach beyond it: there every token has a second
    ragged edge, `window_keys + tile_tokens kv_heads / heads`, and the walk is one window long, a
    constant.
    """
    # Batch is multiplied in by the caller, who counts tokens and pairs over the batch.
    values = head_dim + fit.wide * _beyond(head_dim, WIDE) + fit.extra_values
    pair_s = heads * 4.0 * values / fit.compute_flop_per_s
    read_s = 2.0 * kv_heads * head_dim * kv_bytes / fit.bandwidth_bytes_per_s
    fixed_s = fit.long_start_s + fit.value_s * head_dim
    extra_keys = fit.extra_keys + fit.tile_tokens * kv_heads / heads
    if window is not None:
        return ContextLine(
            fixed_s + fit.key_s * window,
            pair_s * (extra_keys + _window_keys(fit, heads, kv_heads)),
            read_s,
            pair_s,
        )
    walk_s = fit.key_s / batch
    return ContextLine(fixed_s, pair_s * extra_keys + walk_s, read_s + walk_s, pair_s)


def _window_keys(fit: ContextAttentionFit, heads: Number, kv_heads: Number) -> Number:
    """Pairs that the second ragged edge takes of a token whose view a window cuts."""
    return fit.window_keys + fit.tile_tokens * kv_heads / heads


def _shape_s(fit: GenerationAttentionFit, batch: Number, heads: Number, head_dim: Number) -> Number:
    planned = batch - _beyond(batch, PLANNED_SEQUENCES)
    return fit.value_s * head_dim + fit.head_s * batch * heads + fit.sequence_s * planned


def _beyond(count: Number, free: float) -> Number:
    """max(count - free, 0), of arrays as well."""
    beyond = count - free
    return (beyond + abs(beyond)) / 2
