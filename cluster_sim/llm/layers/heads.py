"""Attention in which each head, or group of heads, has its keys and values (arXiv 2305.13245)."""

from __future__ import annotations

from typing import ClassVar, Literal

from cluster_sim.llm.layers.indexed import IndexedLayers
from cluster_sim.llm.layers.kind import (
    AttentionLayers,
    HeadShape,
    MatrixShape,
    PerKey,
    heads_fault,
    split,
)
from cluster_sim.typing import Count, CountOrZero


class HeadLayers(AttentionLayers):
    """Attention with heads, over any part of the context."""

    heads: Count
    """Number of query heads per layer."""
    kv_heads: Count
    """Number of key and value heads per layer."""
    head_dim: Count
    """Width of a head's query and key."""
    value_dim: CountOrZero = 0
    """Width of a head's value. 0 means the width of the key."""
    gated: bool = False
    """Whether the output has a gate, which doubles the width of the query projection."""
    key_is_value: bool = False
    """Whether one projection produces both keys and values. The cache holds both."""

    @property
    def value_width(self) -> int:
        """Width of a head's value."""
        return self.value_dim or self.head_dim

    @property
    def kv_width(self) -> int:
        """Sum of the widths of a head's key and value."""
        return self.head_dim + self.value_width

    def fault_of_ranks(self, ranks: int) -> str | None:
        """Return why the heads cannot be shared evenly, see `AttentionLayers`."""
        if fault := heads_fault(ranks, self.heads):
            return fault
        if self.kv_heads % ranks and ranks % self.kv_heads:
            return f"{ranks} neither divides the {self.kv_heads} KV heads of {{}} nor is a multiple of them"
        return None

    def parameters(self, hidden: int) -> int:
        """Return the number of weights, see `AttentionLayers`."""
        kv_width = self.head_dim if self.key_is_value else self.kv_width
        gate = self.value_width if self.gated else 0
        queries = self.heads * (self.head_dim + gate)
        return hidden * (queries + self.kv_heads * kv_width + self.heads * self.value_width)

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device, see `AttentionLayers`."""
        heads, kv_heads = self.heads / ranks, split(self.kv_heads, ranks)
        kv_width = self.head_dim if self.key_is_value else self.kv_width
        gate = self.value_width if self.gated else 0
        return [
            MatrixShape(heads * (self.head_dim + gate) + kv_heads * kv_width, hidden),
            MatrixShape(hidden, heads * self.value_width),
        ]

    def rotary_width(self, ranks: int) -> float:
        """Return the number of values of queries, keys and values on one device."""
        return self.heads / ranks * self.head_dim + split(self.kv_heads, ranks) * self.kv_width

    def decode_heads(self, ranks: int) -> HeadShape | None:
        """Return the heads of one device, see `AttentionLayers`."""
        return HeadShape(self.heads / ranks, split(self.kv_heads, ranks), self.kv_width // 2)

    @property
    def key_flop(self) -> float:
        """Arithmetic of one query with one key: score and weighted sum [FLOP]."""
        return 2.0 * self.heads * self.kv_width

    @property
    def cache_parts(self) -> int:
        """Number of KV heads."""
        return self.kv_heads

    def cached_values(self, ranks: int) -> float:
        """Return the number of values of a token's keys and values on one device."""
        return split(self.kv_heads, ranks) * self.kv_width


class FullLayers(HeadLayers, IndexedLayers):
    """Attention over the whole context.

    With an indexer it reads the selected tokens of the context.
    """

    words: ClassVar[str] = "full attention"
    kind: Literal["full"] = "full"

    @property
    def summary(self) -> str:
        """Description of these layers, see `AttentionLayers`."""
        return f"full{self.choice()}"

    def parameters(self, hidden: int) -> int:
        """Return the number of weights, including the indexer."""
        index = self.indexer.parameters(hidden, hidden) if self.indexer is not None else 0
        return super().parameters(hidden) + index

    def copied_parameters(self, hidden: int) -> int:
        """Return the number of weights of the indexer, which every device holds."""
        return self.indexer.parameters(hidden, hidden) if self.indexer is not None else 0

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device.

        The matrices of the indexer have the same inputs as queries, keys and values, so one product
        covers all of them.
        """
        index = self.indexer.shapes(hidden, hidden) if self.indexer is not None else []
        first, *rest = super().products(hidden, ranks)
        width = first.outputs + sum(shape.outputs for shape in index)
        return [MatrixShape(width, hidden), *rest]

    def growing_values(self, ranks: int = 1) -> float:
        """Return the number of cached values per token of the whole context."""
        return self.cached_values(ranks)

    @property
    def decode_flop(self) -> PerKey:
        """Arithmetic of one decoding query per key [FLOP]."""
        if self.indexer is None:
            return PerKey(self.key_flop)
        return PerKey(self.indexer.key_flop, self.key_flop)

    @property
    def prefill_flop(self) -> PerKey:
        """Arithmetic of one pair in prefill [FLOP]; it equals that of a decoding query."""
        return self.decode_flop


class WindowLayers(HeadLayers):
    """Attention over the last `tokens` only. Older tokens leave the cache."""

    words: ClassVar[str] = "sliding-window attention"
    kind: Literal["window"] = "window"
    tokens: Count
    """Length of the window [tokens]."""

    @property
    def summary(self) -> str:
        """Description of these layers, see `AttentionLayers`."""
        return f"with {'chunks' if self.is_chunked else 'a window'} of {self.tokens:,}"

    @property
    def view_tokens(self) -> int:
        """Length of the window [tokens]."""
        return self.tokens

    @property
    def window_tokens(self) -> int:
        """Length of the window [tokens]."""
        return self.tokens

    def window_values(self, ranks: int = 1) -> float:
        """Return the number of cached values per token of the window."""
        return self.cached_values(ranks)

    def read_values(self, ranks: int = 1) -> PerKey:
        """Return the number of cached values that a decoding query reads per key."""
        return PerKey(limited=self.cached_values(ranks))

    @property
    def decode_flop(self) -> PerKey:
        """Arithmetic of one decoding query per key [FLOP]."""
        return PerKey(limited=self.key_flop)

    @property
    def prefill_flop(self) -> PerKey:
        """Arithmetic of one pair in prefill [FLOP]; it equals that of a decoding query."""
        return self.decode_flop


class ChunkedLayers(WindowLayers):
    """Attention inside chunks: a query sees the earlier tokens of its own chunk (Llama 4)."""

    words: ClassVar[str] = "chunked attention"
    kind: Literal["chunked"] = "chunked"  # type: ignore[assignment]

    @property
    def is_chunked(self) -> bool:
        """Whether the limited view restarts with each chunk: always true."""
        return True
