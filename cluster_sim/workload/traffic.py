"""Requests from an arrival process and lengths, or from a trace, one at a time as the clock reaches them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from cluster_sim.request import Request
from cluster_sim.workload.arrivals import Timetable
from cluster_sim.workload.classes import TrafficClass, class_numbers
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.streams import AT_A_TIME, stream
from cluster_sim.workload.traces import Trace


def lengths(prompt: Lengths, output: Lengths, seed: int) -> Iterator[tuple[int, int]]:
    """(prompt, output) tokens of the first request, the second, and so on without end."""
    prompt_rng, output_rng = stream(seed, "prompt_tokens"), stream(seed, "output_tokens")

    def pieces() -> Iterator[Iterator[tuple[int, int]]]:
        while True:
            yield zip(prompt.draw(prompt_rng, AT_A_TIME).tolist(), output.draw(output_rng, AT_A_TIME).tolist(), strict=True)

    return chain.from_iterable(pieces())


def lengths_by_class(prompt: Lengths | None, output: Lengths | None, classes: Sequence[TrafficClass], seed: int) -> Iterator[tuple[int, int]]:
    """The same where classes may have lengths of their own; what a class leaves out is `prompt` or `output`.

    Every class has a stream of its own beside the common one, of which each request uses up a number whatever its class.
    """
    numbers = class_numbers(classes, seed)

    def drawing(name: str, common: Lengths | None, own: list[Lengths | None]) -> Callable[[npt.NDArray[np.int64]], list[int]]:
        rng = stream(seed, name)
        rngs = [stream(seed, f"{name} of {one.name}") for one in classes]

        def draw(number: npt.NDArray[np.int64]) -> list[int]:
            tokens = np.zeros(len(number), dtype=np.int64) if common is None else common.draw(rng, len(number))
            for index, lengths in enumerate(own):
                if lengths is not None:
                    mine = number == index
                    tokens[mine] = lengths.draw(rngs[index], int(np.sum(mine)))
            return tokens.tolist()

        return draw

    prompts = drawing("prompt_tokens", prompt, [one.prompt_tokens for one in classes])
    outputs = drawing("output_tokens", output, [one.output_tokens for one in classes])
    return chain.from_iterable(zip(prompts(number), outputs(number), strict=True) for number in numbers)


def drawn(arrivals: Timetable, pairs: Iterator[tuple[int, int]], seed: int, until_s: float, warmup_s: float) -> Iterator[Request]:
    """Requests of an arrival process with these lengths, until `until_s` or until it has made as many as it was asked for."""
    times = arrivals.times(stream(seed, "arrivals"))
    if arrivals.requests is None:
        numbers: Iterator[int] = iter(range(1 << 62))
    else:
        numbers = iter(range(arrivals.requests))
    for number, arrival_s, (prompt_tokens, output_tokens) in zip(numbers, times, pairs, strict=False):
        if arrival_s >= until_s:
            return
        yield Request(number, arrival_s, prompt_tokens, output_tokens, arrival_s >= warmup_s)


def replayed(trace: Trace, until_s: float, warmup_s: float) -> Iterator[Request]:
    """Requests of a trace, until `until_s`."""
    for number, (arrival_s, prompt_tokens, output_tokens) in enumerate(trace.rows()):
        if arrival_s >= until_s:
            return
        yield Request(number, arrival_s, prompt_tokens, output_tokens, arrival_s >= warmup_s)
