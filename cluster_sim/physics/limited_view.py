"""LimitedView: number of keys that a query reads if it does not see the whole context."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.llm.model_shape import ModelShape


class LimitedView(NamedTuple):
    """View of a query in layers that read only a part of the context.

    The view is the last `tokens` tokens, or the number of tokens that an indexer chooses. If it is
    chunked, it is the query's chunk of `tokens` tokens.
    """

    tokens: int = 0
    """Maximum number of tokens that a query reads; 0 for a model without such layers."""
    is_chunked: bool = False
    """Whether the view restarts with each chunk."""

    @classmethod
    def of(cls, model: ModelShape) -> LimitedView:
        """Return the limited view of a model's layers."""
        return cls(model.view_tokens, model.view_is_chunked)

    def keys(self, length: int) -> int:
        """Return the number of keys that the last query of `length` tokens reads.

        >>> LimitedView(4).keys(3), LimitedView(4).keys(9), LimitedView(4, is_chunked=True).keys(9)
        (3, 4, 1)
        """
        if self.is_chunked:
            return (length - 1) % self.tokens + 1
        return min(length, self.tokens)

    def mean_keys(self, length: float) -> float:
        """Return the approximate number of keys per query for sequences of a mean length.

        A chunk is half full on average if the sequences are longer than the chunk.
        """
        if self.is_chunked and length > self.tokens:
            return self.tokens / 2
        return min(length, self.tokens)

    def pairs(self, chunk: int, past: int) -> int:
        """Return the number of (query, key) pairs of a chunk of prompt tokens.

        Parameters
        ----------
        chunk
            Number of new prompt tokens.
        past
            Number of cached tokens before them.

        Returns
        -------
        int
            Number of pairs; 0 for a model without a limited view.

        Examples
        --------
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
"""View of a model in which all layers see the whole context."""


def causal_pairs(chunk: int, past: int) -> int:
    """Return the number of causal (query, key) pairs of a chunk of prompt tokens.

    Parameters
    ----------
    chunk
        Number of new prompt tokens.
    past
        Number of cached tokens before them.

    Returns
    -------
    int
        Number of pairs.

    Examples
    --------
    >>> causal_pairs(3, 0), causal_pairs(2, 3)  # 1+2+3 and 4+5
    (6, 9)
    """
    return chunk * past + chunk * (chunk + 1) // 2


def window_pairs(chunk: int, past: int, window: int) -> int:
    """Return the number of causal pairs if a query sees only the last `window` tokens, itself included.

    >>> window_pairs(3, 0, 2), window_pairs(2, 3, 2)  # 1+2+2 and 2+2
    (5, 4)
    """
    growing = min(max(window - past, 0), chunk)
    return causal_pairs(growing, past) + (chunk - growing) * window
