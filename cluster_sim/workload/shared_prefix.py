"""System prompts: text before every prompt that is the same for many requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.typing import Count
from cluster_sim.workload.random_streams import stream

_AT_A_TIME = 4096


class SharedPrefix(Description):
    """Shared texts, one of which each request begins with.

    All texts are equally likely. vLLM's prefix_repetition benchmark makes requests in this way.
    """

    tokens: Count
    """Length of each text, which precedes the prompt's own tokens [tokens]."""
    groups: Count = 1
    """Number of different texts."""

    def before(self, route: Callable[[Request], None], seed: int) -> Callable[[Request], None]:
        """Return `route` for requests that are given their first text on the way."""
        pieces = self.pieces(seed)

        def prefixed(request: Request) -> None:
            request.prompt_tokens += self.tokens
            request.pieces = (next(pieces), *request.pieces)
            route(request)

        return prefixed

    def pieces(self, seed: int) -> Iterator[tuple[int, int]]:
        """Yield the text that each request begins with, as a piece of its prompt, indefinitely."""
        rng = stream(seed, "shared_prefix")
        while True:
            for text in rng.integers(self.groups, size=_AT_A_TIME).tolist():
                yield -1 - text, self.tokens
