"""FaultInjector: process that lets nodes, devices and links fail, and repairs them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any

from simpy import Event

from cluster_sim.deployment.site_faults import SiteFaults
from cluster_sim.reliability import LINK_KINDS, Fault
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.lifecycle import Lifecycle
from cluster_sim.sim.link_faults import LinkFaults

_NO_REPAIR = 0.0
"""Value of the event of a fault that is not repaired, in place of its repair time [s]."""


class FaultInjector:
    """Process that applies faults to the states of replicas, and ends them.

    A replica works only with all of its devices, so the fault of one of its devices or nodes stops
    the whole replica; the other replicas of a node go on if a single device fails. With the last
    repair a replica loads its weights. Nodes that a spot reclaim takes are off, and cost nothing,
    until there is capacity again.
    """

    def __init__(
        self,
        env: CountingEnvironment,
        faults: SiteFaults,
        lifecycles: Sequence[Lifecycle],
        recorder: Recorder,
        links: LinkFaults | None,
    ) -> None:
        self._env, self._lifecycles, self._recorder = env, lifecycles, recorder
        self._links = links
        self._of_site, self._faults = faults, iter(faults)
        self._tickets = count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._happened = 0
        """Number of faults so far."""
        self._repairs = 0
        """Number of repairs that lie ahead."""
        self._plan_next()
        env.process(self._run())

    def notes(self, lasts_s: float) -> Iterator[str]:
        """Yield sentences on the faults of a run that lasted `lasts_s` [s]."""
        yield from self._of_site.notes(lasts_s, self._happened)

    def _plan(self, at_s: float, act: Callable[[], None]) -> None:
        heappush(self._agenda, (at_s, next(self._tickets), act))

    def _plan_next(self) -> None:
        """Plan the next fault."""
        if (fault := next(self._faults, None)) is not None:
            self._plan(fault.at_s, partial(self._begin, fault))

    def _run(self) -> Generator[Event, Any, None]:
        while self._agenda:
            at_s, _, act = heappop(self._agenda)
            if at_s > self._env.now:
                yield self._env.pause_until(at_s)
            if self._is_over:
                return
            act()

    @property
    def _is_over(self) -> bool:
        """Whether the run is over: no request waits for a repair, and none will arrive."""
        return self._env.is_over and not (self._recorder.inside and self._repairs)

    def _begin(self, fault: Fault) -> None:
        """Let a fault happen, and plan the next one."""
        self._plan_next()
        self._happened += 1
        if fault.what in LINK_KINDS:
            self._begin_at_link(fault)
            return
        hit = [self._lifecycles[number] for number in self._of_site.places.replicas_hit(fault)]
        if fault.what == "spot_reclaim":
            self._give_notice(fault, hit)
            return
        value = fault.lasts_s if fault.is_repaired else _NO_REPAIR
        self._record(fault.what, fault.where, value)
        for lifecycle in hit:  # none of them is sent what another one loses
            lifecycle.expect_loss()
        for lifecycle in hit:
            lifecycle.lose(fault.what)
        if fault.is_repaired:
            self._plan_repair(fault, partial(self._repair, fault, hit))

    def _begin_at_link(self, fault: Fault) -> None:
        """Let a fault of links happen."""
        value = fault.lasts_s if fault.is_repaired else _NO_REPAIR
        self._record(fault.what, fault.where, fault.factor or value)
        assert self._links is not None
        self._links.begin(fault)
        if fault.is_repaired:
            self._plan_repair(fault, partial(self._repair_link, fault))

    def _repair_link(self, fault: Fault) -> None:
        self._repairs -= 1
        self._record("repaired", fault.where, fault.lasts_s)
        assert self._links is not None
        self._links.end(fault)

    def _plan_repair(self, fault: Fault, act: Callable[[], None]) -> None:
        self._repairs += 1
        self._plan(self._env.now + fault.lasts_s, act)

    def _repair(self, fault: Fault, hit: Sequence[Lifecycle]) -> None:
        self._repairs -= 1
        self._record("repaired", fault.where, fault.lasts_s)
        for lifecycle in hit:
            lifecycle.repair()

    def _record(self, what: str, where: str, value: float) -> None:
        self._recorder.happens((self._env.now, what, -1, -1, value), where)

    # Spot instances

    def _give_notice(self, fault: Fault, hit: Sequence[Lifecycle]) -> None:
        """Close the replicas of a spot instance; they are lost at the end of the notice."""
        self._record("spot_notice", fault.where, fault.notice_s)
        for lifecycle in hit:
            if lifecycle.state == "ready":
                lifecycle.close("spot_notice", then_off=False)
        self._plan(self._env.now + fault.notice_s, partial(self._reclaim, fault, hit))

    def _reclaim(self, fault: Fault, hit: Sequence[Lifecycle]) -> None:
        """Switch the replicas of a spot instance off."""
        self._record(
            "spot_reclaim", fault.where, fault.lasts_s if fault.is_repaired else _NO_REPAIR
        )
        for lifecycle in hit:
            lifecycle.expect_loss()
        for lifecycle in hit:
            lifecycle.reclaim()
        if fault.is_repaired:
            self._plan_repair(fault, partial(self._repair, fault, hit))
