"""System prompts: what stands before every prompt, the same for many requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from pydantic import Field

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.workload.random_streams import stream

_AT_A_TIME = 4096


class SharedPrefix(Description):
    """Each request begins with one of a few texts, any with the same probability, as in vLLM's
    prefix_repetition benchmark.
    """

    tokens: Annotated[int, Field(gt=0)]
    """Of each text; the prompt's own tokens come after them."""
    groups: Annotated[int, Field(gt=0)] = 1
    """How many texts there are."""

    def before(self, route: Callable[[Request], None], seed: int) -> Callable[[Request], None]:
        """`route` for requests that are given their first text on the way."""
        texts = self._texts(seed)

        def prefixed(request: Request) -> None:
            request.prompt_tokens += self.tokens
            request.pieces = ((-1 - next(texts), self.tokens), *request.pieces)
            route(request)

        return prefixed

    def _texts(self, seed: int) -> Iterator[int]:
        """Which text the first request has, the second, and so on."""
        rng = stream(seed, "shared_prefix")
        while True:
            yield from rng.integers(self.groups, size=_AT_A_TIME).tolist()
