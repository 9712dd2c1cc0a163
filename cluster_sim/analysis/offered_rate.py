"""Mean rate of a scenario's requests, and the scenario at another mean rate."""

from __future__ import annotations

from cluster_sim.scenario.scenario import Scenario


def offered_per_s(scenario: Scenario) -> float | None:
    """Return the mean arrivals per second over the run [1/s]; None if they depend on answers.

    Bursts and the rate curve count for as long as they last until `duration`.
    """
    arrivals = scenario.workload.arrivals
    if scenario.workload.trace is not None or arrivals is None:
        return None
    return arrivals.mean_rate_per_s(scenario.duration_s)


def at_offered_rate(scenario: Scenario, per_s: float) -> Scenario:
    """Return the scenario with its whole arrival process scaled to a mean rate over the run.

    `offered_per_s` of the scenario must not be None or 0.

    Parameters
    ----------
    scenario
        Scenario whose arrivals are scaled, bursts included.
    per_s
        Mean rate over the run [1/s].
    """
    arrivals = scenario.workload.arrivals
    assert arrivals is not None
    scaled = arrivals.at_mean_rate(per_s, scenario.duration_s)
    workload = scenario.workload.model_copy(update={"arrivals": scaled})
    return scenario.model_copy(update={"workload": workload})


def rates_text(scenario: Scenario, per_s: float) -> str | None:
    """Return the rates of the arrivals at a mean rate over the run [1/s]; None for a single rate."""
    arrivals = at_offered_rate(scenario, per_s).workload.arrivals
    return None if arrivals is None else arrivals.rates_text(scenario.duration_s)
