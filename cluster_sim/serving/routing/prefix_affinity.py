"""Routing to the replica that received most of the prompt before, for prefix cache hits.

SGLang and vLLM have such routers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import numpy.random
from pydantic import Field

from cluster_sim.request import Request
from cluster_sim.schema import Trail
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import UNKNOWN, Picker, RoutingSetting, index_of
from cluster_sim.serving.routing.policy import Routed, RoutingPolicy
from cluster_sim.serving.routing.prefix_memory import HeldMemory, PrefixMemory, SentMemory
from cluster_sim.serving.routing.request_order import RequestOrder
from cluster_sim.serving.routing.stale import stale
from cluster_sim.typing import Count, CountOrZero
from cluster_sim.units import Seconds


class PrefixAffinity(RoutingPolicy):
    """Routing to the replica that received the longest prefix of the prompt before.

    If loads differ too much, the least loaded replica gets the request. The rule and its defaults
    are those of the cache-aware policy of SGLang's router (sgl-router, README). The router
    remembers what it sent; with `knows: kv_events` it learns what replicas still hold. Prompts of
    unknown content go to the replica with the fewest requests.
    """

    policy: Literal["prefix_affinity"] = "prefix_affinity"
    cache_threshold: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """Share of the prompt that the known prefix must exceed. Otherwise the request goes to the
    least loaded replica."""
    balance_abs: CountOrZero = 64
    """Number of requests by which the highest load must exceed the lowest for loads to differ too
    much. `balance_rel` must be exceeded as well."""
    balance_rel: Annotated[float, Field(ge=1.0)] = 1.5
    """Factor by which the highest load must exceed the lowest for loads to differ too much.
    `balance_abs` must be exceeded as well."""
    remembered_tokens: Count = 67_108_864
    """Maximum number of tokens sent to each replica that the router remembers. The oldest are
    forgotten first."""
    knows: Literal["sent", "kv_events"] = "sent"
    """Source of the router's knowledge of prefixes. sent: the prompts that it sent to a replica,
    whose cache may have evicted them. kv_events: reports of the replicas on each block that is
    stored or evicted, as vLLM sends them to the routers of Dynamo and llm-d. Each step of a replica
    is then simulated for itself, which takes longer."""
    delay_s: Seconds = 0.0
    """Time from a change in a prefix cache until the router knows of it, with `knows: kv_events`
    [s]. Default: 0; no measurement is known."""
    staleness_s: Seconds = 0.0
    """Maximum age of the load information that the router uses [s]. Default: the information is
    always current."""

    def picker(self, rng: numpy.random.Generator, setting: RoutingSetting = UNKNOWN) -> Picker:
        """Return the policy with its state for one run; it uses no random numbers."""
        kind = _AffinityInOrder if setting.is_large else _Affinity
        return stale(kind(self, self._memory(setting)), self.staleness_s)

    def _memory(self, setting: RoutingSetting) -> PrefixMemory:
        if self.knows == "sent":
            return SentMemory(self.remembered_tokens, is_large=setting.is_large)
        assert setting.kv_events is not None
        return HeldMemory(setting.kv_events.queue(self.delay_s), is_large=setting.is_large)

    @property
    def reads_kv_events(self) -> bool:
        """Whether replicas report the blocks in their prefix caches."""
        return self.knows == "kv_events"

    def faults(self, routed: Routed) -> Iterator[tuple[Trail, str]]:
        """Yield pools that report no blocks, and a delay of reports that nobody reads."""
        if self.knows == "sent":
            if self.delay_s:
                yield (
                    ("delay",),
                    "only KV events have a delay; expected knows: kv_events, or staleness for loads",
                )
            return
        for pool in routed.pools:
            if pool.takes_requests and pool.no_kv_events:
                yield ("knows",), f"pool '{pool.name}' {pool.no_kv_events}"

    def differ_too_much(self, least: int, most: int) -> bool:
        """Return whether loads differ too much, given the lowest and the highest [requests]."""
        return most - least > self.balance_abs and most > self.balance_rel * least


class _Affinity(Picker):
    """The policy with its memory of the replicas."""

    def __init__(self, policy: PrefixAffinity, memory: PrefixMemory) -> None:
        self._policy, self._memory = policy, memory

    def pick(self, request: Request, loads: Sequence[Load]) -> int:
        """Return the index of the replica for a request among `loads`, in order of number."""
        requests = [load.requests for load in loads]
        least = min(requests)
        if request.pieces and not self._policy.differ_too_much(least, max(requests)):
            self._memory.update()
            known = [self._memory.longest(load.number, request) for load in loads]
            longest = max(known)
            if longest > self._policy.cache_threshold * request.prompt_tokens:
                return min(
                    (load, index) for index, load in enumerate(requests) if known[index] == longest
                )[1]
        return requests.index(least)

    def sent(self, request: Request, load: Load) -> None:
        """Remember the prompt of a request that was sent to a replica."""
        self._memory.sent(request, load.number)

    def opened(self, load: Load) -> None:
        """Record that the router may send requests to a replica from now on."""
        self._memory.opened(load.number)

    def closed(self, load: Load) -> None:
        """Record that the router sends no more requests to a replica."""
        self._memory.closed(load.number)


class _AffinityInOrder(_Affinity):
    """The policy for many replicas, which it keeps in order of requests.

    A map from each piece to the replicas that have it gives those with the longest prefix.
    """

    follows_loads = True

    def __init__(self, policy: PrefixAffinity, memory: PrefixMemory) -> None:
        super().__init__(policy, memory)
        self._loads: dict[int, Load] = {}
        self._rising, self._falling = RequestOrder(), RequestOrder(descending=True)

    def pick_open(self, request: Request, loads: Sequence[Load], now_s: float) -> int:
        """Return the index of the replica for a request among all open replicas."""
        return index_of(self._chosen(request), loads)

    def _chosen(self, request: Request) -> int:
        """Return the number of the chosen replica."""
        rising = self._rising
        if request.pieces:
            least, most = rising.first_requests(), self._falling.first_requests()
            if not self._policy.differ_too_much(least, most):
                self._memory.update()
                holders, longest = self._memory.holders(request)
                if longest > self._policy.cache_threshold * request.prompt_tokens:
                    return self._least_loaded(holders)
        return rising.first()

    def _least_loaded(self, holders: set[int]) -> int:
        """Return the holder with the fewest requests; ties go to the first.

        The search goes up from the least loaded replica for as long as that may be quicker than to
        look at all holders.
        """
        if len(holders) > 1:
            number = self._rising.first_of(holders, 1 + len(holders) // 8)
            if number is not None:
                return number
        loads = self._loads
        return min((loads[number].requests, number) for number in holders)[1]

    def sent(self, request: Request, load: Load) -> None:
        """Remember the prompt of a request that was sent to a replica."""
        super().sent(request, load)
        self._falling.changed(load.number)

    def opened(self, load: Load) -> None:
        """Add a replica to the orders."""
        super().opened(load)
        self._loads[load.number] = load
        self._rising.add(load)
        self._falling.add(load)

    def closed(self, load: Load) -> None:
        """Remove a replica from the orders."""
        super().closed(load)
        self._loads.pop(load.number, None)
        self._rising.remove(load.number)
        self._falling.remove(load.number)

    def changed(self, number: int) -> None:
        """Record that the number of requests of a replica may be lower."""
        self._rising.changed(number)

    def renew(self, loads: Sequence[Load]) -> None:
        """Replace the loads of all open replicas by newer reports."""
        self._loads = {load.number: load for load in loads}
        self._rising.renew(loads)
        self._falling.renew(loads)
