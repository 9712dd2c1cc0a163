"""Max-min fair rates of flows that share resources, updated only where a change reaches.

A rate is max-min fair when none can grow but at the cost of one that is no larger (Bertsekas and
Gallager, Data Networks, 2nd edition, 1992, section 6.5.2). That is so exactly if every flow either
has all that it wants or crosses a bottleneck: a resource that is full and on which no other flow is
faster. The second form can be checked flow by flow, which is what makes small changes cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from math import inf

Resource = Hashable
"""One direction of a link, or a memory bus: anything with a capacity [B/s]."""

_CLOSE = 1e-9  # relative; rates and loads that differ by less are one


class Flow:
    """Bytes that move over one path, or over several parallel paths that run in step.

    Flows are compared path by path: one over eight paths counts as eight where all of them meet, as
    messages of as many queue pairs do.

    Parameters
    ----------
    uses
        Number of paths over each resource.
    limit
        Highest rate of one path that the flow wants [B/s].
    """

    __slots__ = ("bottleneck", "limit", "rate", "uses")

    def __init__(self, uses: Mapping[Resource, int], limit: float = inf) -> None:
        self.uses = tuple(uses.items())
        self.limit = limit
        self.rate = 0.0
        """Rate of one path [B/s]."""
        self.bottleneck: Resource | None = None
        """Resource that holds the flow back; None while it has all that it wants."""


class Sharing:
    """Flows in progress, and the resources that they share.

    Parameters
    ----------
    capacity
        Capacity of a resource that so many flows cross [B/s]; more of them never make it larger.
    """

    def __init__(self, capacity: Callable[[Resource, int], float]) -> None:
        self._capacity = capacity
        self._on: dict[Resource, dict[Flow, int]] = {}
        self._load: dict[Resource, float] = {}
        self._bound: dict[Resource, int] = {}
        self._changed: dict[Flow, None] = {}
        self.turned: dict[Resource, None] = {}
        """Resources that became a bottleneck or ceased to be one; the caller empties it."""

    def is_full(self, resource: Resource) -> bool:
        """Return whether the resource is the bottleneck of a flow."""
        return self._bound.get(resource, 0) > 0

    def flows_on(self, resource: Resource) -> Mapping[Flow, int]:
        """Return the flows that cross a resource, with the number of their paths over it."""
        return self._on.get(resource, {})

    def load(self, resource: Resource) -> float:
        """Return the rate of all flows over a resource together [B/s]."""
        return self._load.get(resource, 0.0)

    def capacity(self, resource: Resource) -> float:
        """Return the capacity of a resource with the flows that cross it now [B/s]."""
        return self._capacity(resource, len(self.flows_on(resource)))

    def add(self, flow: Flow) -> None:
        """Begin a flow, with a rate of 0 until `rebalance`."""
        flow.rate, flow.bottleneck = 0.0, None
        for resource, paths in flow.uses:
            self._on.setdefault(resource, {})[flow] = paths
        self._changed[flow] = None

    def remove(self, flow: Flow) -> None:
        """End a flow."""
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
        """Set the highest rate per path that a flow wants from now on [B/s]."""
        if limit != flow.limit:
            flow.limit = limit
            self._changed[flow] = None

    def rebalance(self) -> list[tuple[Flow, float]]:
        """Make all rates max-min fair again.

        It begins with the flows that changed, all others held as they are; takes in every flow
        whose bottleneck is none any more, or that is faster than another at the other's bottleneck;
        and begins again until there is none. At worst that is every flow that others connect with a
        changed one.

        Returns
        -------
        list
            Flows whose rate changed, with the rate before.
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
        """Return whether a flow may have all that it wants without any effect on others.

        That is so when nothing that it crosses is full or would be.
        """
        more = flow.limit - flow.rate
        return not any(
            self._bound.get(resource)
            or self.load(resource) + paths * more >= self.capacity(resource)
            for resource, paths in flow.uses
        )

    def _content(self, flow: Flow) -> list[tuple[Flow, float]]:
        """Give a flow all that it wants; return it with its rate before, if that changed."""
        before, flow.rate = flow.rate, flow.limit
        for resource, paths in flow.uses:
            self._load[resource] = self.load(resource) + paths * (flow.rate - before)
        return [(flow, before)] if flow.rate != before else []

    def _fill(self, among: Mapping[Flow, None]) -> Mapping[Flow, None]:
        """Raise the rates of these flows from zero evenly.

        Each rises until it has what it wants or a resource that it crosses is full. Where a
        resource has become narrower nothing is done, and the flows on it are returned: they must
        give way too.
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
        """Give a flow a rate out of what is left to the flows that still want more."""
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
        """Return other flows for which, or because of which, the rates are not fair yet."""
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
        """Set the bottleneck of a flow, and count how many flows each resource holds back."""
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
    """Return the max-min fair rate of each of `paths` further paths over one resource [B/s].

    The further paths take all they can get. They get at least an even share: paths that take more
    than that make room for them.

    Parameters
    ----------
    rates
        Rates that the paths over the resource take now [B/s].
    capacity
        Capacity of the resource [B/s].
    paths
        Number of further paths.

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
