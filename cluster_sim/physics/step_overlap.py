"""Two-batch overlap: the exchange of one half of a batch runs while the other half computes.

Both halves pass the layers one after the other. In each layer with experts there are four slots,
in which one half computes and the other one exchanges (vLLM 0.33, docs/design/dbo.md):

| slot | computing | exchange of the other half |
|---|---|---|
| 1 | attention | dispatch |
| 2 | experts | dispatch |
| 3 | shared experts, experts | combine |
| 4 | shared experts, attention of the next layer | combine |

A slot takes the longer one of both times. The first attention and the last combine have nothing
beside them. Every kernel runs twice on half of the tokens: weights are read twice, products are
smaller, and times per layer count twice. Kernels of an exchange that occupy processors leave the
others to computing (vLLM, VLLM_DBO_COMM_SMS; DeepEP, normal kernels); low-latency kernels leave all
of them.

Published gains: prefill 27 to 35 %, decode of large batches up to 25 %; an H20 gains from 64
sequences per device on (LMSYS, May 2025; DeepGEMM, pull request 14).
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import NamedTuple

from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_work import StepWork
from cluster_sim.typing import Number


class SplitFrom(NamedTuple):
    """Sizes from which a step runs as two batches."""

    decode_tokens: int = 2
    """Minimum number of tokens per rank of a step that only decodes."""
    prompt_tokens: int = 2
    """Minimum number of tokens per rank of a step with prompts."""

    def splits(self, tokens: int, *, has_prompts: bool) -> bool:
        """Return whether a step with so many tokens per rank runs as two batches."""
        return tokens >= (self.prompt_tokens if has_prompts else self.decode_tokens)


class HalfTimes(NamedTuple):
    """Times of one half of a batch in all layers, without attention over keys [s]."""

    outside_s: float
    """Time of layers without experts."""
    around_s: float
    """Time of layers with experts before dispatch: attention's products and launches."""
    shared_s: float
    """Time of shared experts."""
    experts_s: float
    """Time of chosen experts."""
    dispatch_s: float
    """Time of sending tokens to their experts."""
    combine_s: float
    """Time of sending outputs back."""


class OverlapShape(NamedTuple):
    """Layers and processors of an overlapped step."""

    expert_layers: int
    """Number of layers with experts."""
    layers: float
    """Number of layers with and without experts."""
    occupied: float = 0.0
    """Share of the device's processors that an exchange occupies while it runs."""


_HALVED = (
    *("growth", "context", "windowed", "growing"),
    *("prompt_tokens", "pairs", "window_pairs", "pairs_growth"),
)
"""Counts of a step of which each half has one half."""


def half_of(work: StepWork, kernels: int) -> StepWork:
    """Return the work of one half of a batch.

    Parameters
    ----------
    work
        Work of the whole batch.
    kernels
        Number of attention kernels that share the sequences. Each of them has at least one in
        both halves.
    """
    parts: dict[str, Number] = {name: getattr(work, name) / 2 for name in _HALVED}
    batch = max(ceil(work.batch / 2), min(work.batch, kernels))
    return replace(work, batch=batch, **parts)


def two_batches(half: HalfTimes, attention: Ramp, shape: OverlapShape) -> Ramp:
    """Return the lengths of both halves in all layers [s].

    Parameters
    ----------
    half
        Times of one half.
    attention
        Lengths of one half's attention over keys in all layers.
    shape
        Layers and processors.

    Examples
    --------
    One layer of 3 us of attention, 2 us of experts and exchanges of 1 us each way: both halves
    compute for 10 us, and the last combine has nothing beside it.

    >>> half = HalfTimes(0.0, 3.0, 0.0, 2.0, 1.0, 1.0)
    >>> two_batches(half, Ramp(0.0), OverlapShape(1, 1)).first_s
    11.0
    """
    count, share = shape.expert_layers, shape.expert_layers / shape.layers
    outside = attention.scaled(1.0 - share).plus(Ramp(half.outside_s)).scaled(2.0)
    before = attention.scaled(share).plus(Ramp(half.around_s))
    after = Ramp(half.shared_s)
    occupied = shape.occupied
    inside = _slot(before, half.dispatch_s, occupied)
    inside = inside.plus(_slot(Ramp(half.experts_s), half.dispatch_s, occupied))
    inside = inside.plus(_slot(Ramp(half.shared_s + half.experts_s), half.combine_s, occupied))
    between = _slot(before.plus(after), half.combine_s, occupied).scaled((count - 1) / count)
    ends = before.plus(_slot(after, half.combine_s, occupied)).scaled(1.0 / count)
    return outside.plus(inside).plus(between).plus(ends)


def _slot(computing: Ramp, exchange_s: float, occupied: float) -> Ramp:
    """Return the time of one half's computing beside the other half's exchange."""
    return computing.plus(Ramp(occupied * exchange_s)).at_least(exchange_s)
