"""Who gets how much of what several flows share: max-min fair rates, worked out again only for
flows that a change reaches.

A rate is max-min fair when none can grow but at the cost of one that is no larger (Bertsekas and
Gallager, Data Networks, 2nd edition, 1992, section 6.5.2). That is so exactly if every flow either
has all that it wants or crosses a bottleneck: a resource that is full and on which no other flow is
faster. The second form can be checked flow by flow, which is what makes small changes cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from math import inf, log2

Resource = Hashable
"""One direction of a link, or a memory bus: whatever has a capacity [B/s]."""

_CLOSE = 1e-9  # relative; rates and loads that differ by less are one


class Flow:
    """Bytes that move along a path, over one lane or over several that run in step.

    `uses` says how many lanes cross each resource; `rate` is that of one lane [B/s], and no more
    than `limit`. Flows are compared lane by lane: one over eight lanes counts as eight where all of
    them meet, as messages of as many queue pairs do.
    """

    __slots__ = ("bottleneck", "limit", "rate", "uses")

    def __init__(self, uses: Mapping[Resource, int], limit: float = inf) -> None:
        self.uses = tuple(uses.items())
        self.limit = limit
        self.rate = 0.0
        self.bottleneck: Resource | None = None
        """What holds it back; None where it has all that it wants."""


class Sharing:
    """The flows that are under way, and what they share."""

    def __init__(self, capacity: Callable[[Resource, int], float]) -> None:
        """capacity: of a resource that so many flows cross [B/s]; more of them never make it
        larger.
        """
        self._capacity = capacity
        self._on: dict[Resource, dict[Flow, int]] = {}
        self._load: dict[Resource, float] = {}
        self._bound: dict[Resource, int] = {}
        self._changed: dict[Flow, None] = {}
        self.turned: dict[Resource, None] = {}
        """Resources that became somebody's bottleneck or ceased to be one; the caller empties
        it."""

    def is_full(self, resource: Resource) -> bool:
        """Whether it holds somebody back."""
        return self._bound.get(resource, 0) > 0

    def on(self, resource: Resource) -> Mapping[Flow, int]:
        """The flows that cross a resource, and over how many lanes."""
        return self._on.get(resource, {})

    def load(self, resource: Resource) -> float:
        """What they take of it together [B/s]."""
        return self._load.get(resource, 0.0)

    def room(self, resource: Resource) -> float:
        """What it can carry with the flows that are on it now [B/s]."""
        return self._capacity(resource, len(self.on(resource)))

    def add(self, flow: Flow) -> None:
        """It begins, with a rate of 0 until `shared_out`."""
        flow.rate, flow.bottleneck = 0.0, None
        for resource, lanes in flow.uses:
            self._on.setdefault(resource, {})[flow] = lanes
        self._changed[flow] = None

    def remove(self, flow: Flow) -> None:
        """It has ended."""
        self._changed.pop(flow, None)
        self._bind(flow, None)
        for resource, lanes in flow.uses:
            others = self._on[resource]
            del others[flow]
            if others:
                self._load[resource] = self.load(resource) - lanes * flow.rate
                if self._bound.get(resource):
                    self._changed.update(
                        dict.fromkeys(other for other in others if other.bottleneck == resource)
                    )
            else:
                del self._on[resource]
                self._load.pop(resource, None)

    def limit(self, flow: Flow, limit: float) -> None:
        """From now on it wants no more than `limit` a lane [B/s]."""
        if limit != flow.limit:
            flow.limit = limit
            self._changed[flow] = None

    def shared_out(self) -> list[tuple[Flow, float]]:
        """Make all rates max-min fair again. Returns the flows whose rate is another one now, with
        the one before.

        Begins with those that changed, all others held as they are; takes in every flow whose
        bottleneck is none any more, or that is faster than another at the other's bottleneck; and
        begins again until there is none. At worst that is every flow that others connect with a
        changed one.
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
        """Whether it may have all that it wants and nobody notices: nothing that it crosses is full
        or would be.
        """
        more = flow.limit - flow.rate
        return not any(
            self._bound.get(resource) or self.load(resource) + lanes * more >= self.room(resource)
            for resource, lanes in flow.uses
        )

    def _content(self, flow: Flow) -> list[tuple[Flow, float]]:
        """It has what it wants."""
        before, flow.rate = flow.rate, flow.limit
        for resource, lanes in flow.uses:
            self._load[resource] = self.load(resource) + lanes * (flow.rate - before)
        return [(flow, before)] if flow.rate != before else []

    def _fill(self, among: Mapping[Flow, None]) -> Mapping[Flow, None]:
        """Raise the rates of these flows from zero evenly, each until it has what it wants or
        something it crosses is full.

        Returns, and does nothing, where some resource has become less wide: who is on it must give
        way too.
        """
        left: dict[Resource, float] = {}
        wanting: dict[Resource, int] = {}
        for flow in among:
            for resource, lanes in flow.uses:
                if resource in wanting:
                    wanting[resource] += lanes
                    left[resource] += lanes * flow.rate
                else:
                    wanting[resource] = lanes
                    left[resource] = self.room(resource) - self.load(resource) + lanes * flow.rate
        for resource, free in left.items():
            if free < 0.0:
                left[resource] = 0.0
                if (
                    free < -_CLOSE * self.room(resource)
                    and not among.keys() >= self._on[resource].keys()
                ):
                    return dict.fromkeys(self._on[resource])
        growing = dict.fromkeys(among)
        while growing:
            bottleneck, level = None, inf
            for resource, lanes in wanting.items():
                if left[resource] < level * lanes:
                    bottleneck, level = resource, left[resource] / lanes
            content = [flow for flow in growing if flow.limit <= level]
            for flow in content or [flow for flow in self._on[bottleneck] if flow in growing]:
                del growing[flow]
                self._bind(flow, None if content else bottleneck)
                self._let(flow, flow.limit if content else level, left, wanting)
        return {}

    def _let(
        self, flow: Flow, rate: float, left: dict[Resource, float], wanting: dict[Resource, int]
    ) -> None:
        """It gets this much of what is left to those that want more."""
        more, flow.rate = rate - flow.rate, rate
        for resource, lanes in flow.uses:
            self._load[resource] = self._load.get(resource, 0.0) + lanes * more
            free = left[resource] - lanes * rate
            left[resource] = free if free > 0.0 else 0.0
            if wanting[resource] == lanes:
                del wanting[resource]
            else:
                wanting[resource] -= lanes

    def _reached(self, among: Mapping[Flow, None]) -> Mapping[Flow, None]:
        """Flows outside for which, or because of which, the rates are not fair yet."""
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


