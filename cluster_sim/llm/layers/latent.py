"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434)."""

from __future__ import annotations

from typing import ClassVar, Literal

from cluster_sim.llm.layers.indexed import IndexedLayers
from cluster_sim.llm.layers.kind import (
    HeadShape,
    LatentHeads,
    MatrixShape,
    PerKey,
    heads_fault,
)
from cluster_sim.schema import Description
from cluster_sim.typing import Count, CountOrZero


class LatentAttention(Description):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434).

    The KV cache holds one latent vector per token and layer.
    """

    q_rank: CountOrZero
    """Width of the latent vector of queries. 0 means that queries are not compressed."""
    kv_rank: Count
    """Width of the latent vector of keys and values."""
    rope_dim: CountOrZero
    """Width of the part of a key that carries the rotary embedding. 0 means no rotary embedding."""
    nope_dim: Count
    """Width of the part of a head's key without the rotary embedding."""
    v_dim: Count
    """Width of a head's value."""


class LatentLayers(LatentAttention, IndexedLayers):
    """Layers of latent attention. With an indexer they read the selected tokens of the context."""

    words: ClassVar[str] = "latent attention"
    kind: Literal["latent"] = "latent"
    heads: Count
    """Number of query heads per layer."""
    gated: bool = False
    """Whether the output has a gate with its own projection."""

    @property
    def summary(self) -> str:
        """Description of these layers, see `AttentionLayers`."""
        return f"latent{self.choice()}"

    @property
    def down_width(self) -> int:
        """Width of the cached vector: the latent vector of keys and values, and the rotary part."""
        return self.kv_rank + self.rope_dim

    def fault_of_ranks(self, ranks: int) -> str | None:
        """Return why the heads cannot be shared evenly, see `AttentionLayers`."""
        return heads_fault(ranks, self.heads)

    def parameters(self, hidden: int) -> int:
        """Return the number of weights, including the indexer."""
        q_heads = self.heads * (self.nope_dim + self.rope_dim)
        query = hidden * self.q_rank + self.q_rank * q_heads if self.q_rank else hidden * q_heads
        down = hidden * self.down_width
        up = self.kv_rank * self.heads * (self.nope_dim + self.v_dim)
        out = self.heads * self.v_dim * hidden
        gate = out if self.gated else 0
        return query + down + up + out + gate + self._index_parameters(hidden)

    def copied_parameters(self, hidden: int) -> int:
        """Return the number of weights of the down-projections and of the indexer."""
        return hidden * (self.q_rank + self.down_width) + self._index_parameters(hidden)

    def _index_parameters(self, hidden: int) -> int:
        if self.indexer is None:
            return 0
        return self.indexer.parameters(hidden, self.q_rank or hidden)

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device (section 2.1 of the paper).

        * One matrix projects down to the latent vectors of queries, keys and values, on every
          device.
        * One matrix projects up to the queries.
        * Two matrices per head project up to keys and values. Decode applies them to queries and
          sums instead, head by head and with the same FLOP.
        * One matrix projects the output.
        """
        heads = self.heads / ranks
        up, down = heads * (self.nope_dim + self.rope_dim), self.down_width
        queries = (
            [MatrixShape(self.q_rank + down, hidden), MatrixShape(up, self.q_rank)]
            if self.q_rank
            else [MatrixShape(up + down, hidden)]
        )
        out = MatrixShape(hidden, heads * self.v_dim)
        gate = [MatrixShape(heads * self.v_dim, hidden)] if self.gated else []
        index = (
            self.indexer.shapes(hidden, self.q_rank or hidden) if self.indexer is not None else []
        )
        return [*queries, *self._heads(ranks).absorbed, out, *gate, *index]

    def rotary_width(self, ranks: int) -> float:
        """Return the number of values of queries, keys and values, expanded per head."""
        return 3.0 * self.heads / ranks * self.v_dim

    @property
    def is_latent(self) -> bool:
        """Whether all heads share the latent vector of a token: always true."""
        return True

    def latent_heads(self, ranks: int) -> LatentHeads | None:
        """Return the heads of one device, unless an indexer chooses the keys."""
        return self._heads(ranks) if self.indexer is None else None

    def _heads(self, ranks: int) -> LatentHeads:
        widths = self.kv_rank, self.nope_dim, self.v_dim
        return LatentHeads(self.heads / ranks, self.down_width, *widths)

    def decode_heads(self, ranks: int) -> HeadShape | None:
        """Return the heads of one device, which share one latent vector as key and value."""
        return HeadShape(self.heads / ranks, 1.0, self.down_width // 2)

    def prefill_heads(self, ranks: int) -> HeadShape | None:
        """Return the heads of one device, each with expanded keys and values."""
        heads = self.heads / ranks
        return HeadShape(heads, heads, (self.nope_dim + self.rope_dim + self.v_dim) // 2)

    def growing_values(self, ranks: int = 1) -> float:
        """Return the number of values of a token's latent vector, which every device holds."""
        return float(self.down_width)

    @property
    def decode_flop(self) -> PerKey:
        """Arithmetic of one decoding query per key [FLOP].

        Decode runs in the latent space, with absorbed up-projections: scores over rank + rope, sum
        over rank.
        """
        return self._per_key(2.0 * self.heads * (2 * self.kv_rank + self.rope_dim))

    @property
    def prefill_flop(self) -> PerKey:
        """Arithmetic of one pair in prefill with keys and values expanded per head [FLOP].

        Sparse attention reads latent vectors in prefill too.
        """
        return self.decode_flop if self.indexer is not None else PerKey(self.dense_flop)

    @property
    def dense_flop(self) -> float:
        """Arithmetic of one pair in prefill with keys and values expanded per head [FLOP]."""
        return 2.0 * self.heads * (self.nope_dim + self.rope_dim + self.v_dim)

    def _per_key(self, flop: float) -> PerKey:
        return PerKey(flop) if self.indexer is None else PerKey(self.indexer.key_flop, flop)
