"""Checks of failures: rates that are unknown, events and recorded faults that hit nothing."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.fault_places import LINK_MARK, FaultPlaces, link_name
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.errors import did_you_mean, nearest
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.reliability import FAULT_KINDS, LINK_KINDS, entries_with
from cluster_sim.scenario.failure_rates import pool_rates
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.site import Site
from cluster_sim.schema import Trail

_SHOWN = 8
"""Maximum number of names that a message lists."""


def failure_faults(scenario: Scenario, fleet: Fleet) -> Iterator[Finding]:
    """Yield events and recorded faults that hit nothing, and rates that nobody knows."""
    if (site := scenario.site) is None:
        return
    if site.failures is None and not any(event.what in FAULT_KINDS for event in site.events):
        return
    places = FaultPlaces(fleet)
    yield from _event_faults(site, places)
    if site.failures is not None:
        yield from _rate_faults(scenario)
        yield from _recorded_faults(site, places)


def _event_faults(site: Site, places: FaultPlaces) -> Iterator[Finding]:
    for index, event in enumerate(site.events):
        fault = event.fault()
        if fault is None:
            continue
        at: Trail = ("site", "events", index)
        if not places.are_hit(fault):
            yield (*at, "where"), f"got '{fault.where}'{_hint(fault.what, fault.where, places)}"


def _hint(what: str, where: str, places: FaultPlaces) -> str:
    """Return the names that an event may have."""
    if what in LINK_KINDS:
        links = [link_name(*link) for link in places.all_links()]
        ends = list(dict.fromkeys(end for link in places.all_links() for end in link))
        names = links if LINK_MARK in where else ends
        if nearest(where, names):
            return did_you_mean(where, names)
        example = f", such as '{links[0]}'" if links else ""
        return f"; expected both ends of a link{example}, or a node, device, NIC or switch for all of its links"
    return did_you_mean(where, places.names(what)[:_SHOWN])


def _rate_faults(scenario: Scenario) -> Iterator[Finding]:
    site = scenario.site
    assert site is not None and site.failures is not None
    for each in pool_rates(site.failures, scenario.cluster.pools):
        if each.rate is None:
            known = ", ".join(entries_with(each.kind))
            yield (
                ("site", "failures", each.kind),
                f"no failure rate of a {each.kind} is known for {each.pool.node.name} of pool '{each.pool.name}'; expected 'mtbf' and 'repair', such as those of the catalog's {known}",
            )


def _recorded_faults(site: Site, places: FaultPlaces) -> Iterator[Finding]:
    assert site.failures is not None
    faults = site.failures.recorded
    if faults and not any(places.are_hit(fault) for fault in faults):
        yield (
            ("site", "failures", "path"),
            f"none of the {len(faults)} recorded faults hits this cluster; got names such as '{faults[0].where}'; expected nodes such as '{places.nodes[0]}'",
        )
