"""Classes of requests that share one stream of arrivals, such as people who wait and jobs that do
not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.units import PositiveSeconds
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.random_streams import AT_A_TIME, stream


class Slo(Description):
    """What makes a request good: it meets all that are given."""

    ttft_s: PositiveSeconds | None = None
    """Time to first token."""
    tpot_s: PositiveSeconds | None = None
    """Time per output token after the first."""
    e2el_s: PositiveSeconds | None = None
    """Arrival to last token."""


class TrafficClass(Description):
    """A part of the traffic with a name of its own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    share: Annotated[float, Field(gt=0.0, le=1.0)]
    """Of all requests; the shares of all classes add up to 1."""
    priority: int = 0
    """Lower is more urgent, as vLLM has it."""
    slo: Slo | None = None
    """In place of the scenario's, whole."""
    prompt_tokens: Lengths | None = None
    """In place of the workload's."""
    output_tokens: Lengths | None = None
    """In place of the workload's."""


def class_numbers(classes: Sequence[TrafficClass], seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """To which class the first request belongs, the second, and so on: pieces of `AT_A_TIME`,
    without end.
    """
    rng, bounds = stream(seed, "classes"), np.cumsum([one.share for one in classes])[:-1]
    while True:
        yield np.searchsorted(bounds, rng.random(AT_A_TIME), side="right")


def labelled(
    route: Callable[[Request], None], classes: Sequence[TrafficClass], seed: int
) -> Callable[[Request], None]:
    """`route` for requests that get their class and its priority as they arrive, in the order of
    arrival.
    """
    numbers = chain.from_iterable(piece.tolist() for piece in class_numbers(classes, seed))
    priorities = [one.priority for one in classes]

    def label_and_route(request: Request) -> None:
        request.class_number = number = next(numbers)
        request.priority = priorities[number]
        route(request)

    return label_and_route
