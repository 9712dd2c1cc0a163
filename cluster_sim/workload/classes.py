"""Classes of requests in one stream of arrivals, such as people who wait and jobs that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from cluster_sim.limits import COUNT
from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.units import PositiveSeconds
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.random_streams import AT_A_TIME, stream

Percentile = Annotated[float, Field(gt=0.0, le=100.0)]
"""Percentile of requests."""


class Slo(Description):
    """Service-level objectives. A request is good if it meets all that are given.

    A run meets them if each objective holds at a percentile of its requests.
    """

    ttft_s: PositiveSeconds | None = None
    """Maximum time to first token [s]. Default: no limit."""
    tpot_s: PositiveSeconds | None = None
    """Maximum mean time per output token after the first [s]. Default: no limit."""
    e2el_s: PositiveSeconds | None = None
    """Maximum end-to-end latency, from arrival to last token [s]. Default: no limit."""
    percentile: Percentile | None = None
    """Percentile of requests at which each objective must hold. Requests that did not finish count
    as infinitely late. Default: 99; for a class, the percentile of the scenario's `slo`."""

    @property
    def limits_s(self) -> dict[str, float]:
        """Limits that are given [s], by latency: ttft, tpot, e2el."""
        limits_s = {"ttft": self.ttft_s, "tpot": self.tpot_s, "e2el": self.e2el_s}
        return {latency: limit_s for latency, limit_s in limits_s.items() if limit_s is not None}

    def at(self, percentile: float | None) -> Slo:
        """Return these objectives at `percentile` where they have none of their own."""
        if percentile is None or self.percentile is not None:
            return self
        return self.model_copy(update={"percentile": percentile})


class TrafficClass(Description):
    """A named part of the traffic with its own priority, objectives and lengths."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)]
    """Name of the class."""
    share: Annotated[float, Field(gt=0.0, le=1.0)]
    """Share of all requests. The shares of all classes add up to 1."""
    priority: Annotated[int, Field(ge=-COUNT.most), COUNT] = 0
    """Priority of the class. Lower numbers are more urgent, as in vLLM."""
    slo: Slo | None = None
    """Objectives of this class, which replace all objectives of the scenario. Default: those of the
    scenario."""
    prompt_tokens: Lengths | None = None
    """Distribution of prompt lengths of this class [tokens]. Default: that of the workload."""
    output_tokens: Lengths | None = None
    """Distribution of answer lengths of this class [tokens]. Default: that of the workload."""


def class_numbers(classes: Sequence[TrafficClass], seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the number of each request's class, `AT_A_TIME` together, indefinitely."""
    rng = stream(seed, "classes")
    bounds = np.cumsum([traffic_class.share for traffic_class in classes])[:-1]
    while True:
        yield np.searchsorted(bounds, rng.random(AT_A_TIME), side="right")


def labelled(
    route: Callable[[Request], None], classes: Sequence[TrafficClass], seed: int
) -> Callable[[Request], None]:
    """Return `route` for requests that get their class and its priority as they arrive."""
    numbers = chain.from_iterable(piece.tolist() for piece in class_numbers(classes, seed))
    priorities = [traffic_class.priority for traffic_class in classes]

    def label_and_route(request: Request) -> None:
        request.class_number = number = next(numbers)
        request.priority = priorities[number]
        route(request)

    return label_and_route
