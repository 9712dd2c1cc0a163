"""End of a run that can no longer meet its SLO.

The percentile of a latency is above its limit as soon as more requests are above the limit than the
percentile leaves. Whether they are does not depend on the requests that follow, so a run that ends
here would miss the SLO at full length too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import floor, inf, isnan

from cluster_sim.request import Request
from cluster_sim.results.metrics.verdict import Objective
from cluster_sim.results.recorder import Recorder

_CLEARLY = 1.02
"""Factor on a limit above which a latency counts; tables add the latency of the network."""
_CHECKS = 50
"""Number of checks of a run. Each one reads all requests so far."""


@dataclass
class CertainMiss:
    """Check whether so many requests of a run miss an objective that the percentile misses it.

    It is called as `RunLimits.hopeless`. Requests of classes and traffic of unknown length are not
    checked.
    """

    objectives: Sequence[Objective]
    """Objectives of all requests."""
    requests: int
    """Number of requests of the whole traffic that count."""
    found: str | None = field(default=None, init=False)
    """Objective that is missed, as a sentence; None if there is none yet."""
    at_least_s: dict[str, float] = field(default_factory=dict, init=False)
    """Lower bound of each objective's latency at its percentile in the whole run, when a miss is
    found [s]."""
    _next: int = field(default=0, init=False)

    def __call__(self, now_s: float, recorder: Recorder) -> str | None:
        """Return the objective that is missed for certain; None if there is none yet."""
        if recorder.originals or len(recorder.requests) < self._next:  # attempts are no requests
            return None
        self._next = len(recorder.requests) + max(self.requests // _CHECKS, 1)
        counted = [each for each in recorder.requests if each.counted]
        for objective in self.objectives:
            allowed = (1.0 - objective.percentile / 100.0) * self.requests + 1.0
            limit_s = _CLEARLY * objective.limit_s
            if sum(value > limit_s for value in _at_least_s(counted, objective, now_s)) > allowed:
                self.found = f"{objective.name} is missed for certain"
        if self.found is not None:
            self.at_least_s = {
                each.name: self._bound_s(counted, each, now_s) for each in self.objectives
            }
        return self.found

    def _bound_s(self, requests: Sequence[Request], objective: Objective, now_s: float) -> float:
        """Return a lower bound of an objective's latency at its percentile in the whole run [s].

        As many requests as the percentile leaves may be slower than it.
        """
        slower = floor((1.0 - objective.percentile / 100.0) * self.requests) + 1
        known = sorted(_at_least_s(requests, objective, now_s), reverse=True)
        return max(known[slower], 0.0) if len(known) > slower else 0.0


def _at_least_s(requests: Sequence[Request], objective: Objective, now_s: float) -> Iterator[float]:
    """Yield what is known of the latency of each request: it is at least this long [s]."""
    for request in requests:
        first_s = _until(request.first_token_s, now_s)
        if objective.latency == "ttft":
            yield first_s - request.arrival_s
        elif objective.latency == "e2el":
            end_s = _until(request.finish_s, now_s)
            yield end_s - request.arrival_s
        elif not isnan(request.finish_s) and request.output_tokens > 1:
            yield (request.finish_s - first_s) / (request.output_tokens - 1)
        else:
            yield -inf


def _until(time_s: float, now_s: float) -> float:
    """Return the time of an event, or `now_s` if it has not happened [s]."""
    return now_s if isnan(time_s) else time_s
