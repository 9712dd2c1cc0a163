"""A share of a large fleet in place of all of it.

It has fewer replicas and traffic that is thinned in proportion; totals are multiplied back.

Arrivals that are Poisson, whatever their rate does over time, stay so when each is kept with the
same probability, at a rate that is smaller by it (Kingman, Poisson Processes, 1993, ch. 5). Routers
that look at one replica or two then see what they see in the whole fleet, up to 1 / replicas
(Mitzenmacher, IEEE TPDS 12(10), 2001); those that look at all replicas choose among fewer.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Trail
from cluster_sim.workload.arrivals import ARRIVAL_PROCESSES

_SITE_LIMITS = {"events": "happens to some nodes", "rack_power_cap_w": "is shared by nodes"}


def faults(scenario: Scenario) -> Iterator[tuple[Trail, str]]:
    """Yield why the scenario cannot be sampled as it asks; nothing where it does not ask."""
    if (one_in := scenario.sample) is None:
        return
    for index, pool in enumerate(scenario.cluster.pools):
        for key, count in (("nodes", pool.nodes), ("replicas", pool.replicas)):
            if count is not None and count % one_in:
                yield ("cluster", "pools", index, key), _no_multiple(count, one_in)
    if not scenario.cluster.admission.refuses_nobody:
        yield (
            ("cluster", "admission"),
            "limits of a whole fleet cannot be sampled; expected accept_all",
        )
    for key, what in _SITE_LIMITS.items():
        if scenario.site is not None and getattr(scenario.site, key):
            yield (
                ("site", key.removesuffix("_w")),
                f"what {what} of a whole fleet cannot be sampled",
            )
    arrivals = scenario.workload.arrivals
    if arrivals is None or not arrivals.can_be_thinned:
        *names, last = [each.name() for each in ARRIVAL_PROCESSES if each.can_be_thinned]
        yield (
            ("workload",),
            f"thinned, this traffic would be of another kind; with 'sample' wanted arrivals that are {', '.join(names)} or {last}",
        )
        return
    for key, count in arrivals.fleet_counts().items():
        if count % one_in:
            yield ("workload", "arrivals", key), _no_multiple(count, one_in)


def _no_multiple(count: int, one_in: int) -> str:
    return f"{count} cannot be sampled 1/{one_in}; expected a multiple of {one_in}"


def sampled(scenario: Scenario) -> Scenario:
    """Return what is simulated of a scenario that asks for a sample; other scenarios as they are.

    Each node of the sample stands for several.
    """
    one_in, arrivals = scenario.sample, scenario.workload.arrivals
    if one_in is None:
        return scenario
    assert arrivals is not None
    pools = tuple(
        pool.model_copy(
            update={
                "nodes": pool.nodes // one_in,
                "replicas": pool.replicas and pool.replicas // one_in,
            }
        )
        for pool in scenario.cluster.pools
    )
    workload = scenario.workload.model_copy(update={"arrivals": arrivals.thinned(one_in)})
    cluster = scenario.cluster.model_copy(update={"pools": pools})
    return scenario.model_copy(
        update={
            "sample": None,
            "stands_for": scenario.stands_for * one_in,
            "cluster": cluster,
            "workload": workload,
        }
    )
