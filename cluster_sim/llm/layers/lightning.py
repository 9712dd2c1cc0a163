"""Lightning attention (arXiv 2405.17381): linear attention with decay."""

from __future__ import annotations

from typing import ClassVar, Literal

from cluster_sim.llm.layers.kind import MatrixShape, StateShape
from cluster_sim.llm.layers.state import STATE_BYTES, StateLayers
from cluster_sim.typing import Count, CountOrZero


class LightningLayers(StateLayers):
    """Lightning attention (arXiv 2405.17381), as in MiniMax-Text-01: linear attention with decay."""

    words: ClassVar[str] = "lightning attention"
    kind: Literal["lightning"] = "lightning"
    heads: Count
    """Number of heads."""
    head_dim: Count
    """Width of a head."""
    convolution: CountOrZero = 0
    """Number of tokens that a convolution spans. It is 0: lightning attention has no
    convolution."""

    @property
    def state_values(self) -> int:
        """Number of values of the matrices of all heads."""
        return self.heads * self.head_dim * self.head_dim

    @property
    def state_heads(self) -> int:
        """Number of heads."""
        return self.heads

    @property
    def convolution_channels(self) -> int:
        """Number of channels of the convolution: 0."""
        return 0

    def parameters(self, hidden: int) -> int:
        """Return the number of weights of queries, keys, values, output gate and output."""
        return 5 * hidden * self.heads * self.head_dim

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device: q, k and v; gate; output."""
        width = self.heads * self.head_dim / ranks
        return [
            MatrixShape(3 * width, hidden),
            MatrixShape(width, hidden),
            MatrixShape(hidden, width),
        ]

    def rotary_width(self, ranks: int) -> float:
        """Return the number of values of queries, keys, values and gate on one device."""
        return 4.0 * self.heads * self.head_dim / ranks

    def state_shape(self, ranks: int) -> StateShape | None:
        """Return the state of one device, see `AttentionLayers`."""
        return StateShape(
            self.heads / ranks,
            self.head_dim,
            self.head_dim,
            0.0,
            STATE_BYTES[self.state_precision],
            is_delta=False,
        )

    @property
    def token_flop(self) -> float:
        """Arithmetic of one token with the state [FLOP]: 1 + 2 + 2 per value.

        Decay and update take 1 + 2, the product with the query takes 2.
        """
        return 5.0 * self.state_values
