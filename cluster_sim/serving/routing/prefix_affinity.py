"""Routing to the replica that received most of the prompt before, for prefix cache hits.

SGLang and vLLM have such routers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy.random
from pydantic import Field

from cluster_sim.request import Request
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import UNKNOWN, Picker, RoutingSetting, index_of
from cluster_sim.serving.routing.policy import RoutingPolicy
from cluster_sim.serving.routing.request_order import RequestOrder
from cluster_sim.serving.routing.sent_prefixes import Holders, SentPrefixes
from cluster_sim.serving.routing.stale import stale
from cluster_sim.typing import Count, CountOrZero
from cluster_sim.units import Seconds


class PrefixAffinity(RoutingPolicy):
    """Routing to the replica that received the longest prefix of the prompt before.

    If loads differ too much, the least loaded replica gets the request. The rule and its defaults
    are those of the cache-aware policy of SGLang's router (sgl-router, README). The router
    remembers what it sent, not what replicas still hold: their caches may have evicted it. Prompts
    of unknown content go to the replica with the fewest requests.
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
    staleness_s: Seconds = 0.0
    """Maximum age of the load information that the router uses [s]. Default: the information is
    always current."""

    def picker(self, rng: numpy.random.Generator, setting: RoutingSetting = UNKNOWN) -> Picker:
        """Return the policy with its state for one run; it uses no random numbers."""
        picker = _Affinity(self) if not setting.is_large else _AffinityInOrder(self)
        return stale(picker, self.staleness_s)

    def differ_too_much(self, least: int, most: int) -> bool:
        """Return whether loads differ too much, given the lowest and the highest [requests]."""
        return most - least > self.balance_abs and most > self.balance_rel * least


class _Affinity(Picker):
    """The policy with its memory of each replica."""

    def __init__(self, policy: PrefixAffinity) -> None:
        self._policy = policy
        self._memories: dict[int, SentPrefixes] = {}

    def pick(self, request: Request, loads: Sequence[Load]) -> int:
        """Return the index of the replica for a request among `loads`, in order of number."""
        requests = [load.requests for load in loads]
        least = min(requests)
        if request.pieces and not self._policy.differ_too_much(least, max(requests)):
            known = [self._remembered(load, request) for load in loads]
            longest = max(known)
            if longest > self._policy.cache_threshold * request.prompt_tokens:
                return min(
                    (load, index) for index, load in enumerate(requests) if known[index] == longest
                )[1]
        return requests.index(least)

    def _remembered(self, load: Load, request: Request) -> int:
        memory = self._memories.get(load.number)
        return memory.longest(request) if memory is not None else 0

    def sent(self, request: Request, load: Load) -> None:
        """Remember the prompt of a request that was sent to a replica."""
        if request.pieces:
            number = load.number
            if (memory := self._memories.get(number)) is None:
                memory = self._memories[number] = self._new_memory(number)
            memory.add(request)

    def _new_memory(self, number: int) -> SentPrefixes:
        return SentPrefixes(self._policy.remembered_tokens)

    def closed(self, load: Load) -> None:
        """Forget what was sent to a replica, as SGLang's router does when it removes a worker."""
        if (memory := self._memories.pop(load.number, None)) is not None:
            memory.forget()


class _AffinityInOrder(_Affinity):
    """The policy for many replicas, which it keeps in order of requests.

    A map from each piece to the replicas that received it gives those with the longest prefix.
    """

    follows_loads = True

    def __init__(self, policy: PrefixAffinity) -> None:
        super().__init__(policy)
        self._holders = Holders()
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
                holders, longest = self._holders.of_longest(request)
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

    def _new_memory(self, number: int) -> SentPrefixes:
        return SentPrefixes(self._policy.remembered_tokens, number, self._holders)

    def sent(self, request: Request, load: Load) -> None:
        """Remember the prompt of a request that was sent to a replica."""
        super().sent(request, load)
        self._falling.changed(load.number)

    def opened(self, load: Load) -> None:
        """Add a replica to the orders."""
        self._loads[load.number] = load
        self._rising.add(load)
        self._falling.add(load)

    def closed(self, load: Load) -> None:
        """Remove a replica from the orders, and forget what was sent to it."""
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
