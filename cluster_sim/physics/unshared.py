"""Rates of flows that do not share: each has all resources that it crosses to itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cluster_sim.physics.max_min_fairness import Flow, Resource, Sharing

_NO_FLOWS: Mapping[Flow, int] = MappingProxyType({})


class Unshared(Sharing):
    """Flows in progress that do not slow each other down.

    A flow moves at its demand, or as fast as the narrowest resource carries its paths alone. It
    serves to ask what sharing costs: the rates are those of `Sharing` with a single flow.

    Examples
    --------
    >>> unshared = Unshared(lambda resource, flows: 10.0)
    >>> slow, fast = Flow({"link": 1}, limit=2.0), Flow({"link": 1})
    >>> unshared.add(slow), unshared.add(fast), len(unshared.rebalance())
    (None, None, 2)
    >>> slow.rate, fast.rate
    (2.0, 10.0)
    """

    def flows_on(self, resource: Resource) -> Mapping[Flow, int]:
        """Return the flows that a flow over a resource meets there: none."""
        return _NO_FLOWS

    def capacity_changed(self, resource: Resource) -> None:
        """Record that the capacity of a resource is another one; rates follow at `rebalance`."""
        self._changed.update(dict.fromkeys(self._on.get(resource, ())))

    def rebalance(self) -> list[tuple[Flow, float]]:
        """Recompute the rates of the flows that changed.

        Returns
        -------
        list
            Flows whose rate changed, with the previous rate [B/s].
        """
        among, self._changed = self._changed, {}
        changed = []
        for flow in among:
            before, narrowest = flow.rate, None
            rate = flow.limit
            for resource, paths in flow.uses:
                alone = self._capacity(resource, 1) / paths
                if alone < rate:
                    rate, narrowest = alone, resource
            for resource, paths in flow.uses:
                self._load[resource] = self.load(resource) + paths * (rate - before)
            flow.rate = rate
            self._bind(flow, narrowest)
            if rate != before:
                changed.append((flow, before))
        return changed
