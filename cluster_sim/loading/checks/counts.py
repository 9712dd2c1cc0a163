"""Checks of counts that exceed what can be simulated only in combination."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.limits import DEVICES, MAX_SECONDS, PERIODS, PLACES, REQUESTS
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Trail
from cluster_sim.workload.arrivals import Arrivals


def count_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield counts of nodes and requests that the simulator cannot hold.

    This check runs before any code that visits all nodes or requests.
    """
    pools = scenario.cluster.pools
    devices = sum(pool.nodes * pool.node.devices for pool in pools)
    places = sum(pool.nodes * _places(pool) for pool in pools)
    if devices > DEVICES.most:
        yield ("cluster", "pools"), DEVICES.fault(devices, "devices")
    elif places > PLACES.most:
        yield ("cluster", "pools"), PLACES.fault(places, "link ends of all nodes")
    yield from _time_faults(scenario)
    yield from _request_faults(scenario)


def _time_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield a run that is so long that its times cannot be distinguished."""
    for key, value_s in (("duration", scenario.duration_s or 0.0), ("drain", scenario.drain_s)):
        if value_s > MAX_SECONDS:
            yield (
                (key,),
                f"got {value_s:g} s; expected at most {MAX_SECONDS:g} s: later times have no resolution of a tenth of a microsecond",
            )


def _places(pool: Pool) -> int:
    """Return the number of link ends of one node: devices, memories and others."""
    return 2 * pool.node.devices + sum(pool.node.places.values())


def _request_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield arrivals that bring more requests or sessions over the run than memory can hold."""
    workload, sessions = scenario.workload, scenario.workload.sessions
    sources: dict[Trail, Arrivals | None] = {
        ("workload", "arrivals"): workload.arrivals,
        ("workload", "sessions", "arrivals"): sessions.arrivals if sessions is not None else None,
    }
    for trail, arrivals in sources.items():
        if arrivals is None or scenario.duration_s is None:
            continue
        if (rate_per_s := arrivals.mean_rate_per_s(scenario.duration_s)) is None:
            continue
        expected = rate_per_s * scenario.duration_s / (scenario.sample or 1)
        if (periods := arrivals.periods_until(scenario.duration_s)) > PERIODS.most:
            noun = f"bursts or stays within {scenario.duration_s:g} s"
            yield trail, PERIODS.fault(round(periods), noun)
        if scenario.requests_wanted is None and expected > REQUESTS.most:
            noun = f"requests within {scenario.duration_s:g} s"
            yield trail, REQUESTS.fault(round(expected), noun)
