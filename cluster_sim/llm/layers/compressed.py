"""Attention over compressed entries of the context and a window (DeepSeek-V4)."""

from __future__ import annotations

from typing import ClassVar, Literal

from cluster_sim.llm.layers.indexed import IndexedLayers
from cluster_sim.llm.layers.kind import HeadShape, MatrixShape, PerKey, heads_fault
from cluster_sim.typing import Count, CountOrZero


class CompressedLayers(IndexedLayers):
    """Layers that keep one entry per `ratio` tokens, and the entries of the last `tokens`.

    One entry is the key and the value of all heads. With an indexer, whose `top_k` counts entries,
    a query reads the selected entries; without one it reads all of them. The window is treated as
    full from the first token on, so the cost of shorter sequences is slightly overestimated.
    """

    words: ClassVar[str] = "compressed attention"
    kind: Literal["compressed"] = "compressed"
    heads: Count
    """Number of query heads per layer."""
    head_dim: Count
    """Width of a query head and of an entry."""
    q_rank: Count
    """Width of the latent vector of queries."""
    output_groups: Count
    """Number of groups of heads whose outputs are projected separately."""
    output_rank: Count
    """Output width of the projection of each group."""
    tokens: Count
    """Length of the window [tokens]."""
    ratio: CountOrZero = 0
    """Number of tokens per compressed entry. 0 means that the layer has only its window."""
    overlap: bool = False
    """Whether entries are built from overlapping groups of tokens, which doubles the compressor."""

    @property
    def summary(self) -> str:
        """Description of these layers, see `AttentionLayers`."""
        window = f"a window of {self.tokens:,}"
        entries = f"an entry per {self.ratio:,} tokens and {window}" if self.ratio else window
        return f"with {entries}{self.choice('entries')}"

    @property
    def view_tokens(self) -> int:
        """Number of tokens whose entries a query reads with an indexer; 0 without one."""
        return self.indexer.top_k * self.ratio if self.indexer is not None else 0

    @property
    def window_tokens(self) -> int:
        """Length of the window [tokens]."""
        return self.tokens

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device.

        They project queries down and up, project the entry of the window, and project outputs down
        by groups and up. A compressor gives entries and their weights, a second one gives index
        keys.
        """
        width = self.heads * self.head_dim / ranks
        groups = self.output_groups / ranks
        return [
            MatrixShape(self.q_rank + self.head_dim, hidden),
            MatrixShape(width, self.q_rank),
            MatrixShape(groups * self.output_rank, width / groups),
            MatrixShape(hidden, groups * self.output_rank),
            *self.compressing(hidden),
        ]

    def compressing(self, hidden: int) -> list[MatrixShape]:
        """Return the matrices for entries and index keys, which every device holds."""
        shapes, copies = [], 2 if self.overlap else 1
        if self.ratio:
            shapes.append(MatrixShape(2 * copies * self.head_dim, hidden))
        if (index := self.indexer) is not None:
            shapes += [
                MatrixShape(index.heads * index.head_dim, self.q_rank),
                MatrixShape(2 * copies * index.head_dim, hidden),
                MatrixShape(index.heads, hidden),
            ]
        return shapes

    def fit_name(self, kv_cache: str) -> tuple[str, str] | None:
        """Return the name of the measured kernels, with or without an indexer."""
        return "sparse", f"{self.kind}_{kv_cache}"

    def fault_of_ranks(self, ranks: int) -> str | None:
        """Return why the groups of heads cannot be shared evenly, see `AttentionLayers`."""
        return heads_fault(ranks, self.output_groups, "groups of heads")

    def parameters(self, hidden: int) -> int:
        """Return the number of weights, see `AttentionLayers`."""
        return int(sum(shape.outputs * shape.inputs for shape in self.products(hidden, 1)))

    def copied_parameters(self, hidden: int) -> int:
        """Return the number of weights of the down-projections and of the compressors."""
        shapes = self.compressing(hidden)
        down = hidden * (self.q_rank + self.head_dim)
        return down + int(sum(shape.outputs * shape.inputs for shape in shapes))

    def rotary_width(self, ranks: int) -> float:
        """Return the number of values of queries and of the entry on one device."""
        return self.heads / ranks * self.head_dim + self.head_dim

    @property
    def is_latent(self) -> bool:
        """Whether all heads share one entry per token: always true."""
        return True

    def decode_heads(self, ranks: int) -> HeadShape | None:
        """Return the heads of one device, which share one entry as key and value."""
        return HeadShape(self.heads / ranks, 1.0, self.head_dim // 2)

    def growing_values(self, ranks: int = 1) -> float:
        """Return the number of values of compressed entries per token, which every device holds."""
        return self.head_dim / self.ratio if self.ratio else 0.0

    def index_values(self, ranks: int = 1) -> float:
        """Return the number of values of index keys per token."""
        return self.indexer.key_values / self.ratio if self.indexer is not None else 0.0

    def window_values(self, ranks: int = 1) -> float:
        """Return the number of values of one entry of the window."""
        return float(self.head_dim)

    def sequence_values(self, ranks: int = 1) -> float:
        """Return the number of values of a full window."""
        return float(self.head_dim * self.tokens)

    @property
    def decode_flop(self) -> PerKey:
        """Arithmetic of one decoding query with compressed entries [FLOP/token of the context]."""
        if not self.ratio:
            return PerKey()
        entry = 4.0 * self.heads * self.head_dim / self.ratio
        if self.indexer is None:
            return PerKey(entry)
        return PerKey(self.indexer.key_flop / self.ratio, entry)

    @property
    def prefill_flop(self) -> PerKey:
        """Arithmetic of one pair in prefill [FLOP]; it equals that of a decoding query."""
        return self.decode_flop

    @property
    def token_flop(self) -> float:
        """Arithmetic of one token with a full window [FLOP]."""
        return 4.0 * self.heads * self.head_dim * self.tokens
