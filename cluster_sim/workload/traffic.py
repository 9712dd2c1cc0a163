"""Requests from an arrival process and lengths, or from a trace, one at a time as the clock reaches them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from cluster_sim.request import Request
from cluster_sim.workload.arrivals import Timetable
from cluster_sim.workload.lengths import Lengths, in_rank_order
from cluster_sim.workload.streams import stream
from cluster_sim.workload.traces import Tally, Trace

_AT_A_TIME = 4096


def lengths(prompt: Lengths, output: Lengths, seed: int, spearman: float | None = None) -> Iterator[tuple[int, int]]:
    """(prompt, output) tokens of the first request, the second, and so on without end; `spearman` is their rank correlation."""
    return chain.from_iterable(zip(*(column.tolist() for column in columns), strict=True) for columns in length_pieces(prompt, output, seed, spearman))


def length_pieces(prompt: Lengths, output: Lengths, seed: int, spearman: float | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Prompt and output tokens, some at a time, without end."""
    prompt_rng, output_rng, order_rng = (stream(seed, name) for name in ("prompt_tokens", "output_tokens", "length_correlation"))
    while True:
        prompts, outputs = prompt.draw(prompt_rng, _AT_A_TIME), output.draw(output_rng, _AT_A_TIME)
        yield (prompts, outputs) if spearman is None else in_rank_order(prompts, outputs, spearman, order_rng)


def drawn(
    arrivals: Timetable, prompt: Lengths, output: Lengths, seed: int, until_s: float, warmup_s: float, spearman: float | None = None
) -> Iterator[Request]:
    """Requests of an arrival process, until `until_s` or until it has made as many as it was asked for."""
    times = arrivals.times(stream(seed, "arrivals"))
    if arrivals.requests is None:
        numbers: Iterator[int] = iter(range(1 << 62))
    else:
        numbers = iter(range(arrivals.requests))
    for number, arrival_s, (prompt_tokens, output_tokens) in zip(numbers, times, lengths(prompt, output, seed, spearman), strict=False):
        if arrival_s >= until_s:
            return
        yield Request(number, arrival_s, prompt_tokens, output_tokens, arrival_s >= warmup_s)


def replayed(trace: Trace, seed: int, until_s: float, warmup_s: float, tally: Tally) -> Iterator[Request]:
    """Requests of a trace, until `until_s`; `tally` counts what is left out."""
    for number, (arrival_s, prompt_tokens, output_tokens, pieces) in enumerate(trace.rows(seed, tally)):
        if arrival_s >= until_s:
            return
        yield Request(number, arrival_s, prompt_tokens, output_tokens, arrival_s >= warmup_s, pieces)
