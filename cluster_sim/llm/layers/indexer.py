"""Indexer: choice of the tokens that a query of sparse attention reads."""

from __future__ import annotations

from cluster_sim.llm.layers.kind import MatrixShape
from cluster_sim.schema import Description
from cluster_sim.typing import Count, CountOrZero


class Indexer(Description):
    """A small attention over all index keys that selects the tokens which a query reads.

    DeepSeek-V3.2 (DeepSeek Sparse Attention, 2025): the scores of all index heads are summed with
    weights that depend on the query, and the query reads the `top_k` tokens with the highest
    scores.
    """

    top_k: Count
    """Maximum number of tokens that a query reads."""
    heads: CountOrZero = 0
    """Number of index heads. 0 means that the layer reuses the tokens that an earlier layer
    selected."""
    head_dim: CountOrZero = 0
    """Width of an index head, and of the single index key per token."""
    head_weights: bool = True
    """Whether each query has its own weights of the index heads."""

    @property
    def is_shared(self) -> bool:
        """Whether an earlier layer chooses the tokens; these layers then have no index keys."""
        return not self.heads

    def shapes(self, hidden: int, query_width: int) -> list[MatrixShape]:
        """Return the matrices of index queries, index keys and weights of heads.

        Every tensor-parallel device holds all of them. `query_width` is the width of the vector
        from which index queries are projected.
        """
        if self.is_shared:
            return []
        shapes = [
            MatrixShape(self.heads * self.head_dim, query_width),
            MatrixShape(self.head_dim, hidden),
        ]
        return [*shapes, MatrixShape(self.heads, hidden)] if self.head_weights else shapes

    def parameters(self, hidden: int, query_width: int) -> int:
        """Return the number of weights of the matrices in `shapes`."""
        return int(sum(shape.outputs * shape.inputs for shape in self.shapes(hidden, query_width)))

    @property
    def key_values(self) -> int:
        """Number of values of one token's index key."""
        return 0 if self.is_shared else self.head_dim

    @property
    def key_flop(self) -> float:
        """Arithmetic of one query with one index key, over all index heads [FLOP]."""
        return 2.0 * self.heads * self.head_dim
