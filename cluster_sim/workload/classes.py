"""Classes of requests in one stream of arrivals, such as interactive requests and batch jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from cluster_sim.limits import COUNT
from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.units import LatencySeconds
from cluster_sim.workload.clients import Clients
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.random_streams import AT_A_TIME, stream

Percentile = Annotated[float, Field(gt=0.0, le=100.0)]
"""Percentile of requests."""


class Slo(Description):
    """Service-level objectives: a request is good when it meets every objective that is given.

    A run meets its objectives when each objective holds at a percentile of the run's requests.
    """

    bare_key: ClassVar[str] = "ttft"

    ttft_s: LatencySeconds | None = None
    """Maximum time to first token [s]. Default: no limit."""
    tpot_s: LatencySeconds | None = None
    """Maximum mean time per output token after the first [s]. Default: no limit."""
    e2el_s: LatencySeconds | None = None
    """Maximum end-to-end latency, from arrival to last token [s]. Default: no limit."""
    percentile: Percentile | None = None
    """Percentile of requests at which each objective must hold; requests that did not finish count
    as infinitely late. Default: 99; for a class, the percentile of the scenario's `slo`."""

    @property
    def limits_s(self) -> dict[str, float]:
        """Limits that are given [s], by latency: ttft, tpot, e2el."""
        limits_s = {"ttft": self.ttft_s, "tpot": self.tpot_s, "e2el": self.e2el_s}
        return {latency: limit_s for latency, limit_s in limits_s.items() if limit_s is not None}

    def at(self, percentile: float | None) -> Slo:
        """Return these objectives, with `percentile` if they name no percentile."""
        if percentile is None or self.percentile is not None:
            return self
        return self.model_copy(update={"percentile": percentile})


class TrafficClass(Description):
    """A named part of the traffic."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)]
    """Name of the class."""
    share: Annotated[float, Field(gt=0.0, le=1.0)]
    """Share of all requests. The shares of all classes add up to 1."""
    priority: Annotated[int, Field(ge=-COUNT.most), COUNT] = 0
    """Priority of the class. Lower numbers are more urgent, as in vLLM."""
    slo: Slo | None = None
    """Objectives of this class; they replace the whole `slo` of the scenario. Default: the
    scenario's `slo`."""
    prompt_tokens: Lengths | None = None
    """Lengths of this class's prompts [tokens]. Default: the workload's `prompt_tokens`."""
    output_tokens: Lengths | None = None
    """Lengths of this class's answers [tokens]. Default: the workload's `output_tokens`."""
    clients: Clients | None = None
    """Clients of this class. Default: the workload's `clients`."""


def class_numbers(classes: Sequence[TrafficClass], seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield arrays of `AT_A_TIME` class numbers, one number per request, indefinitely."""
    rng = stream(seed, "classes")
    bounds = np.cumsum([traffic_class.share for traffic_class in classes])[:-1]
    while True:
        yield np.searchsorted(bounds, rng.random(AT_A_TIME), side="right")


def labelled(
    route: Callable[[Request], None], classes: Sequence[TrafficClass], seed: int
) -> Callable[[Request], None]:
    """Return `route` preceded by a step that sets a request's class and priority at its arrival."""
    numbers = chain.from_iterable(piece.tolist() for piece in class_numbers(classes, seed))
    priorities = [traffic_class.priority for traffic_class in classes]

    def label_and_route(request: Request) -> None:
        request.class_number = number = next(numbers)
        request.priority = priorities[number]
        route(request)

    return label_and_route
