"""Requests from an arrival process and lengths, or from a trace, one at a time as the clock reaches them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from cluster_sim.request import Request
from cluster_sim.workload.arrivals import Timetable
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.streams import stream
from cluster_sim.workload.traces import Trace

_AT_A_TIME = 4096


def lengths(prompt: Lengths, output: Lengths, seed: int) -> Iterator[tuple[int, int]]:
    """(prompt, output) tokens of the first request, the second, and so on without end."""
    prompt_rng, output_rng = stream(seed, "prompt_tokens"), stream(seed, "output_tokens")

    def pieces() -> Iterator[Iterator[tuple[int, int]]]:
        while True:
            yield zip(prompt.draw(prompt_rng, _AT_A_TIME).tolist(), output.draw(output_rng, _AT_A_TIME).tolist(), strict=True)

    return chain.from_iterable(pieces())


def drawn(arrivals: Timetable, prompt: Lengths, output: Lengths, seed: int, until_s: float, warmup_s: float) -> Iterator[Request]:
    """Requests of an arrival process, until `until_s` or until it has made as many as it was asked for."""
    times = arrivals.times(stream(seed, "arrivals"))
    if arrivals.requests is None:
        numbers: Iterator[int] = iter(range(1 << 62))
    else:
        numbers = iter(range(arrivals.requests))
    for number, arrival_s, (prompt_tokens, output_tokens) in zip(numbers, times, lengths(prompt, output, seed), strict=False):
        if arrival_s >= until_s:
            return
        yield Request(number, arrival_s, prompt_tokens, output_tokens, arrival_s >= warmup_s)


def replayed(trace: Trace, until_s: float, warmup_s: float) -> Iterator[Request]:
    """Requests of a trace, until `until_s`."""
    for number, (arrival_s, prompt_tokens, output_tokens) in enumerate(trace.rows()):
        if arrival_s >= until_s:
            return
        yield Request(number, arrival_s, prompt_tokens, output_tokens, arrival_s >= warmup_s)
