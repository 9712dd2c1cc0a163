"""LimitedView: how many keys a query reads where it does not see the whole context."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.llm.model_shape import ModelShape


class LimitedView(NamedTuple):
    """View of a query in the layers of a model that read only a part of the context.

    It is the last `tokens` tokens, or as many as an indexer chooses; chunked, the tokens of the
    query's own chunk of `tokens`.
    """

    tokens: int = 0
    """Most tokens that a query reads; 0: the model has no such layers."""
    is_chunked: bool = False
    """Whether the view begins anew with each chunk."""

    @classmethod
    def of(cls, model: ModelShape) -> LimitedView:
        """Return the limited view of a model's layers."""
        return cls(model.view_tokens, model.view_is_chunked)

    def keys(self, length: int) -> int:
        """Return the keys that the last query of `length` tokens reads.

        >>> LimitedView(4).keys(3), LimitedView(4).keys(9), LimitedView(4, is_chunked=True).keys(9)
        (3, 4, 1)
        """
        if self.is_chunked:
            return (length - 1) % self.tokens + 1
        return min(length, self.tokens)

    def mean_keys(self, length: float) -> float:
        """Return about the keys that a query reads in sequences of this mean length.

        A chunk is half full in the mean where sequences are longer than it.
        """
        if self.is_chunked and length > self.tokens:
            return self.tokens / 2
        return min(length, self.tokens)

    def pairs(self, chunk: int, past: int) -> int:
        """Return the pairs of a query and a key of `chunk` prompt tokens after `past` cached ones.

        >>> LimitedView(2).pairs(3, 0), LimitedView(2).pairs(2, 3)  # 1+2+2 and 2+2
        (5, 4)
        >>> LimitedView(2, is_chunked=True).pairs(5, 0)  # 1+2+1+2+1
        7
        """
        if not self.tokens:
            return 0
        if self.is_chunked:
            return self._pairs_until(past + chunk) - self._pairs_until(past)
        return window_pairs(chunk, past, self.tokens)

    def _pairs_until(self, tokens: int) -> int:
        whole, rest = divmod(tokens, self.tokens)
        return whole * causal_pairs(self.tokens, 0) + causal_pairs(rest, 0)


NO_VIEW = LimitedView()
"""View of a model all of whose layers see the whole context."""


def causal_pairs(chunk: int, past: int) -> int:
    """Return the pairs of query and key of `chunk` prompt tokens after `past` cached ones.

    >>> causal_pairs(3, 0), causal_pairs(2, 3)  # 1+2+3 and 4+5
    (6, 9)
    """
    return chunk * past + chunk * (chunk + 1) // 2


def window_pairs(chunk: int, past: int, window: int) -> int:
    """Return the causal pairs where a query sees the last `window` tokens only, itself included.

    >>> window_pairs(3, 0, 2), window_pairs(2, 3, 2)  # 1+2+2 and 2+2
    (5, 4)
    """
    growing = min(max(window - past, 0), chunk)
    return causal_pairs(growing, past) + (chunk - growing) * window
