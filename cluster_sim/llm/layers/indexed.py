"""IndexedLayers: attention that may read only chosen tokens of the context."""

from __future__ import annotations

from cluster_sim.llm.layers.indexer import Indexer
from cluster_sim.llm.layers.kind import AttentionLayers, PerKey


class IndexedLayers(AttentionLayers):
    """Attention over the whole context. With an indexer it reads the selected tokens."""

    indexer: Indexer | None = None
    """Indexer that selects the tokens to be read. Default: all tokens are read."""

    @property
    def is_chosen(self) -> bool:
        """Whether the layers have an indexer or use the one of an earlier layer."""
        return self.indexer is not None

    def choice(self, what: str = "tokens") -> str:
        """Return a description of the choice of the indexer; empty without one."""
        if self.indexer is None:
            return ""
        who = "an earlier layer" if self.indexer.is_shared else "an indexer"
        return f" ({who} chooses {self.indexer.top_k:,} {what})"

    @property
    def view_tokens(self) -> int:
        """Maximum number of tokens that a query reads, see `AttentionLayers`."""
        return self.indexer.top_k if self.indexer is not None else 0

    def index_values(self, ranks: int = 1) -> float:
        """Return the number of values of a token's index key, which every device holds."""
        return float(self.indexer.key_values) if self.indexer is not None else 0.0

    def read_values(self, ranks: int = 1) -> PerKey:
        """Return the number of cached values that a decoding query reads per key."""
        values = self.growing_values(ranks)
        return PerKey(values) if self.indexer is None else PerKey(limited=values)
