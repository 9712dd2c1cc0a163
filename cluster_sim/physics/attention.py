"""Time of one attention kernel on one device, fitted to measured kernels (`calibration.attention`).

Every function is arithmetic on numbers, or on numpy arrays of them where its docstring says so. Tensor parallelism is the
caller's: `heads` and `kv_heads` are those of one device. What a window hides is the caller's too: of `context` keys a layer
with a window reads min(context, window), in decoding as in prefill.

Outside what was measured (batch to 2,048, heads to 128 wide to 512, contexts to 131,072; prompts to 16,384) the lines go on
as lines: nothing becomes negative, and more of anything never takes less time. Prefill after cached tokens was not measured:
there `past` counts by its pairs, its bytes and the length of the walk over it.
"""

from __future__ import annotations

from math import floor
from typing import Any, NamedTuple

from cluster_sim.hardware import ContextAttentionFit, GenerationAttentionFit
from cluster_sim.physics.ramp import ALWAYS, larger_line
from cluster_sim.physics.transformer import causal_pairs, windowed_pairs

TILE_KEYS = 128
"""Keys that a block of threads takes at a time."""

Number = Any  # int, float or an array of them


class ContextLine(NamedTuple):
    """Seconds of a prefill-attention kernel: fixed + per_token x new tokens + per_past x cached tokens + per_pair x pairs.

    Counts are of one sequence times the batch. Never less than `context_floor_s`.
    """

    fixed_s: float
    per_token_s: float
    per_past_s: float
    per_pair_s: float


class DecodeAttention(NamedTuple):
    """Decode attention of one layer for a fixed batch: a floor up to `short_keys`, beyond them the larger of it and a line in the keys."""

    short_keys: float
    floor_s: float
    fixed_s: float
    key_s: float

    def stretch(self, keys: float, growth: float) -> tuple[float, float, int]:
        """(first_s, slope_s, steps for which that holds) of steps that read `keys`, and `growth` more each time.

        >>> DecodeAttention(100.0, 5.0, 2.0, 0.02).stretch(90.0, 5.0)  # 90, 95 and 100 keys on the floor
        (5.0, 0.0, 3)
        >>> DecodeAttention(100.0, 5.0, 2.0, 0.02).stretch(200.0, 5.0)  # 2 + 4, and 0.1 more a step
        (6.0, 0.1, 4611686018427387904)
        """
        if keys <= self.short_keys:
            return self.floor_s, 0.0, floor((self.short_keys - keys) / growth) + 1 if growth else ALWAYS
        return larger_line(self.floor_s, self.fixed_s + self.key_s * keys, self.key_s * growth)


def generation_attention_s(fit: GenerationAttentionFit, batch: int, keys: float, heads: float, kv_heads: float, head_dim: int, kv_bytes: float) -> float:
    """Seconds of the decode attention of one layer for `batch` sequences that together read `keys` cached tokens.

    Affine in keys on either side of `batch * short_keys` and of the crossing with the floor: the floor up to the first, the
    larger of floor and `generation_line` beyond. kv_bytes: of one value of the KV cache [B].

    >>> from cluster_sim.hardware import GenerationAttentionFit
    >>> numbers = dict(start="5 us", value="0 s", head="0 s", free_units=132, unit="0 s", tile_bandwidth="1 PB/s", narrow=0.5)
    >>> numbers |= dict(short_keys=128, long_start="10 us", long_unit="0 s", bandwidth="4 TB/s", half_units=0)
    >>> fit = GenerationAttentionFit.model_validate(numbers)
    >>> generation_attention_s(fit, 10, 10 * 10_000, 32, 8, 128, 2.0)  # 100,000 keys of 4 kiB at 4 TB/s, and the start
    0.0001124
    """
    floor_s: float = generation_floor_s(fit, batch, heads, kv_heads, head_dim, kv_bytes)
    if keys <= batch * fit.short_keys:
        return floor_s
    fixed_s, per_key_s = generation_line(fit, batch, heads, kv_heads, head_dim, kv_bytes)
    return float(max(floor_s, fixed_s + keys * per_key_s))


def generation_floor_s(fit: GenerationAttentionFit, batch: Number, heads: Number, kv_heads: Number, head_dim: Number, kv_bytes: Number) -> Number:
    """Seconds of a decode-attention kernel of sequences of up to `short_keys` keys, which fill one tile a unit. Takes arrays.

    start + value * head_dim + head * batch * heads + max(units - free_units, 0) * (unit + tile bytes / tile_bandwidth)
    """
    beyond = batch * kv_heads - fit.free_units
    waiting = (beyond + abs(beyond)) / 2  # max(beyond, 0), of arrays as well
    tile_s = TILE_KEYS * _key_bytes(fit.narrow, head_dim, kv_bytes) / fit.tile_bandwidth_bytes_per_s
    return _start_s(fit, batch, heads, head_dim) + waiting * (fit.unit_s + tile_s)


