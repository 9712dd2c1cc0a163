"""Layers that only attend to an image or to another text; text without it skips them."""

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
        """Description of these layers, see `AttentionLayers`."""
        return "only for images"

    @property
    def is_idle(self) -> bool:
        """Whether text skips the layers: always true."""
        return True

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return no matrices: text without images skips the layers."""
        return []

    def decode_heads(self, ranks: int) -> HeadShape | None:
        """Return None: text without images skips the layers."""
        return None

    def rotary_width(self, ranks: int) -> float:
        """Return 0: text without images skips the layers."""
        return 0.0
