"""A share of a large fleet in place of all of it: fewer replicas, traffic thinned in proportion,
totals multiplied back.

Arrivals that are Poisson, whatever their rate does over time, stay so when each is kept with the
same probability, at a rate that is smaller by it (Kingman, Poisson Processes, 1993, ch. 5). Routers
that look at one replica or two then see what they see in the whole fleet, up to 1 / replicas
(Mitzenmacher, IEEE TPDS 12(10), 2001); those that look at all replicas choose among fewer.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Trail
from cluster_sim.serving.admission import AcceptAll
from cluster_sim.workload.arrivals import Arrivals, Burst, ClosedLoop, Diurnal, Poisson


def faults(scenario: Scenario) -> Iterator[tuple[Trail, str]]:
    """Why the scenario cannot be sampled as it asks; nothing where it does not ask."""
    if (one_in := scenario.sample) is None:
        return
    for index, pool in enumerate(scenario.cluster.pools):
        for key, count in (("nodes", pool.nodes), ("replicas", pool.replicas)):
            if count is not None and count % one_in:
                yield (
                    ("cluster", "pools", index, key),
                    f"{count} cannot be sampled 1/{one_in}; wanted a multiple of {one_in}",
                )
    if not isinstance(scenario.cluster.admission, AcceptAll):
        yield (
            ("cluster", "admission"),
            "limits of a whole fleet cannot be sampled; wanted accept_all",
        )
    for key, said in (
        ("events", "happens to some nodes"),
        ("rack_power_cap_w", "is shared by nodes"),
    ):
        if scenario.site is not None and getattr(scenario.site, key):
            yield (
                ("site", key.removesuffix("_w")),
                f"what {said} of a whole fleet cannot be sampled",
            )
    arrivals = scenario.workload.arrivals
    if not isinstance(arrivals, (Poisson, Diurnal, Burst, ClosedLoop)):
        yield (
            ("workload",),
            "thinned, this traffic would be of another kind; with 'sample' wanted arrivals that are poisson, diurnal, burst or closed_loop",
        )
        return
    for key in ("requests", "concurrency"):
        if (count := getattr(arrivals, key, None)) is not None and count % one_in:
            yield (
                ("workload", "arrivals", key),
                f"{count} cannot be sampled 1/{one_in}; wanted a multiple of {one_in}",
            )


def sampled(scenario: Scenario) -> Scenario:
    """What is simulated of a scenario that asks for a sample, each of its nodes standing for
    several; other scenarios as they are.
    """
    if (one_in := scenario.sample) is None:
        return scenario
    pools = tuple(
        pool.model_copy(
            update={
                "nodes": pool.nodes // one_in,
                "replicas": pool.replicas and pool.replicas // one_in,
            }
        )
        for pool in scenario.cluster.pools
    )
    workload = scenario.workload.model_copy(
        update={"arrivals": _thinned(scenario.workload.arrivals, one_in)}
    )
    cluster = scenario.cluster.model_copy(update={"pools": pools})
    return scenario.model_copy(
        update={
            "sample": None,
            "stands_for": scenario.stands_for * one_in,
            "cluster": cluster,
            "workload": workload,
        }
    )


def _thinned(arrivals: Arrivals | None, one_in: int) -> Arrivals:
    """One in so many of them."""
    fewer = {
        key: count // one_in
        for key in ("requests", "concurrency")
        if (count := getattr(arrivals, key, None)) is not None
    }
    match arrivals:
        case Poisson():
            return arrivals.model_copy(update=fewer | {"rate_per_s": arrivals.rate_per_s / one_in})
        case Burst():
            bursts = tuple(
                one.model_copy(update={"rate_per_s": one.rate_per_s / one_in})
                for one in arrivals.bursts
            )
            return arrivals.model_copy(
                update=fewer | {"rate_per_s": arrivals.rate_per_s / one_in, "bursts": bursts}
            )
        case Diurnal(points=None, rate_per_s=float(rate_per_s)):
            return arrivals.model_copy(update=fewer | {"rate_per_s": rate_per_s / one_in})
        case Diurnal(points=points) if points is not None:
            return arrivals.model_copy(
                update=fewer
                | {"points": tuple((at_s, rate_per_s / one_in) for at_s, rate_per_s in points)}
            )
    assert isinstance(arrivals, ClosedLoop)
    return arrivals.model_copy(update=fewer)
