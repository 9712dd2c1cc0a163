"""Layers that keep a state of fixed size per sequence in place of keys and values."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from cluster_sim.llm.layers.kind import AttentionLayers, MatrixShape, StateShape, heads_fault
from cluster_sim.typing import Count, CountOrZero

STATE_BYTES = {"fp32": 4, "bf16": 2}
"""Size of one value of a recurrent state [B]."""
CONVOLUTION_BYTES = 2
"""Size of one value of a convolution's state [B]: engines keep it in 16 bit."""


class StateLayers(AttentionLayers):
    """Layers with a recurrent state, and a short convolution before it.

    A decoding token reads and writes the whole state. A prompt passes in chunks, and writes the
    state once per chunk of the engine.
    """

    state_precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the recurrent state."""
    convolution: CountOrZero = 4
    """Number of tokens that the convolution spans; 0 where there is none."""

    @property
    @abstractmethod
    def state_values(self) -> int:
        """Number of values of the recurrent state of one sequence."""

    @property
    @abstractmethod
    def convolution_channels(self) -> int:
        """Number of channels of the convolution."""

    @property
    def convolution_values(self) -> int:
        """Number of values that the convolution keeps of one sequence."""
        return self.convolution_channels * max(self.convolution - 1, 0)

    @property
    @abstractmethod
    def state_heads(self) -> int:
        """Number of heads, or channels, that tensor-parallel devices share the state by."""

    def fit_name(self, kv_cache: str) -> tuple[str, str] | None:
        """Return the name of the measured kernels, that of the kind."""
        return "linear", self.kind

    def fault_of_ranks(self, ranks: int) -> str | None:
        """Return why the heads of the state cannot be shared, see `AttentionLayers`."""
        return heads_fault(ranks, self.state_heads, "state heads")

    def state_bytes(self, ranks: int = 1) -> float:
        """Return the recurrent state and the convolution's of one sequence [B]."""
        size = self.state_values * STATE_BYTES[self.state_precision]
        return (size + self.convolution_values * CONVOLUTION_BYTES) / ranks


class DeltaLayers(StateLayers):
    """Layers whose state is one matrix of key by value width per value head."""

    key_heads: Count
    """Number of key heads."""
    value_heads: Count
    """Number of value heads."""
    key_dim: Count
    """Width of a key."""
    value_dim: Count
    """Width of a value."""

    def fault_of_ranks(self, ranks: int) -> str | None:
        """Return why the heads of keys or of values cannot be shared, see `AttentionLayers`."""
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
        """Return the values of queries, keys, values and gate of one device."""
        return (self.convolution_channels + self.value_heads * self.value_dim) / ranks

    @property
    def token_flop(self) -> float:
        """Arithmetic of one token with the state [FLOP].

        Decay, product with the key, update of rank one and product with the query: 1 + 2 + 2 + 2
        per value of the state (Gated DeltaNet, arXiv 2412.06464, equation 10).
        """
        return 7.0 * self.state_values

    def state_shape(self, ranks: int) -> StateShape | None:
        """Return the matrices of one device, see `AttentionLayers`."""
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
        """Return the matrices of one device: q, k, v and gate, decay and step size, output."""
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
    """Rank of the projection of the decay; 0: full rank."""
    output_gate_rank: CountOrZero = 128
    """Rank of the projection of the output gate; 0: full rank."""

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
        """Width of all heads together."""
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
        """Return the matrices of one device; groups are copied where there are too few."""
        inner, groups = self.inner / ranks, max(self.groups / ranks, 1.0)
        into = 2 * inner + 2 * groups * self.state + self.heads / ranks
        return [MatrixShape(into, hidden), MatrixShape(hidden, inner)]

    def rotary_width(self, ranks: int) -> float:
        """Return the values of x, B, C and gate of one device."""
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

        Decay and input, then the sum with C: 2 + 2 + 1 per value (arXiv 2405.21060, section 2).
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
        """Return the matrices of one device: into, to step, B and C, to the step, out."""
        inner = self.inner / ranks
        return [
            MatrixShape(2 * inner, hidden),
            MatrixShape(self.step_rank + 2 * self.state, inner),
            MatrixShape(inner, self.step_rank),
            MatrixShape(hidden, inner),
        ]

    def rotary_width(self, ranks: int) -> float:
        """Return the values of x and gate of one device."""
        return 2.0 * self.inner / ranks

    @property
    def token_flop(self) -> float:
        """Arithmetic of one token with the state [FLOP].

        Discretisation of A and B, decay, input and the sum with C: 9 per value (arXiv 2312.00752,
        section 3.3 and appendix C).
        """
        return 9.0 * self.state_values


class LightningLayers(StateLayers):
    """Lightning attention (arXiv 2405.17381), as in MiniMax-Text-01: linear attention with decay."""

    words: ClassVar[str] = "lightning attention"
    kind: Literal["lightning"] = "lightning"
    heads: Count
    """Number of heads."""
    head_dim: Count
    """Width of a head."""
    convolution: CountOrZero = 0
    """Number of tokens that a convolution spans; lightning attention has none."""

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
        """Number of channels of the convolution: none."""
        return 0

    def parameters(self, hidden: int) -> int:
        """Return the number of weights of queries, keys, values, output gate and output."""
        return 5 * hidden * self.heads * self.head_dim

    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices of one device: q, k and v, gate, output."""
        width = self.heads * self.head_dim / ranks
        return [
            MatrixShape(3 * width, hidden),
            MatrixShape(width, hidden),
            MatrixShape(hidden, width),
        ]

    def rotary_width(self, ranks: int) -> float:
        """Return the values of queries, keys, values and gate of one device."""
        return 4.0 * self.heads * self.head_dim / ranks

    def state_shape(self, ranks: int) -> StateShape | None:
        """Return the matrices of one device, see `AttentionLayers`."""
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
        """Arithmetic of one token with the state: decay and update 1 + 2, product 2 per value."""
        return 5.0 * self.state_values


def _low_rank(rank: int, width: float, hidden: int) -> list[MatrixShape]:
    """Return a projection to `width`, through `rank` where that is not 0."""
    if not rank:
        return [MatrixShape(width, hidden)]
    return [MatrixShape(rank, hidden), MatrixShape(width, rank)]
