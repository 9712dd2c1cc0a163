"""Attribution: what heat, power caps, contention and failures cost, by the same requests without each.

Each mechanism that is in play is switched off in a run of its own, with the same seed and thus the
same requests. One more run is without all of them. The cost of a mechanism is the run minus the run
without it; results/attribution.py computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.power_caps import caps_are_set
from cluster_sim.deployment.site_faults import SiteFaults
from cluster_sim.deployment.thermal_groups import thermal_groups
from cluster_sim.errors import SimulationError
from cluster_sim.results.attribution import have_same_requests
from cluster_sim.results.mechanisms import ALL, MECHANISMS, Mechanism
from cluster_sim.results.results import Results
from cluster_sim.scenario.power_sharing import Proportional
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.workload import Workload
from cluster_sim.sim.kv_network import needs_kv_network
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.studies.limited import simulated_within


def attribute(scenario: Scenario, limits: RunLimits = NO_LIMITS) -> Results:
    """Simulate a scenario, and its requests again without each mechanism that is in play.

    Mechanisms are heat, power caps, contention and failures. There are at most six runs: the
    scenario, one without each mechanism in play, and one without all of them.

    Parameters
    ----------
    scenario
        Scenario, as `load_scenario` returns it.
    limits
        Limits of wall time and memory, for each run. If a run exceeds them, its results are kept,
        and the summary has no `cost_of`.

    Returns
    -------
    Results
        Results of the scenario. The summary has `cost_of`; `without` holds the other runs by the
        name of the mechanism, and `save` writes them to the folder `without` of the run folder.

    Raises
    ------
    ScenarioError
        A trace turns out to be malformed during a run.
    SimulationError
        A simulation fails.

    Examples
    --------
    >>> import cluster_sim
    >>> few = {"workload.arrivals.concurrency": 2, "workload.arrivals.requests": 4}
    >>> scenario = cluster_sim.load_scenario("example:chat_closed_loop", "b200", few)
    >>> results = cluster_sim.attribute(scenario)
    >>> list(results.without), results.summary()["cost_of"]["total"]["ttft_p99_ms"]
    ([], 0.0)
    """

    def simulate(each: Scenario) -> Results:
        return simulated_within(each, limits)

    return attributed(simulate(scenario), scenario, lambda _, each: simulate(each))


def attributed(
    results: Results, scenario: Scenario, simulate: Callable[[str, Scenario], Results]
) -> Results:
    """Return the results of a run together with the runs without each mechanism in play.

    Parameters
    ----------
    results
        Results of the scenario.
    scenario
        Scenario of the run, as it was given to the simulator.
    simulate
        Function that simulates a scenario, given the name of the mechanism that it lacks.

    Raises
    ------
    SimulationError
        A run has other requests, although they do not wait for answers.
    """
    without = {name: simulate(name, each) for name, each in scenarios_without(scenario).items()}
    runs = [results, *without.values()]
    is_whole = not any(run.info.stopped for run in runs)
    if is_whole and not _waits_for_answers(scenario.workload) and not have_same_requests(runs):
        raise SimulationError(
            f"{scenario.title}: runs without a mechanism have other requests than the run; please report this"
        )
    return replace(results, without=without)


def _waits_for_answers(workload: Workload) -> bool:
    """Return whether requests are sent when earlier ones are answered, so that runs differ."""
    if workload.sessions is not None or (workload.trace and workload.trace.replays_sessions):
        return True
    return workload.arrivals is not None and workload.arrivals.waiting_clients() is not None


def scenarios_without(scenario: Scenario) -> dict[str, Scenario]:
    """Return the scenarios that attribution simulates, by name.

    They are the scenario without each mechanism that is in play, and without all of them if there
    are several.
    """
    present = mechanisms_in_play(scenario)
    found: dict[str, Scenario] = {name: _WITHOUT[name](scenario) for name in present}
    if len(present) > 1:
        bare = scenario
        for name in present:
            bare = _WITHOUT[name](bare)
        found[ALL] = bare
    return found


def mechanisms_in_play(scenario: Scenario) -> list[Mechanism]:
    """Return the mechanisms that a scenario has and that may change its results.

    Heat is in play if temperatures are simulated and some device can reach a limit, power caps if
    one lies below what the devices may draw, contention if KV cache moves over links, and failures
    if nodes, devices or links can fail or a spot instance can be reclaimed.
    """
    return [name for name in MECHANISMS if _IS_IN_PLAY[name](scenario)]


def _has_heat(scenario: Scenario) -> bool:
    site = scenario.site
    if site is None or not site.thermal_protection:
        return False
    return any(
        group.replica is not None and group.could_reach_a_limit()
        for group in thermal_groups(scenario)
    )


def _has_power_caps(scenario: Scenario) -> bool:
    return caps_are_set(scenario)


def _has_contention(scenario: Scenario) -> bool:
    return scenario.cluster.contention != "none" and needs_kv_network(resolve(scenario))


def _has_failures(scenario: Scenario) -> bool:
    return not SiteFaults(scenario, resolve(scenario)).are_none


def _without_heat(scenario: Scenario) -> Scenario:
    """Return the scenario with temperatures to which nothing reacts."""
    return _at_site(scenario, thermal_protection=False)


def _without_power_caps(scenario: Scenario) -> Scenario:
    """Return the scenario without caps of racks, of the row and of pools, and what keeps them.

    Frequency policies of pools stay.
    """
    pools = tuple(
        pool.model_copy(update={"power_limit_w": None}) for pool in scenario.cluster.pools
    )
    cluster = scenario.cluster.model_copy(update={"pools": pools})
    bare = scenario.model_copy(update={"cluster": cluster})
    return _at_site(bare, rack_power_cap_w=None, row_power_cap_w=None, power_sharing=Proportional())


def _without_contention(scenario: Scenario) -> Scenario:
    """Return the scenario in which each transfer has its links and memories to itself."""
    cluster = scenario.cluster.model_copy(update={"contention": "none"})
    return scenario.model_copy(update={"cluster": cluster})


def _without_failures(scenario: Scenario) -> Scenario:
    """Return the scenario without faults of nodes, devices, links and spot instances.

    Events of the cooling stay: they are heat.
    """
    assert scenario.site is not None
    events = tuple(event for event in scenario.site.events if event.is_of_cooling)
    return _at_site(scenario, failures=None, events=events)


def _at_site(scenario: Scenario, **changes: object) -> Scenario:
    if scenario.site is None:
        return scenario
    return scenario.model_copy(update={"site": scenario.site.model_copy(update=changes)})


_IS_IN_PLAY: Mapping[Mechanism, Callable[[Scenario], bool]] = MappingProxyType(
    {
        "heat": _has_heat,
        "power_caps": caps_are_set,
        "contention": _has_contention,
        "failures": _has_failures,
    }
)
_WITHOUT: Mapping[Mechanism, Callable[[Scenario], Scenario]] = MappingProxyType(
    {
        "heat": _without_heat,
        "power_caps": _without_power_caps,
        "contention": _without_contention,
        "failures": _without_failures,
    }
)
