"""Layers that consist of a short convolution."""

from __future__ import annotations

from typing import ClassVar, Literal

from cluster_sim.llm.layers.kind import MatrixShape
from cluster_sim.llm.layers.state import StateLayers
from cluster_sim.typing import Count


class ConvolutionLayers(StateLayers):
    """Short convolution between two gates (LFM2, Liquid AI, 2025)."""

    words: ClassVar[str] = "short convolution"
    kind: Literal["convolution"] = "convolution"
    channels: Count
    """Number of channels."""

    @property
    def state_values(self) -> int:
        """Number of values of a recurrent state: 0."""
        return 0

    @property
    def state_heads(self) -> int:
        """Number of channels."""
        return self.channels

    @property
    def convolution_channels(self) -> int:
        """Number of channels."""
        return self.channels

    def parameters(self, hidden: int) -> int:
        """Return the number of weights of both gates and the input, convolution, and output."""
        return 4 * hidden * self.channels + self.channels * self.convolution

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device: gates and input in one, output."""
        channels = self.channels / ranks
        return [MatrixShape(3 * channels, hidden), MatrixShape(hidden, channels)]

    def rotary_width(self, ranks: int) -> float:
        """Return the number of values of both gates and the input on one device."""
        return 3.0 * self.channels / ranks

    @property
    def token_flop(self) -> float:
        """Arithmetic of one token [FLOP]: multiply-add per token of the span, and both gates."""
        return self.channels * (2.0 * self.convolution + 2.0)
