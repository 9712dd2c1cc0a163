"""Time of the state part of one linear-attention layer on one device.

The state part consists of the kernels between the projections: the short convolution, the gate and
the scan. The caller applies tensor parallelism: a shape has the heads of one device. No time here
depends on the length of the context.

    linear_decode_s(fit, shape, batch) -> float
    linear_prefill_s(fit, shape, sequences, tokens) -> float
    linear_prefill_line(fit, shape, sequences=1) -> PrefillLine(fixed_s, token_s)
    linear_roofline(shape, bandwidth, flop_per_s) -> LinearAttentionFit
    scan_flop(shape) -> FLOP per token

`linear_roofline` returns the constants for a layer that was not measured, so that all functions
work for both cases. `KernelFits.linear` holds the fits by kind of layer, such as
`gated_delta_net`; `fit_of_engine(fits.linear, kind, engine)` returns one of them.

Range of the measurements: heads of 128 by 128 values with a state in 32 bit; Gated DeltaNet
(arXiv 2412.06464) with 2 to 64 value heads, and Kimi Delta Attention (arXiv 2510.26692) with 12 to
96; batches up to 1,024, prompts up to 32,768 tokens in up to 64 sequences. For Mamba-2 (arXiv
2405.21060) only the convolution was measured; its scan is a roofline.
"""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.linear_fit import LinearAttentionFit
from cluster_sim.physics.attention import above
from cluster_sim.typing import Number

SCAN_CHUNK = 64
"""Number of tokens that a scan processes per chunk: 64 in FLA's kernels for both delta rules."""
CONVOLUTION_BYTES = 2.0
"""Size of one value of the convolution's inputs, outputs and state [B]."""
CONVOLUTION_TOKENS = 4
"""Number of tokens in the window of the short convolution."""


class LinearShape(NamedTuple):
    """State part of one layer on one device; numbers, or arrays of one value per kernel."""

    heads: Number
    """Number of value heads; each head has one state."""
    key_dim: Number
    """Width of a key; for Mamba-2, the size of the state per channel."""
    value_dim: Number
    """Width of a value; for Mamba-2, the width of a head."""
    channels: Number
    """Number of channels of the convolution: queries, keys and values; 0 without a convolution."""
    value_bytes: Number = 4.0
    """Size of one value of the state [B]."""
    is_delta: bool = True
    """Whether the state follows the delta rule, which takes about twice as much arithmetic as a
    sum."""

    @property
    def head_state_bytes(self) -> Number:
        """Size of the state of one head of one sequence [B]."""
        return self.key_dim * self.value_dim * self.value_bytes


class PrefillLine(NamedTuple):
    """Time of a step's prompt tokens in one layer: fixed + token x tokens."""

    fixed_s: Number
    token_s: Number


def scan_flop(shape: LinearShape) -> Number:
    """Return the FLOP of one prompt token in a chunked scan, over all heads.

    Inside a chunk of C tokens the scan computes scores and their sum over values. Between chunks it
    reads the state and adds to the state:

        heads (2 C (key + value) + 4 key value)

    The delta rule first solves for the values that a chunk writes. It multiplies the keys of the
    chunk with each other, the solution with keys and values, and keys with the state, which adds
    2 C (2 key + value) + 2 key value per head.

    Source: Mamba-2, arXiv 2405.21060, section 6; for the delta rule arXiv 2412.06464, section 3.3,
    and arXiv 2510.26692, section 3.

    >>> scan_flop(LinearShape(1, 128, 128, 0, is_delta=False))  # 128 x 256 and 4 x 16,384
    98304.0
    >>> scan_flop(LinearShape(1, 128, 128, 0))  # 128 x 384 and 2 x 16,384 more
    180224.0
    """
    key, value, chunk = shape.key_dim, shape.value_dim, 2.0 * SCAN_CHUNK
    flop = chunk * (key + value) + 4.0 * key * value
    if shape.is_delta:
        flop = flop + chunk * (2.0 * key + value) + 2.0 * key * value
    return shape.heads * flop


def linear_decode_s(fit: LinearAttentionFit, shape: LinearShape, batch: Number) -> Number:
    """Return the time of one layer's state part in decode [s].

        start + max(batch heads - free_heads, 0) 2 state / bandwidth + batch channels channel

    The state of each sequence is read and written once per step.

    Parameters
    ----------
    fit
        Constants for the kind of layer.
    shape
        Heads of one device; may hold arrays.
    batch
        Number of decoding sequences, or an array of numbers.

    Returns
    -------
    Number
        Time [s], of the shape of the arrays.

    Examples
    --------
    1,000 heads of 64 KiB at 4 TB/s, read and written, plus 5 us:

    >>> from cluster_sim.hardware.linear_fit import LinearAttentionFit
    >>> decode = {"start": "5 us", "free_heads": 0, "bandwidth": "4 TB/s", "channel": "0 s"}
    >>> prompts = {"prompt_start": "0 s", "prompt_free_heads": 0, "prompt_head": "0 s"}
    >>> scan = {"walk": "0 s", "compute": "1 PFLOP/s", "overlap": 1, "prompt_channel": "0 s"}
    >>> fit = LinearAttentionFit.model_validate(decode | prompts | scan)
    >>> round(linear_decode_s(fit, LinearShape(10, 128, 128, 0), 100), 7)
    3.78e-05
    """
    state_s = 2.0 * shape.head_state_bytes / fit.bandwidth_bytes_per_s
    heads_s = above(batch * shape.heads, fit.free_heads) * state_s
    return fit.start_s + heads_s + batch * shape.channels * fit.channel_s


