"""Simulation of a share of a large fleet.

The sample has fewer replicas and proportionally thinned traffic. Totals are multiplied back.

Poisson arrivals, also with a rate that changes over time, stay Poisson if each arrival is kept with
the same probability, at a rate that is smaller by this probability (Kingman, Poisson Processes,
1993, ch. 5). Routers that look at one replica or two then see the same as in the whole fleet, up to
1 / replicas (Mitzenmacher, IEEE TPDS 12(10), 2001). Routers that look at all replicas choose among
fewer.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Trail
from cluster_sim.workload.arrivals import ARRIVAL_PROCESSES

_SITE_LIMITS = {
    "events": "a limit that happens to some nodes",
    "failures": "failures of some nodes",
    "rack_power_cap_w": "a limit that is shared by nodes",
}


def faults(scenario: Scenario) -> Iterator[tuple[Trail, str]]:
    """Yield why the scenario cannot be sampled; nothing if it has no `sample`."""
    if (one_in := scenario.sample) is None:
        return
    for index, pool in enumerate(scenario.cluster.pools):
        for key, count in (("nodes", pool.nodes), ("replicas", pool.replicas)):
            if count is not None and count % one_in:
                yield ("cluster", "pools", index, key), _no_multiple(count, one_in)
        if pool.autoscale is not None:
            yield (
                ("cluster", "pools", index, "autoscale"),
                "`sample` does not support autoscaling, whose policies count replicas of the whole fleet",
            )
        if any(tier.is_shared for tier in pool.kv.offload):
            yield (
                ("cluster", "pools", index, "kv", "offload"),
                "`sample` does not support tiers that replicas share, which hold blocks of the whole fleet; expected shared: replica",
            )
    yield from _limits_of_the_fleet(scenario)
    arrivals = scenario.workload.arrivals
    if arrivals is None or not arrivals.can_be_thinned:
        got = "a trace or sessions" if arrivals is None else arrivals.name()
        *names, last = [each.name() for each in ARRIVAL_PROCESSES if each.can_be_thinned]
        yield (
            ("workload",),
            f"`sample` supports {', '.join(names)} and {last} arrivals; got {got}",
        )
        return
    for key, count in arrivals.fleet_counts().items():
        if count % one_in:
            yield ("workload", "arrivals", key), _no_multiple(count, one_in)


def _limits_of_the_fleet(scenario: Scenario) -> Iterator[tuple[Trail, str]]:
    """Yield limits that hold for the whole fleet, not for each node."""
    if not scenario.cluster.admission.refuses_nobody:
        yield (
            ("cluster", "admission"),
            "`sample` does not support limits of a whole fleet; expected accept_all",
        )
    for clients in scenario.workload.clients_of_classes:
        if clients is not None and not clients.can_be_thinned:
            yield (
                ("workload", "clients", "retry_budget"),
                "`sample` does not support numbers of retries of a whole fleet; expected a share without 'reserve'",
            )
    for key, what in _SITE_LIMITS.items():
        if scenario.site is not None and getattr(scenario.site, key):
            yield (
                ("site", key.removesuffix("_w")),
                f"`sample` does not support {what} of a whole fleet",
            )

    cooling = None if scenario.site is None else scenario.site.cooling
    if cooling is not None and cooling.capacity_w is not None:
        yield (
            ("site", "cooling", "capacity"),
            "`sample` does not support the capacity of a whole fleet; expected none: the plant then is built for the nodes",
        )


def _no_multiple(count: int, one_in: int) -> str:
    return f"got {count} with a sample of 1/{one_in}; expected a multiple of {one_in}"


def sampled(scenario: Scenario) -> Scenario:
    """Return the simulated sample of a scenario with `sample`, or the scenario itself without it.

    Each node of the sample represents several.
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
    cluster, site = scenario.cluster.model_copy(update={"pools": pools}), scenario.site
    if site is not None and site.row_power_cap_w is not None:
        share_w = site.row_power_cap_w.scaled(1.0 / one_in)
        site = site.model_copy(update={"row_power_cap_w": share_w})
    return scenario.model_copy(
        update={
            "sample": None,
            "site": site,
            "stands_for": scenario.stands_for * one_in,
            "cluster": cluster,
            "workload": workload,
        }
    )