def generation_line(fit: GenerationAttentionFit, batch: Number, heads: Number, kv_heads: Number, head_dim: Number, kv_bytes: Number) -> tuple[Number, Number]:
    """(fixed_s, per_key_s) of a decode-attention kernel of longer sequences. Takes arrays.

    A key's bytes are read at bandwidth * units / (units + half_units): few units cannot be split over the whole device.
    """
    units = batch * kv_heads
    fixed_s = _start_s(fit, batch, heads, head_dim) + (fit.long_start_s - fit.start_s) + units * fit.long_unit_s
    key_s = kv_heads * _key_bytes(fit.narrow, head_dim, kv_bytes) / fit.bandwidth_bytes_per_s
    return fixed_s, key_s * (1.0 + fit.half_units / units)


def context_attention_s(
    fit: ContextAttentionFit, batch: int, tokens: int, past: int, heads: float, kv_heads: float, head_dim: int, kv_bytes: float, window: int | None = None
) -> float:
    """Seconds of the prefill attention of one layer: `tokens` new tokens of each of `batch` sequences after `past` cached ones.

    Causal, `window` [tokens] where the layer has one. The larger of a floor and of a line, see `context_line`.

    >>> from cluster_sim.hardware import ContextAttentionFit
    >>> numbers = dict(start="5 us", value="0 s", head="0 s", kv_head="0 s", long_start="10 us", idle_heads=0, compute="500 TFLOP/s")
    >>> numbers |= dict(narrow=1, extra_values=0, extra_keys=0, bandwidth="1 PB/s", key="0 s")
    >>> fit = ContextAttentionFit.model_validate(numbers)
    >>> round(context_attention_s(fit, 1, 7999, 0, 32, 8, 128, 2.0), 6)  # 31,996,000 pairs of 16,384 FLOP, and 10 us
    0.001058
    """
    if window is not None and tokens + past <= window:
        window = None  # nothing is hidden yet
    pairs = causal_pairs(tokens, past) if window is None else windowed_pairs(tokens, past, window)
    past = past if window is None else min(past, window)
    line = context_line(fit, batch, heads, kv_heads, head_dim, kv_bytes, window)
    line_s = line.fixed_s + batch * (line.per_token_s * tokens + line.per_past_s * past + line.per_pair_s * pairs)
    return float(max(context_floor_s(fit, batch, heads, kv_heads, head_dim), line_s))


def context_floor_s(fit: ContextAttentionFit, batch: Number, heads: Number, kv_heads: Number, head_dim: Number) -> Number:
    """Seconds of a prefill-attention kernel of prompts that fit into one tile. Takes arrays."""
    return fit.start_s + fit.value_s * head_dim + batch * (heads * fit.head_s + kv_heads * fit.kv_head_s)


def context_line(
    fit: ContextAttentionFit, batch: Number, heads: Number, kv_heads: Number, head_dim: Number, kv_bytes: Number, window: int | None = None
) -> ContextLine:
    """The line of a prefill-attention kernel of a fixed shape. Takes arrays, but for `window`.

    A pair takes 4 (head_dim + extra_values) FLOP of each head; a token `extra_keys` more pairs; new and cached tokens alike
    their key and value at `bandwidth`, and `key` of a sequence for the walk over them. `window` is for chunks that reach
    beyond it: there the walk is one window long, a constant.
    """
    narrow = 1.0 + (fit.narrow - 1.0) * (kv_bytes < 2.0)
    # Batch is multiplied in by the caller, who counts tokens and pairs over the batch.
    pair_s = (heads + fit.idle_heads / batch) * 4.0 * (head_dim + fit.extra_values) * narrow / fit.compute_flop_per_s
    read_s = 2.0 * kv_heads * head_dim * kv_bytes / fit.bandwidth_bytes_per_s
    walk_s = fit.key_s / batch if window is None else 0.0 * batch
    fixed_s = fit.long_start_s + fit.value_s * head_dim + (0.0 if window is None else fit.key_s * window)
    return ContextLine(fixed_s, pair_s * fit.extra_keys + read_s + walk_s, read_s + walk_s, pair_s)


def _start_s(fit: GenerationAttentionFit, batch: Number, heads: Number, head_dim: Number) -> Number:
    return fit.start_s + fit.value_s * head_dim + fit.head_s * batch * heads


def _key_bytes(narrow: float, head_dim: Number, kv_bytes: Number) -> Number:
    """Bytes of a key and its value of one KV head, as if in 16 bit; narrower ones count as measured, not by their bytes."""
    return 4.0 * head_dim * (1.0 + (narrow - 1.0) * (kv_bytes < 2.0))
