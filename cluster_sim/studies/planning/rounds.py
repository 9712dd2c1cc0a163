"""Lengths of the rounds of a search, in which fewer deployments see more of the traffic."""

from __future__ import annotations

import numpy as np

from cluster_sim.analysis.demand import Demand
from cluster_sim.analysis.traffic import of_scenario
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.planning.trial import Part
from cluster_sim.workload.arrivals import WaitingClients

_SHARES = (1 / 9, 1 / 3, 1.0)
"""Shares of the traffic by round."""
_FEWEST = 300
"""Number of requests below which a percentile of a short run says little."""
_WINDOW_S = 30.0
"""Length of the windows in which load is counted [s]."""
_NEAR_PEAK = 0.9
"""Share of the load of the fullest window that a short run must contain."""
_TOKENS_PER_S = 50.0
"""Assumed rate of answers, if requests wait for them [tokens/s]."""


def rounds(scenario: Scenario) -> tuple[Part, ...]:
    """Return the part of the traffic that each round simulates, ascending to all of it.

    Latencies are long where the load is high. A part of the traffic therefore has a window of 30 s
    with at least 0.9 of the load of the fullest one, and at least 300 requests.

    Parameters
    ----------
    scenario
        Scenario as written; its traffic is drawn or read.
    """
    demand = of_scenario(scenario, _TOKENS_PER_S)
    end_s = scenario.duration_s or (float(demand.arrival_s[-1]) if len(demand.arrival_s) else 0.0)
    if not end_s:
        return (Part(1.0, 0),)
    counted = demand.arrival_s >= scenario.warmup_s
    requests = int(counted.sum())
    least = max(_FEWEST / max(requests, 1), near_peak_s(demand, scenario) / end_s)
    known = requests if _is_fixed(scenario) else 0
    shares = sorted({min(max(share, least), 1.0) for share in _SHARES})
    return tuple(Part(share, known) for share in shares)


def _is_fixed(scenario: Scenario) -> bool:
    """Return whether the number of requests does not depend on answers."""
    workload = scenario.workload
    if workload.sessions is not None:
        return False
    arrivals = workload.arrivals
    return arrivals is None or not isinstance(arrivals, WaitingClients)


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
