"""Lengths of the rounds of a search, in which fewer deployments see more of the traffic."""

from __future__ import annotations

import numpy as np

from cluster_sim.analysis.demand import Demand
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.planning.trial import Part

_SHARES = (1 / 9, 1 / 3)
"""Shares of the traffic by round, before the last round with all of it."""
_LONGEST = 0.5
"""Share of the traffic above which a short run saves too little."""
_FEWEST = 300
"""Number of requests below which a percentile of a short run says little."""
_WINDOW_S = 30.0
"""Length of the windows in which load is counted [s]."""
_NEAR_PEAK = 0.9
"""Share of the load of the fullest window that a short run must contain."""
TOKENS_PER_S = 50.0
"""Assumed rate of answers, if requests wait for them [tokens/s]."""


def rounds(scenario: Scenario, demand: Demand) -> tuple[Part, ...]:
    """Return the part of the traffic that each round simulates, ascending to all of it.

    Latencies are long where the load is high. A part of the traffic therefore has a window of 30 s
    with at least 0.9 of the load of the fullest one, and at least 300 requests after the warm-up.

    Parameters
    ----------
    scenario
        Scenario with the traffic.
    demand
        Requests of the traffic.
    """
    arrivals_s = demand.arrival_s
    counted_s = arrivals_s[arrivals_s >= scenario.warmup_s]
    known = len(counted_s) if is_fixed(scenario) else 0
    whole = Part(1.0, known)
    end_s = scenario.duration_s or (float(arrivals_s[-1]) if len(arrivals_s) else 0.0)
    if not end_s or len(counted_s) <= _FEWEST or not _can_be_cut(scenario):
        return (whole,)
    least = max(float(counted_s[_FEWEST]), near_peak_s(demand, scenario)) / end_s
    shares = sorted({max(share, least) for share in _SHARES})
    return (*(Part(share, known) for share in shares if share <= _LONGEST), whole)


def is_fixed(scenario: Scenario) -> bool:
    """Return whether the number of requests and their arrivals do not depend on answers."""
    workload = scenario.workload
    if workload.sessions is not None:
        return False
    return workload.arrivals is None or workload.arrivals.waiting_clients() is None


def _can_be_cut(scenario: Scenario) -> bool:
    """Return whether `shortened` shortens the traffic."""
    workload = scenario.workload
    return (
        scenario.duration_s is not None
        or (workload.trace is not None and bool(workload.trace.limit))
        or any(
            each is not None and bool(each.requests)
            for each in (workload.arrivals, workload.sessions)
        )
    )


def near_peak_s(demand: Demand, scenario: Scenario) -> float:
    """Return the end of the first window with nearly the load of the fullest one [s].

    The load of a window is the number of prompt and output tokens of the requests that arrive in
    it, after the warm-up.

    Parameters
    ----------
    demand
        Requests of the scenario.
    scenario
        Scenario with its warm-up.
    """
    window = (demand.arrival_s // _WINDOW_S).astype(np.int64)
    tokens = (demand.prompt_tokens + demand.output_tokens).astype(float)
    tokens[demand.arrival_s < scenario.warmup_s] = 0.0
    load = np.bincount(window, weights=tokens) if len(window) else np.zeros(1)
    first = int(np.argmax(load >= _NEAR_PEAK * load.max()))
    return (first + 1) * _WINDOW_S
