"""Selective state spaces: Mamba-1 and Mamba-2."""

from __future__ import annotations

from typing import ClassVar, Literal

from cluster_sim.llm.layers.kind import MatrixShape, StateShape
from cluster_sim.llm.layers.state import STATE_BYTES, StateLayers
from cluster_sim.typing import Count


class Mamba2Layers(StateLayers):
    """Mamba-2 (arXiv 2405.21060)."""

    words: ClassVar[str] = "Mamba-2"
    kind: Literal["mamba2"] = "mamba2"
    heads: Count
    """Number of heads."""
    head_dim: Count
    """Width of a head."""
    groups: Count = 1
    """Number of groups of heads that share B and C."""
    state: Count
    """Size of the state per channel."""

    @property
    def inner(self) -> int:
        """Sum of the widths of all heads."""
        return self.heads * self.head_dim

    @property
    def state_values(self) -> int:
        """Number of values of the state of all channels."""
        return self.inner * self.state

    @property
    def state_heads(self) -> int:
        """Number of heads."""
        return self.heads

    @property
    def convolution_channels(self) -> int:
        """Number of values of x, B and C."""
        return self.inner + 2 * self.groups * self.state

    def parameters(self, hidden: int) -> int:
        """Return the number of weights: projections, convolution with bias, norm, A, D and steps."""
        into = self.inner + self.convolution_channels + self.heads
        small = self.convolution_channels * (self.convolution + 1) + self.inner + 3 * self.heads
        return hidden * (into + self.inner) + small

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device; devices replicate groups if there are too few."""
        inner, groups = self.inner / ranks, max(self.groups / ranks, 1.0)
        into = 2 * inner + 2 * groups * self.state + self.heads / ranks
        return [MatrixShape(into, hidden), MatrixShape(hidden, inner)]

    def rotary_width(self, ranks: int) -> float:
        """Return the number of values of x, B, C and gate on one device."""
        return (self.convolution_channels + self.inner) / ranks

    def state_shape(self, ranks: int) -> StateShape | None:
        """Return the state of one device, see `AttentionLayers`."""
        return StateShape(
            self.heads / ranks,
            self.state,
            self.head_dim,
            self.convolution_channels / ranks,
            STATE_BYTES[self.state_precision],
            is_delta=False,
        )

    @property
    def token_flop(self) -> float:
        """Arithmetic of one token with the state [FLOP].

        Decay, input, and the sum with C take 2 + 2 + 1 FLOP per value (arXiv 2405.21060, section
        2).
        """
        return 5.0 * self.state_values


class MambaLayers(StateLayers):
    """Mamba-1 (arXiv 2312.00752), as in Jamba."""

    words: ClassVar[str] = "Mamba-1"
    kind: Literal["mamba"] = "mamba"
    inner: Count
    """Number of channels."""
    state: Count
    """Size of the state per channel."""
    step_rank: Count
    """Rank of the projection of the step size."""

    @property
    def state_values(self) -> int:
        """Number of values of the state of all channels."""
        return self.inner * self.state

    @property
    def state_heads(self) -> int:
        """Number of channels."""
        return self.inner

    @property
    def convolution_channels(self) -> int:
        """Number of channels."""
        return self.inner

    def parameters(self, hidden: int) -> int:
        """Return the number of weights: projections, convolution with bias, A, D and steps."""
        shapes = self.products(hidden, 1)
        small = self.inner * (self.convolution + 1 + self.state + 2)
        return int(sum(shape.outputs * shape.inputs for shape in shapes)) + small

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device: input; step, B and C; step size; output."""
        inner = self.inner / ranks
        return [
            MatrixShape(2 * inner, hidden),
            MatrixShape(self.step_rank + 2 * self.state, inner),
            MatrixShape(inner, self.step_rank),
            MatrixShape(hidden, inner),
        ]

    def rotary_width(self, ranks: int) -> float:
        """Return the number of values of x and gate on one device."""
        return 2.0 * self.inner / ranks

    @property
    def token_flop(self) -> float:
        """Arithmetic of one token with the state [FLOP].

        Discretisation of A and B, decay, input and the sum with C take 9 FLOP per value (arXiv
        2312.00752, section 3.3 and appendix C).
        """
        return 9.0 * self.state_values