def beside(rates: Iterable[float], capacity: float, lanes: int = 1) -> float:
    """What each of `lanes` more, which take all they can get, is given of `capacity` beside lanes
    that take `rates` [B/s].

    At least an even share: those that take more than that make room for it.

    >>> beside([1.0], 10.0), beside([9.0], 10.0), beside([8.0, 1.0], 10.0)
    (9.0, 5.0, 4.5)
    """
    slower = sorted(rates)
    left, flows = capacity, len(slower) + lanes
    for rate in slower:
        if rate * flows >= left:
            break
        left, flows = left - rate, flows - 1
    return left / flows


def shared_memory(stream_loss: float, mix_loss: float, streams: int, writing: float) -> float:
    """Share of its bandwidth that a memory keeps when `streams` of traffic cross it, of whose bytes
    the share `writing` is written.

    stream_loss: lost at each doubling of the streams, whose rows of the DRAM are opened in turn;
    mix_loss: of which a quarter is lost when half of the bytes is written, for the bus is turned
    round between reads and writes. Never below a tenth.

    >>> round(shared_memory(0.03, 0.16, 2, 0.5), 6)
    0.9312
    >>> shared_memory(0.03, 0.16, 1, 0.0)
    1.0
    """
    return max(
        (1.0 - stream_loss * log2(max(streams, 1))) * (1.0 - mix_loss * writing * (1.0 - writing)),
        0.1,
    )
