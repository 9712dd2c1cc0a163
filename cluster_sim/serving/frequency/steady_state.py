"""Latencies and power of a replica under steady traffic, from its profile."""

from __future__ import annotations

from math import ceil, log
from typing import NamedTuple

from cluster_sim.serving.frequency.observed import ClockProfile

_FULL = 0.95
"""Share of the time in prefill above which a replica counts as overloaded (estimate)."""

_RAREST = 1e-4
"""Share of requests that a percentile of 100 leaves out, since a tail of waits has no end."""


class Traffic(NamedTuple):
    """Requests that arrive at a replica."""

    requests_per_s: float
    prompt_tokens: float
    """Mean number of prompt tokens of a request."""
    squared_prompts: float
    """Mean of the squared number of prompt tokens."""
    output_tokens: float
    """Mean number of tokens of an answer."""


class SteadyState(NamedTuple):
    """Latencies and power under steady traffic at one clock."""

    ttft_s: float
    """Time to first token at the percentile that was asked for [s]."""
    tpot_s: float
    """Mean time per output token [s]."""
    watts: float
    """Mean power of one device [W]."""


def steady_state(
    profile: ClockProfile, traffic: Traffic, clock: float, percentile: float
) -> SteadyState | None:
    """Return what steady traffic gives at a clock; None if the replica cannot keep up.

    Prompts are prefilled one after the other; decode has the rest of the time. The number of
    decoding sequences follows from Little's law. Prompts wait as in a queue with one server
    (Pollaczek-Khinchine), and waits have an exponential tail. Steps that mix prefill and decode
    take as long as both apart, which is an upper bound.

    Parameters
    ----------
    profile
        Times and power of the replica's steps.
    traffic
        Requests that arrive.
    clock
        Clock as a share of the highest.
    percentile
        Percentile of the time to first token.
    """
    rate, tokens = traffic.requests_per_s, traffic.prompt_tokens
    if rate <= 0.0 or tokens <= 0.0:
        return SteadyState(0.0, 0.0, profile.idle_w(clock))
    prompt_s = profile.prefill_s(tokens, clock)
    busy = rate * prompt_s
    if busy >= _FULL:
        return None
    generated_per_s = rate * max(traffic.output_tokens - 1.0, 0.0)
    context_each = tokens + traffic.output_tokens / 2
    if not (sequences := _sequences(profile, generated_per_s / (1.0 - busy), context_each, clock)):
        return None
    context = sequences * context_each
    step_s = profile.decode_s(sequences, context, clock)
    spread = traffic.squared_prompts / tokens**2  # 1 for equal prompts
    tail = max(log(busy / max(1.0 - percentile / 100.0, _RAREST)), 0.0)
    wait_s = 0.5 * prompt_s * spread / (1.0 - busy) * tail
    decodes = min(1.0 - busy, generated_per_s * step_s / sequences)
    watts = (
        busy * profile.prefill_w(tokens, clock)
        + decodes * profile.decode_w(sequences, context, clock)
        + (1.0 - busy - decodes) * profile.idle_w(clock)
    )
    return SteadyState(wait_s + step_s + prompt_s * spread**0.5, step_s / (1.0 - busy), watts)


def _sequences(
    profile: ClockProfile, tokens_per_s: float, context_each: float, clock: float
) -> int:
    """Return the number of sequences that generate tokens at a rate; 0 if there are not enough.

    It is the least number b with b ≥ rate · (length of a step of b sequences).
    """
    sequences = 1
    while sequences <= profile.max_sequences:
        step_s = profile.decode_s(sequences, sequences * context_each, clock)
        needed = ceil(tokens_per_s * step_s - 1e-9)
        if needed <= sequences:
            return sequences
        sequences = needed
    return 0
