"""Routing to the replica that received most of the prompt before, for prefix cache hits.

SGLang and vLLM have such routers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy.random
from pydantic import Field

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import Picker
from cluster_sim.serving.routing.stale import stale
from cluster_sim.typing import Count, CountOrZero
from cluster_sim.units import Seconds


class PrefixAffinity(Description):
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

    def picker(self, rng: numpy.random.Generator) -> Picker:
        """Return the policy with its state for one run; it uses no random numbers."""
        memories: dict[int, SentPrefixes] = {}

        def remembered(load: Load, request: Request) -> int:
            memory = memories.get(load.number)
            return memory.longest(request) if memory is not None else 0

        def pick(request: Request, loads: Sequence[Load]) -> int:
            requests = [load.requests for load in loads]
            least, most = min(requests), max(requests)
            balanced = most - least <= self.balance_abs or most <= self.balance_rel * least
            if balanced and request.pieces:
                known = [remembered(load, request) for load in loads]
                longest = max(known)
                if longest > self.cache_threshold * request.prompt_tokens:
                    return min(
                        (load, index)
                        for index, load in enumerate(requests)
                        if known[index] == longest
                    )[1]
            return requests.index(least)

        def sent(request: Request, load: Load) -> None:
            if request.pieces:
                if (memory := memories.get(load.number)) is None:
                    memory = memories[load.number] = SentPrefixes(self.remembered_tokens)
                memory.add(request)

        return Picker(stale(pick, self.staleness_s), sent)


class SentPrefixes:
    """Prefix tree of the prompts that were sent to one replica.

    The least recently used leaves are dropped. The identity of a piece stands for all content
    before it too, so the tree is a set of identities: a prefix is in the tree if its pieces are.
    Pieces are touched from the last to the first, so a leaf is always older than its parent.
    """

    __slots__ = ("_max_tokens", "_pieces", "_tokens")

    def __init__(self, max_tokens: int) -> None:
        self._pieces: dict[int, int] = {}  # tokens by identity, the least recently used first
        self._tokens, self._max_tokens = 0, max_tokens

    def longest(self, request: Request) -> int:
        """Return the number of tokens of the longest prefix of the prompt in the tree."""
        tokens = 0
        for identity, length in request.pieces:
            if identity not in self._pieces:
                break
            tokens += length
        return tokens

    def add(self, request: Request) -> None:
        """Add the prompt of a request that was sent."""
        pieces = self._pieces
        for identity, length in reversed(request.pieces):
            self._tokens += length - pieces.pop(identity, 0)
            pieces[identity] = length
        while self._tokens > self._max_tokens:
            self._tokens -= pieces.pop(next(iter(pieces)))