def linear_prefill_s(
    fit: LinearAttentionFit, shape: LinearShape, sequences: Number, tokens: Number
) -> Number:
    """Return the time of one layer's state part in prefill [s].

        prompt_start + (states^o + (tokens walk / sequences)^o + (tokens busy)^o)^(1/o)
        states = max(sequences heads - prompt_free_heads, 0) prompt_head
        busy = scan_flop / compute + channels prompt_channel

    with o = overlap. A scan processes the chunks of one sequence one after another. With too few
    heads to fill the device, the longest sequence limits the time.

    Parameters
    ----------
    fit
        Constants for the kind of layer.
    shape
        Heads of one device; may hold arrays.
    sequences
        Number of sequences of equal length, or an array of numbers.
    tokens
        Number of new tokens of all sequences.

    Returns
    -------
    Number
        Time [s], of the shape of the arrays.

    Examples
    --------
    A state of 64 KiB, read and written at 1 TB/s, and 1,000 tokens of 180,224 FLOP at 1 PFLOP/s:

    >>> shape = LinearShape(1, 128, 128, 0)
    >>> round(linear_prefill_s(linear_roofline(shape, 1e12, 1e15), shape, 1, 1000), 12)
    3.11296e-07
    """
    states_s, walk_s, busy_s = _prefill_parts(fit, shape, sequences)
    together_s = _norm(fit.overlap, states_s, tokens * walk_s, tokens * busy_s)
    return fit.prompt_start_s + together_s


def linear_prefill_line(
    fit: LinearAttentionFit, shape: LinearShape, sequences: Number = 1
) -> PrefillLine:
    """Return a line over the prompt tokens of a step that is never below `linear_prefill_s`.

    The line equals that time if the states of all sequences are free, as for one sequence on a
    device with up to about a hundred heads, and in the limits of few and of many tokens. In between
    the line is too high by a factor of at most 2^(1 - 1/overlap), because it does not overlap
    reading the states with the scan.

    Parameters
    ----------
    fit
        Constants for the kind of layer.
    shape
        Heads of one device; may hold arrays.
    sequences
        Number of sequences whose chunks the step takes, or an array of numbers.

    Returns
    -------
    PrefillLine
        Times without tokens and per token [s].
    """
    states_s, walk_s, busy_s = _prefill_parts(fit, shape, sequences)
    return PrefillLine(fit.prompt_start_s + states_s, _norm(fit.overlap, walk_s, busy_s))


def linear_roofline(shape: LinearShape, bandwidth: float, flop_per_s: float) -> LinearAttentionFit:
    """Return constants for a kind of layer that was not measured: no starts, only bytes and FLOP.

    A decoding sequence reads and writes its state and the state of its convolution, and moves input
    and output of the convolution. A prompt token moves only the latter. Each prompt reads and
    writes its state once.

    Parameters
    ----------
    shape
        Heads of one device.
    bandwidth
        Rate at which states move [B/s].
    flop_per_s
        Rate of the scan of prompts [FLOP/s].

    Returns
    -------
    LinearAttentionFit
        Constants for `linear_decode_s` and `linear_prefill_s`.

    Examples
    --------
    A state of 64 KiB, read and written at 1 TB/s:

    >>> shape = LinearShape(1, 128, 128, 0)
    >>> linear_decode_s(linear_roofline(shape, 1e12, 1e15), shape, 1)
    1.31072e-07
    """
    kept = 2.0 * (CONVOLUTION_TOKENS - 1)
    return LinearAttentionFit.model_construct(
        start_s=0.0,
        free_heads=0.0,
        bandwidth_bytes_per_s=bandwidth,
        channel_s=(kept + 2.0) * CONVOLUTION_BYTES / bandwidth,
        prompt_start_s=0.0,
        prompt_free_heads=0.0,
        prompt_head_s=2.0 * shape.head_state_bytes / bandwidth,
        walk_s=0.0,
        compute_flop_per_s=flop_per_s,
        overlap=1.0,
        prompt_channel_s=2.0 * CONVOLUTION_BYTES / bandwidth,
    )


def _prefill_parts(
    fit: LinearAttentionFit, shape: LinearShape, sequences: Number
) -> tuple[Number, Number, Number]:
    """Return the time of all states, of a walk per token, and of computing per token [s]."""
    states_s = above(sequences * shape.heads, fit.prompt_free_heads) * fit.prompt_head_s
    busy_s = scan_flop(shape) / fit.compute_flop_per_s + shape.channels * fit.prompt_channel_s
    return states_s, fit.walk_s / sequences, busy_s


def _norm(power: float, *parts_s: Number) -> Number:
    """Return the p-norm of times [s]; it computes in nanoseconds so that no power underflows."""
    return sum((1e9 * part_s) ** power for part_s in parts_s) ** (1.0 / power) * 1e-9
