"""Layers that follow the delta rule: Gated DeltaNet and Kimi Delta Attention."""

from __future__ import annotations

from typing import ClassVar, Literal

from cluster_sim.llm.layers.kind import MatrixShape, StateShape, heads_fault
from cluster_sim.llm.layers.state import STATE_BYTES, StateLayers
from cluster_sim.typing import Count, CountOrZero


class DeltaLayers(StateLayers):
    """Layers whose state is one matrix of key width by value width per value head."""

    key_heads: Count
    """Number of key heads."""
    value_heads: Count
    """Number of value heads."""
    key_dim: Count
    """Width of a key."""
    value_dim: Count
    """Width of a value."""

    def fault_of_ranks(self, ranks: int) -> str | None:
        """Return why the heads of keys or values cannot be shared evenly, see `AttentionLayers`."""
        return heads_fault(ranks, self.key_heads, "key heads") or super().fault_of_ranks(ranks)

    @property
    def state_values(self) -> int:
        """Number of values of the matrices of all value heads."""
        return self.value_heads * self.key_dim * self.value_dim

    @property
    def state_heads(self) -> int:
        """Number of value heads."""
        return self.value_heads

    @property
    def convolution_channels(self) -> int:
        """Number of values of queries, keys and values."""
        return 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim

    def rotary_width(self, ranks: int) -> float:
        """Return the number of values of queries, keys, values and gate on one device."""
        return (self.convolution_channels + self.value_heads * self.value_dim) / ranks

    @property
    def token_flop(self) -> float:
        """Arithmetic of one token with the state [FLOP].

        Decay, product with the key, update of rank one and product with the query take 1 + 2 + 2 +
        2 FLOP per value of the state. Source: Gated DeltaNet, arXiv 2412.06464, equation 10.
        """
        return 7.0 * self.state_values

    def state_shape(self, ranks: int) -> StateShape | None:
        """Return the state of one device, see `AttentionLayers`."""
        return StateShape(
            self.value_heads / ranks,
            self.key_dim,
            self.value_dim,
            self.convolution_channels / ranks,
            STATE_BYTES[self.state_precision],
            is_delta=True,
        )


class GatedDeltaNetLayers(DeltaLayers):
    """Gated DeltaNet (arXiv 2412.06464), as in Qwen3-Next and Qwen3.5."""

    words: ClassVar[str] = "Gated DeltaNet"
    kind: Literal["gated_delta_net"] = "gated_delta_net"

    def parameters(self, hidden: int) -> int:
        """Return the number of weights, see `AttentionLayers`."""
        shapes = self.products(hidden, 1)
        small = self.convolution_channels * self.convolution + 2 * self.value_heads
        return int(sum(shape.outputs * shape.inputs for shape in shapes)) + small

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device: q, k, v and gate; decay and step size; output."""
        values = self.value_heads * self.value_dim / ranks
        inner = 2 * self.key_heads * self.key_dim / ranks + 2 * values
        return [
            MatrixShape(inner, hidden),
            MatrixShape(2 * self.value_heads / ranks, hidden),
            MatrixShape(hidden, values),
        ]


class KimiDeltaLayers(DeltaLayers):
    """Kimi Delta Attention (arXiv 2510.26692): a decay per channel of the key."""

    words: ClassVar[str] = "Kimi Delta Attention"
    kind: Literal["kda"] = "kda"
    gate_rank: CountOrZero = 128
    """Rank of the projection of the decay. 0 means full rank."""
    output_gate_rank: CountOrZero = 128
    """Rank of the projection of the output gate. 0 means full rank."""

    def parameters(self, hidden: int) -> int:
        """Return the number of weights, see `AttentionLayers`."""
        shapes = self.products(hidden, 1)
        small = self.convolution_channels * self.convolution + self.key_heads * self.key_dim
        return int(sum(shape.outputs * shape.inputs for shape in shapes)) + small

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device: q, k, v, decay, step size, output gate, output."""
        keys = self.key_heads * self.key_dim / ranks
        values = self.value_heads * self.value_dim / ranks
        gates = [
            shape
            for rank, width in ((self.gate_rank, keys), (self.output_gate_rank, values))
            for shape in _low_rank(rank, width, hidden)
        ]
        return [
            MatrixShape(2 * keys + values, hidden),
            *gates,
            MatrixShape(self.value_heads / ranks, hidden),
            MatrixShape(hidden, values),
        ]


def _low_rank(rank: int, width: float, hidden: int) -> list[MatrixShape]:
    """Return the matrices of a projection to `width`, through `rank` unless that is 0."""
    if not rank:
        return [MatrixShape(width, hidden)]
    return [MatrixShape(rank, hidden), MatrixShape(width, rank)]
