"""Requests from an arrival process and lengths, or from a trace.

Requests are created one at a time, when the clock reaches their arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from cluster_sim.request import Request
from cluster_sim.workload.arrivals import Arrivals
from cluster_sim.workload.classes import TrafficClass, class_numbers
from cluster_sim.workload.end_of_arrivals import trace_goes_on
from cluster_sim.workload.lengths import Lengths, in_rank_order
from cluster_sim.workload.random_streams import AT_A_TIME, stream
from cluster_sim.workload.traces import Tally, Trace


def lengths(
    prompt: Lengths, output: Lengths, seed: int, spearman: float | None = None
) -> Iterator[tuple[int, int]]:
    """Yield (prompt, output) tokens of each request, indefinitely.

    Parameters
    ----------
    prompt, output
        Distributions of the lengths [tokens].
    seed
        Seed of the scenario.
    spearman
        Rank correlation of prompt and output; None if they are independent.

    Examples
    --------
    >>> from cluster_sim.workload.lengths import Fixed
    >>> next(lengths(Fixed(tokens=100), Fixed(tokens=20), seed=1))
    (100, 20)
    """
    return chain.from_iterable(
        zip(*(column.tolist() for column in columns), strict=True)
        for columns in length_pieces(prompt, output, seed, spearman)
    )


def length_pieces(
    prompt: Lengths, output: Lengths, seed: int, spearman: float | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield columns of prompt and output tokens, `AT_A_TIME` rows each, indefinitely.

    The rows and the parameters are those of `lengths`.
    """
    prompt_rng, output_rng, order_rng = (
        stream(seed, name) for name in ("prompt_tokens", "output_tokens", "length_correlation")
    )
    while True:
        prompts, outputs = prompt.draw(prompt_rng, AT_A_TIME), output.draw(output_rng, AT_A_TIME)
        yield (
            (prompts, outputs)
            if spearman is None
            else in_rank_order(prompts, outputs, spearman, order_rng)
        )


def lengths_by_class(
    prompt: Lengths | None, output: Lengths | None, classes: Sequence[TrafficClass], seed: int
) -> Iterator[tuple[int, int]]:
    """Yield (prompt, output) tokens of each request if classes may define lengths.

    Every class with lengths has its own random stream. Each request also consumes a number of the
    common stream, whatever its class.

    Parameters
    ----------
    prompt, output
        Distributions for classes that define no lengths [tokens]; None if every class defines them.
    classes
        Classes of the traffic.
    seed
        Seed of the scenario.
    """
    numbers = class_numbers(classes, seed)

    def drawing(
        name: str, common: Lengths | None, own: list[Lengths | None]
    ) -> Callable[[npt.NDArray[np.int64]], list[int]]:
        rng = stream(seed, name)
        rngs = [stream(seed, f"{name} of {traffic_class.name}") for traffic_class in classes]

        def draw(number: npt.NDArray[np.int64]) -> list[int]:
            tokens = (
                np.zeros(len(number), dtype=np.int64)
                if common is None
                else common.draw(rng, len(number))
            )
            for index, lengths in enumerate(own):
                if lengths is not None:
                    of_class = number == index
                    tokens[of_class] = lengths.draw(rngs[index], int(np.sum(of_class)))
            return tokens.tolist()

        return draw

    prompts = drawing("prompt_tokens", prompt, [each.prompt_tokens for each in classes])
    outputs = drawing("output_tokens", output, [each.output_tokens for each in classes])
    return chain.from_iterable(
        zip(prompts(number), outputs(number), strict=True) for number in numbers
    )


def drawn(
    arrivals: Arrivals,
    pairs: Iterator[tuple[int, int]],
    seed: int,
    until_s: float,
    warmup_s: float,
) -> Iterator[Request]:
    """Yield the requests of an arrival process, in order of arrival.

    Parameters
    ----------
    arrivals
        Arrival process; it may limit the number of requests.
    pairs
        Tokens of prompt and answer of each request, see `lengths`.
    seed
        Seed of the scenario.
    until_s
        Time at which the requests end [s].
    warmup_s
        Time before which requests do not count for the statistics [s].

    Raises
    ------
    TypeError
        If arrivals depend on the answers, so that only a run determines their times.
    """
    times = arrivals.times(stream(seed, "arrivals"))
    if arrivals.requests is None:
        numbers: Iterator[int] = iter(range(1 << 62))
    else:
        numbers = iter(range(arrivals.requests))
    for number, arrival_s, (prompt_tokens, output_tokens) in zip(
        numbers, times, pairs, strict=False
    ):
        if arrival_s >= until_s:
            return
        yield Request(number, arrival_s, prompt_tokens, output_tokens, arrival_s >= warmup_s)


def replayed(
    trace: Trace, seed: int, until_s: float, warmup_s: float, tally: Tally
) -> Iterator[Request]:
    """Yield the requests of a trace, in order of arrival.

    Parameters
    ----------
    trace
        Recorded trace.
    seed
        Seed of the scenario, for sampling and dejittering.
    until_s
        Time at which the requests end [s].
    warmup_s
        Time before which requests do not count for the statistics [s].
    tally
        Counts of omitted rows, which are updated while reading.

    Raises
    ------
    ScenarioError
        With the line of a row that is malformed or too late, or for a trace without requests.
    """
    for number, (arrival_s, prompt_tokens, output_tokens, pieces) in enumerate(
        trace.rows(seed, tally)
    ):
        if arrival_s >= until_s:
            tally.note(trace_goes_on(until_s))
            return
        yield Request(
            number, arrival_s, prompt_tokens, output_tokens, arrival_s >= warmup_s, pieces
        )
