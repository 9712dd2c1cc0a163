"""Time of one decode-attention kernel on one device; see `physics.attention` for the range."""

from __future__ import annotations

from math import floor
from typing import NamedTuple

from cluster_sim.hardware.kernel_fits import GenerationAttentionFit
from cluster_sim.physics.attention import TILE_KEYS, AttentionShape, above
from cluster_sim.physics.ramp import ALWAYS, Ramp, new_ramp
from cluster_sim.typing import Number

PLANNED_SEQUENCES = 512
"""Number of sequences up to which the scheduling of a kernel takes time for each sequence:
FlashAttention 3 schedules ahead for fewer than a thousand."""


class DecodeAttention(NamedTuple):
    """Time of decode attention of one layer for a fixed batch, by the number of keys that it reads.

    The time is `floor_s` up to `short_keys` keys. Beyond, it is the larger one of `floor_s` and
    `fixed_s` + `key_s` x keys.
    """

    short_keys: float
    floor_s: float
    fixed_s: float
    key_s: float

    def stretch(self, keys: float, growth: float) -> Ramp:
        """Return the lengths of steps that read `keys` keys first, and `growth` more each time [s].

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
    shape: AttentionShape,
    batch: int,
    keys: float,
    *,
    windowed: bool = False,
) -> float:
    """Return the time of the decode attention of one layer [s].

    The time is the floor up to `batch * short_keys` keys. Beyond, it is the larger one of the floor
    and `generation_line`. It is affine in the keys on either side of these two points.

    Parameters
    ----------
    fit
        Constants for the precision of the KV cache.
    shape
        Heads of one device.
    batch
        Number of sequences.
    keys
        Number of cached tokens that all sequences read in total.
    windowed
        Whether a window hides a part of the contexts. The line then holds for every length.

    Returns
    -------
    float
        Time [s].

    Examples
    --------
    100,000 keys of 4 KiB at 4 TB/s, plus the start:

    >>> from cluster_sim.hardware.kernel_fits import GenerationAttentionFit
    >>> start = {"start": "5 us", "value": "0 s", "head": "0 s", "sequence": "0 s"}
    >>> units = {"free_units": 132, "unit": "0 s", "tile_bandwidth": "1 PB/s", "short_keys": 128}
    >>> long = {"long_start": "10 us", "long_unit": "0 s", "window": "0 s"}
    >>> reading = {"bandwidth": "4 TB/s", "half_units": 0}
    >>> fit = GenerationAttentionFit.model_validate(start | units | long | reading)
    >>> generation_attention_s(fit, AttentionShape(32, 8, 128, 2.0), 10, 10 * 10_000)
    0.0001124
    """
    floor_s: float = generation_floor_s(fit, shape, batch)
    if keys <= batch * fit.short_keys and not windowed:
        return floor_s
    fixed_s, per_key_s = generation_line(fit, shape, batch, windowed=windowed)
    return float(max(floor_s, fixed_s + keys * per_key_s))


def generation_floor_s(fit: GenerationAttentionFit, shape: AttentionShape, batch: Number) -> Number:
    """Return the time of a decode-attention kernel of sequences of up to `short_keys` keys [s].

        start + value * head_dim + head * batch * heads + sequence * min(batch, 512)
        + max(units - free_units, 0) * (unit + tile bytes / tile_bandwidth)

    with units = batch * kv_heads; the keys of each unit fill one tile.

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
    """
    tile_s = TILE_KEYS * 2.0 * shape.head_dim * shape.kv_bytes / fit.tile_bandwidth_bytes_per_s
    return (
        fit.start_s
        + _shape_s(fit, shape, batch)
        + above(batch * shape.kv_heads, fit.free_units) * (fit.unit_s + tile_s)
    )


def generation_line(
    fit: GenerationAttentionFit,
    shape: AttentionShape,
    batch: Number,
    *,
    windowed: Number = False,
) -> tuple[Number, Number]:
    """Return the line of a decode-attention kernel of longer contexts: (fixed_s, per_key_s).

    The bytes of a key are read at bandwidth * units / (units + half_units), with units = batch *
    kv_heads: few units cannot be split over the whole device. A window begins and ends inside a
    tile, so half a tile more is read per sequence.

    Parameters
    ----------
    fit
        Constants for the precision of the KV cache.
    shape
        Heads of one device; may hold arrays.
    batch
        Number of sequences, or an array of numbers.
    windowed
        Whether a window hides a part of the contexts, or an array of flags.

    Returns
    -------
    tuple of Number
        Time without keys [s] and time per key [s].
    """
    units = batch * shape.kv_heads
    per_key_s = (
        2.0
        * shape.kv_heads
        * shape.head_dim
        * shape.kv_bytes
        / fit.bandwidth_bytes_per_s
        * (1.0 + fit.half_units / units)
    )
    fixed_s = (
        fit.long_start_s
        + _shape_s(fit, shape, batch)
        + above(units, fit.free_units) * fit.long_unit_s
    )
    return fixed_s + windowed * (fit.window_s + batch * TILE_KEYS / 2 * per_key_s), per_key_s


def _shape_s(fit: GenerationAttentionFit, shape: AttentionShape, batch: Number) -> Number:
    planned = batch - above(batch, PLANNED_SEQUENCES)
    return (
        fit.value_s * shape.head_dim + fit.head_s * batch * shape.heads + fit.sequence_s * planned
    )
