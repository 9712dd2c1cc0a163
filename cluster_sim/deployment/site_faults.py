"""Faults of a scenario's site in order of time: those of its events, drawn ones, recorded ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from heapq import merge

import numpy as np

from cluster_sim.deployment.fault_places import FaultPlaces, link_name
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.reliability import LINK_KINDS, Failures, Fault, Place, drawn_faults
from cluster_sim.scenario.failure_rates import pool_rates
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.units import duration_text
from cluster_sim.workload.random_streams import stream


class SiteFaults:
    """Faults that hit the nodes, devices and links of a scenario."""

    def __init__(self, scenario: Scenario, fleet: Fleet) -> None:
        self._scenario, self._fleet = scenario, fleet
        site = scenario.site
        self._failures: Failures | None = None if site is None else site.failures
        events = () if site is None else site.events
        faults = (event.fault() for event in events)
        self._listed = sorted((fault for fault in faults if fault is not None), key=_time_s)

    @property
    def are_none(self) -> bool:
        """Whether there can be no faults."""
        return self._failures is None and not self._listed

    @property
    def hit_links(self) -> bool:
        """Whether some of the faults may be of links."""
        failures = self._failures
        listed = [*self._listed, *(failures.recorded if failures is not None else ())]
        draws = failures is not None and failures.link is not None
        return draws or any(fault.what in LINK_KINDS for fault in listed)

    @cached_property
    def places(self) -> FaultPlaces:
        """Names of the nodes, devices and links that may fail."""
        return FaultPlaces(self._fleet)

    def __iter__(self) -> Iterator[Fault]:
        """Yield all faults in order of time, indefinitely if faults are drawn."""
        listed, failures = self._listed, self._failures
        if failures is None:
            return iter(listed)
        if failures.path is not None:
            return merge(listed, self.recorded, key=_time_s)
        drawn = drawn_faults(self.drawn_places, failures.gaps, self._stream)
        return merge(listed, drawn, key=_time_s)

    def _stream(self, name: str) -> np.random.Generator:
        return stream(self._scenario.seed, f"failures/{name}")

    @cached_property
    def recorded(self) -> list[Fault]:
        """Recorded faults that hit the cluster, in order of time."""
        recorded = () if self._failures is None else self._failures.recorded
        return [fault for fault in recorded if self.places.are_hit(fault)]

    @cached_property
    def drawn_places(self) -> list[Place]:
        """Nodes, devices and links whose faults are drawn."""
        if self._failures is None:
            return []
        return [
            Place(each.kind, name, each.rate)
            for each in pool_rates(self._failures, self._scenario.cluster.pools)
            if each.rate is not None
            for name in self._names(each.kind, each.pool)
        ]

    def _names(self, kind: str, pool: Pool) -> Iterator[str]:
        """Yield the names of the places of a kind that belong to a pool.

        A link between two switches belongs to the first pool.
        """
        if kind == "link":
            first = self._scenario.cluster.pools[0].name
            for start, end in self.places.links:
                node = self.places.node_of(start) or self.places.node_of(end)
                owner = first if node is None else node.rpartition("/")[0]
                if owner == pool.name:
                    yield link_name(start, end)
            return
        for node in self.places.nodes_hit(pool.name):
            if kind == "node":
                yield node
            else:
                yield from self.places.devices(node)

    def notes(self, lasts_s: float, happened: int) -> Iterator[str]:
        """Yield what a run of `lasts_s` [s] with `happened` faults says about them."""
        if late := [fault for fault in self._listed if fault.at_s > lasts_s]:
            yield f"site.events: {late[0].what} at {duration_text(late[0].at_s)} is after the end of the run, {duration_text(lasts_s)}; {len(late)} of {len(self._listed)} events did not happen"
        if self._failures is None:
            return
        omitted = len(self._failures.recorded) - len(self.recorded)
        if omitted:
            yield f"site.failures: {omitted} of {len(self._failures.recorded)} recorded faults name no node, device or link of this cluster and were left out"
        expected = sum(lasts_s / (place.rate.mtbf_s or 1.0) for place in self.drawn_places)
        if self.drawn_places and not happened:
            yield f"site.failures: nothing failed; {expected:.2g} faults are expected in {lasts_s:.0f} s. An event `node_failure` in site.events fails a node at a given time"


def _time_s(fault: Fault) -> float:
    return fault.at_s
