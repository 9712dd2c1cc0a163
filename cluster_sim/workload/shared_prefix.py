"""System prompts: text before the prompt that many requests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.typing import Count
from cluster_sim.workload.random_streams import stream

_AT_A_TIME = 4096


class SharedPrefix(Description):
    """Texts that requests share as the beginning of their prompts, all equally likely.

    vLLM's prefix_repetition benchmark generates such requests.
    """

    tokens: Count
    """Length of each shared text, in front of the prompt's other tokens [tokens]."""
    groups: Count = 1
    """Number of different shared texts."""

    def before(self, route: Callable[[Request], None], seed: int) -> Callable[[Request], None]:
        """Return `route` preceded by a step that puts a shared text before the prompt."""
        pieces = self.pieces(seed)

        def prefixed(request: Request) -> None:
            request.prompt_tokens += self.tokens
            request.pieces = (next(pieces), *request.pieces)
            route(request)

        return prefixed

    def pieces(self, seed: int) -> Iterator[tuple[int, int]]:
        """Yield each request's shared text as a piece (identity, tokens), indefinitely."""
        rng = stream(seed, "shared_prefix")
        while True:
            for text in rng.integers(self.groups, size=_AT_A_TIME).tolist():
                yield -1 - text, self.tokens
