"""Layers that keep a state of fixed size per sequence instead of keys and values."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from cluster_sim.llm.layers.kind import AttentionLayers, heads_fault
from cluster_sim.typing import CountOrZero

STATE_BYTES = {"fp32": 4, "bf16": 2}
"""Size of one value of a recurrent state [B]."""
CONVOLUTION_BYTES = 2
"""Size of one value of a convolution's state [B]; engines use 16 bit."""


class StateLayers(AttentionLayers):
    """Layers with a recurrent state, and a short convolution before it.

    A decoding token reads and writes the whole state. Prefill runs in chunks and writes the state
    once per chunk of the engine.
    """

    state_precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the recurrent state."""
    convolution: CountOrZero = 4
    """Number of tokens that the convolution spans. 0 means no convolution."""

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
        """Number of values that the convolution keeps per sequence."""
        return self.convolution_channels * max(self.convolution - 1, 0)

    @property
    @abstractmethod
    def state_heads(self) -> int:
        """Number of heads or channels by which tensor-parallel devices share the state."""

    def fit_name(self, kv_cache: str) -> tuple[str, str] | None:
        """Return the name of the measured kernels, which is the kind."""
        return "linear", self.kind

    def fault_of_ranks(self, ranks: int) -> str | None:
        """Return why the heads of the state cannot be shared evenly, see `AttentionLayers`."""
        return heads_fault(ranks, self.state_heads, "state heads")

    @property
    def cache_parts(self) -> int:
        """Number of heads or channels of the state."""
        return self.state_heads

    def state_bytes(self, ranks: int = 1) -> float:
        """Return the size of the recurrent and the convolution's state per sequence [B]."""
        size = self.state_values * STATE_BYTES[self.state_precision]
        return (size + self.convolution_values * CONVOLUTION_BYTES) / ranks
