"""Layers that attend to an image or another text alone: text without it passes them by."""

from __future__ import annotations

from typing import ClassVar, Literal

from cluster_sim.llm.layers.heads import HeadLayers
from cluster_sim.llm.layers.kind import HeadShape, MatrixShape


class CrossLayers(HeadLayers):
    """Cross-attention (Llama 3.2 Vision). Its weights are stored, but text passes it unchanged."""

    words: ClassVar[str] = "cross-attention"
    kind: Literal["cross"] = "cross"

    @property
    def summary(self) -> str:
        """Words for these layers, see `AttentionLayers`."""
        return "for images alone"

    @property
    def is_idle(self) -> bool:
        """Always true: text without images passes the layers by."""
        return True

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return no matrices: text without images is not multiplied with them."""
        return []

    def decode_heads(self, ranks: int) -> HeadShape | None:
        """Return None: text without images passes no such attention."""
        return None

    def rotary_width(self, ranks: int) -> float:
        """Return no values, see `products`."""
        return 0.0
