"""Max-min fair rates of flows that share resources, with local updates.

An allocation is max-min fair if no rate can grow except at the cost of a flow with an equal or
lower rate (Bertsekas and Gallager, Data Networks, 2nd edition, 1992, section 6.5.2). Equivalently,
every flow either has its full demand or crosses a bottleneck: a resource that is full and on which
no other flow is faster. The second form can be checked flow by flow, so small changes are cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from math import inf

Resource = Hashable
"""One direction of a link, or a memory bus: an object with a capacity [B/s]."""

_CLOSE = 1e-9  # relative; rates and loads that differ by less count as equal


class Flow:
    """Bytes that move over one path, or over several parallel paths at equal rates.

    Rates are compared per path: a flow over eight paths counts as eight on a resource that all of
    them cross, as messages of eight queue pairs do.

    Parameters
    ----------
    uses
        Number of paths over each resource that the flow crosses.
    limit
        Demand of the flow per path: its maximum rate [B/s].
    """

    __slots__ = ("bottleneck", "limit", "rate", "uses")

    def __init__(self, uses: Mapping[Resource, int], limit: float = inf) -> None:
        self.uses = tuple(uses.items())
        self.limit = limit
        self.rate = 0.0
        """Rate of one path [B/s]."""
        self.bottleneck: Resource | None = None
        """Resource that limits the flow; None while the flow has its full demand."""


class Sharing:
    """Flows in progress and the resources that they share.

    Parameters
    ----------
    capacity
        Function from a resource and the number of flows over it to its capacity [B/s]. The capacity
        must not grow with the number of flows.

    Examples
    --------
    A flow that demands 2 B/s and one without a limit share 10 B/s:

    >>> sharing = Sharing(lambda resource, flows: 10.0)
    >>> slow, fast = Flow({"link": 1}, limit=2.0), Flow({"link": 1})
    >>> sharing.add(slow), sharing.add(fast), len(sharing.rebalance())
    (None, None, 2)
    >>> slow.rate, fast.rate
    (2.0, 8.0)
    """

    def __init__(self, capacity: Callable[[Resource, int], float]) -> None:
        self._capacity = capacity
        self._on: dict[Resource, dict[Flow, int]] = {}
        self._load: dict[Resource, float] = {}
        self._bound: dict[Resource, int] = {}
        self._changed: dict[Flow, None] = {}
        self.turned: dict[Resource, None] = {}
        """Resources that became a bottleneck or ceased to be a bottleneck; the caller empties this
        dictionary."""

    def is_full(self, resource: Resource) -> bool:
        """Return whether a resource is the bottleneck of at least one flow."""
        return self._bound.get(resource, 0) > 0

    def flows_on(self, resource: Resource) -> Mapping[Flow, int]:
        """Return the flows that cross a resource, with the number of their paths over it."""
        return self._on.get(resource, {})

    def load(self, resource: Resource) -> float:
        """Return the sum of the rates over a resource [B/s]."""
        return self._load.get(resource, 0.0)

    def capacity(self, resource: Resource) -> float:
        """Return the capacity of a resource for the flows that cross it now [B/s]."""
        return self._capacity(resource, len(self.flows_on(resource)))

    def add(self, flow: Flow) -> None:
        """Add a flow. Its rate is 0 until `rebalance`."""
        flow.rate, flow.bottleneck = 0.0, None
        for resource, paths in flow.uses:
            self._on.setdefault(resource, {})[flow] = paths
        self._changed[flow] = None

    def remove(self, flow: Flow) -> None:
        """Remove a flow. The rates of other flows change at the next `rebalance`."""
        self._changed.pop(flow, None)
        self._bind(flow, None)
        for resource, paths in flow.uses:
            others = self._on[resource]
            del others[flow]
            if others:
                self._load[resource] = self.load(resource) - paths * flow.rate
                if self._bound.get(resource):
                    self._changed.update(
                        dict.fromkeys(other for other in others if other.bottleneck == resource)
                    )
            else:
                del self._on[resource]
                self._load.pop(resource, None)

    def set_limit(self, flow: Flow, limit: float) -> None:
        """Set the demand of a flow: its maximum rate per path from now on [B/s]."""
        if limit != flow.limit:
            flow.limit = limit
            self._changed[flow] = None

    def capacity_changed(self, resource: Resource) -> None:
        """Record that the capacity of a resource is another one; rates follow at `rebalance`."""
        self._changed.update(dict.fromkeys(self.flows_on(resource)))

    def rebalance(self) -> list[tuple[Flow, float]]:
        """Recompute the rates so that all of them are max-min fair.

        The method starts with the flows that changed and keeps the rates of all others. It then
        adds every flow whose bottleneck is no longer full, and every flow that is faster than
        another flow at the other flow's bottleneck. It repeats until no flow is added. In the worst
        case that is every flow that is connected with a changed flow through others.

        Returns
        -------
        list
            Flows whose rate changed, with the previous rate [B/s].
        """
        among, self._changed = self._changed, {}
        if not among:
            return []
        if len(among) == 1:
            (flow,) = among
            if flow.bottleneck is None and self._is_free(flow):
                return self._content(flow)
        before: dict[Flow, float] = {}
        reached: Mapping[Flow, None] = among
        while reached:
            among.update(reached)
            before = {flow: flow.rate for flow in among} | before
            reached = self._fill(among) or self._reached(among)
        return [(flow, rate) for flow, rate in before.items() if flow.rate != rate]

    def _is_free(self, flow: Flow) -> bool:
        """Return whether a flow can get its full demand without any effect on others.

        That is the case if no resource that the flow crosses is full or would become full.
        """
        more = flow.limit - flow.rate
        return not any(
            self._bound.get(resource)
            or self.load(resource) + paths * more >= self.capacity(resource)
            for resource, paths in flow.uses
        )

    def _content(self, flow: Flow) -> list[tuple[Flow, float]]:
        """Give a flow its full demand; return it with its previous rate if that changed."""
        before, flow.rate = flow.rate, flow.limit
        for resource, paths in flow.uses:
            self._load[resource] = self.load(resource) + paths * (flow.rate - before)
        return [(flow, before)] if flow.rate != before else []

    def _fill(self, among: Mapping[Flow, None]) -> Mapping[Flow, None]:
        """Raise the rates of these flows evenly from zero.

        Each rate rises until the flow has its full demand or a resource that it crosses is full. If
        a resource has become narrower, nothing changes and the flows on it are returned: their
        rates must fall too.
        """
        left: dict[Resource, float] = {}
        wanting: dict[Resource, int] = {}
        for flow in among:
            for resource, paths in flow.uses:
                if resource in wanting:
                    wanting[resource] += paths
                    left[resource] += paths * flow.rate
                else:
                    wanting[resource] = paths
                    left[resource] = (
                        self.capacity(resource) - self.load(resource) + paths * flow.rate
                    )
        for resource, free in left.items():
            if free < 0.0:
                left[resource] = 0.0
                is_narrower = free < -_CLOSE * self.capacity(resource)
                if is_narrower and not among.keys() >= self._on[resource].keys():
                    return dict.fromkeys(self._on[resource])
        growing = dict.fromkeys(among)
        while growing:
            bottleneck, level = None, inf
            for resource, paths in wanting.items():
                if left[resource] < level * paths:
                    bottleneck, level = resource, left[resource] / paths
            content = [flow for flow in growing if flow.limit <= level]
            for flow in content or [flow for flow in self._on[bottleneck] if flow in growing]:
                del growing[flow]
                self._bind(flow, None if content else bottleneck)
                self._give(flow, flow.limit if content else level, left, wanting)
        return {}

    def _give(
        self, flow: Flow, rate: float, left: dict[Resource, float], wanting: dict[Resource, int]
    ) -> None:
        """Give a flow a rate from the capacity that is left to the flows with unmet demand."""
        more, flow.rate = rate - flow.rate, rate
        for resource, paths in flow.uses:
            self._load[resource] = self._load.get(resource, 0.0) + paths * more
            free = left[resource] - paths * rate
            left[resource] = free if free > 0.0 else 0.0
            if wanting[resource] == paths:
                del wanting[resource]
            else:
                wanting[resource] -= paths

    def _reached(self, among: Mapping[Flow, None]) -> Mapping[Flow, None]:
        """Return other flows that are not fair yet, or because of which flows are not fair yet."""
        reached: dict[Flow, None] = {}
        for resource in _resources(among):
            if not self._bound.get(resource):
                continue
            others = self._on[resource]
            inside = [flow for flow in others if flow in among]
            if len(inside) == len(others):
                continue
            is_full = self._load[resource] >= self._capacity(resource, len(others)) * (1 - _CLOSE)
            fastest = max(flow.rate for flow in inside)
            held_back = min(
                (flow.rate for flow in inside if flow.bottleneck == resource), default=inf
            )
            for flow in others:
                if flow not in among:
                    is_freed = flow.bottleneck == resource and (
                        not is_full or fastest > flow.rate * (1 + _CLOSE)
                    )
                    if is_freed or flow.rate > held_back * (1 + _CLOSE):
                        reached[flow] = None
        return reached

    def _bind(self, flow: Flow, bottleneck: Resource | None) -> None:
        """Set the bottleneck of a flow, and count the flows that each resource limits."""
        if flow.bottleneck == bottleneck:
            return
        for resource, more in ((flow.bottleneck, -1), (bottleneck, 1)):
            if resource is not None:
                before = self._bound.get(resource, 0)
                self._bound[resource] = before + more
                if not before or not before + more:
                    self.turned[resource] = None
        flow.bottleneck = bottleneck


def _resources(flows: Iterable[Flow]) -> dict[Resource, None]:
    return dict.fromkeys(resource for flow in flows for resource, _ in flow.uses)


def fair_share(rates: Iterable[float], capacity: float, paths: int = 1) -> float:
    """Return the max-min fair rate of each of `paths` additional paths over one resource [B/s].

    The additional paths have unlimited demand. Each gets at least an even share: paths with a
    higher rate are reduced.

    Parameters
    ----------
    rates
        Present rates of the paths over the resource [B/s].
    capacity
        Capacity of the resource [B/s].
    paths
        Number of additional paths.

    Returns
    -------
    float
        Rate of each additional path [B/s].

    Examples
    --------
    >>> fair_share([1.0], 10.0), fair_share([9.0], 10.0), fair_share([8.0, 1.0], 10.0)
    (9.0, 5.0, 4.5)
    """
    slower = sorted(rates)
    left, flows = capacity, len(slower) + paths
    for rate in slower:
        if rate * flows >= left:
            break
        left, flows = left - rate, flows - 1
    return left / flows
