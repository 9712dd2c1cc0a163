"""AttentionLayers: what every kind of attention or state layer tells of its cost."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

from cluster_sim.schema import Description
from cluster_sim.typing import Count


class PerKey(NamedTuple):
    """An amount per key that a query meets: FLOP, or values that are read."""

    context: float = 0.0
    """Amount per key of the whole context."""
    limited: float = 0.0
    """Amount per key of the limited view, which is the window, the chunk or the chosen tokens."""


class HeadShape(NamedTuple):
    """Heads of an attention kernel on one device."""

    heads: float
    """Number of query heads."""
    kv_heads: float
    """Number of key and value heads."""
    width: int
    """Mean width of a head's key and value."""


class StateShape(NamedTuple):
    """State of one layer on one device."""

    heads: float
    """Number of heads, each with a matrix of its own."""
    key_dim: int
    """Width of a key; of Mamba-2, the state per channel."""
    value_dim: int
    """Width of a value; of Mamba-2, the width of a head."""
    channels: float
    """Number of channels of the convolution."""
    value_bytes: int
    """Size of one value [B]."""
    is_delta: bool
    """Whether the state follows the delta rule."""


class MatrixShape(NamedTuple):
    """Weights of one product."""

    outputs: float
    inputs: float


class AttentionLayers(Description):
    """Layers of one kind. Every figure is that of one of them.

    `ranks` is the number of devices that share the layer (tensor parallelism). Figures that take it
    are those of one device.
    """

    words: ClassVar[str]
    """What the kind is called in tables and messages."""

    kind: str
    """Kind of the layers."""
    layers: Count
    """Number of layers of this kind."""

    @property
    def view_tokens(self) -> int:
        """Most tokens that a query reads in its limited view; 0 where it has none."""
        return 0

    @property
    def is_chunked(self) -> bool:
        """Whether the limited view begins anew with each chunk instead of moving along."""
        return False

    @property
    def window_tokens(self) -> int:
        """Number of latest tokens whose window cache is kept; 0 where there is no such cache."""
        return 0

    @property
    def is_idle(self) -> bool:
        """Whether text passes the layers by."""
        return False

    def fault_of_ranks(self, ranks: int) -> str | None:
        """Return why `ranks` devices cannot share a layer, with a place for the model's name."""
        return None

    @property
    def is_chosen(self) -> bool:
        """Whether an indexer chooses what a query reads, its own or that of an earlier layer."""
        return False

    # Weights

    @abstractmethod
    def parameters(self, hidden: int) -> int:
        """Return the number of weights beside a hidden state of this width, biases left out."""

    def copied_parameters(self, hidden: int) -> int:
        """Return the number of those weights that every tensor-parallel device holds."""
        return 0

    @abstractmethod
    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices that every token is multiplied with on one device."""

    @abstractmethod
    def rotary_width(self, ranks: int) -> float:
        """Return the number of values of a token that element-wise operations pass."""

    # Cache

    def growing_values(self, ranks: int = 1) -> float:
        """Return the values per token of the cache that holds the whole context."""
        return 0.0

    def index_values(self, ranks: int = 1) -> float:
        """Return the values per token of the index keys, which hold the whole context too."""
        return 0.0

    def window_values(self, ranks: int = 1) -> float:
        """Return the values per token of the cache that holds the last `window_tokens` only."""
        return 0.0

    def state_bytes(self, ranks: int = 1) -> float:
        """Return the state of a sequence, which does not grow with its length [B]."""
        return 0.0

    def read_values(self, ranks: int = 1) -> PerKey:
        """Return the cached values that a decoding query reads, index keys left out."""
        return PerKey()

    def sequence_values(self, ranks: int = 1) -> float:
        """Return the cached values that a decoding sequence reads whatever its length."""
        return 0.0

    # Kernels

    @property
    def label(self) -> str:
        """Words for the kind of layers in tables and messages."""
        return f"sparse {self.words}" if self.is_chosen else self.words

    @property
    def summary(self) -> str:
        """Words for these layers behind their number, with their sizes."""
        return self.words

    def fit_name(self, kv_cache: str) -> tuple[str, str] | None:
        """Return (table, name) of the measured kernels that these layers need beside plain ones.

        It is None where the kernels of plain attention do; `kv_cache` is the precision of the KV
        cache.
        """
        return ("sparse", f"{self.kind}_{kv_cache}") if self.is_chosen else None

    @property
    def is_latent(self) -> bool:
        """Whether all heads share the latent vector of a token."""
        return False

    def decode_heads(self, ranks: int) -> HeadShape | None:
        """Return the heads of decode attention on one device; None for a state."""
        return None

    def prefill_heads(self, ranks: int) -> HeadShape | None:
        """Return the heads of prefill attention on one device; None for a state."""
        return self.decode_heads(ranks)

    def state_shape(self, ranks: int) -> StateShape | None:
        """Return the state whose prompts are scanned by chunks; None where there is none."""
        return None

    # Arithmetic over all heads, on all devices

    @property
    def decode_flop(self) -> PerKey:
        """Arithmetic of one decoding query [FLOP per key]."""
        return PerKey()

    @property
    def prefill_flop(self) -> PerKey:
        """Arithmetic of one pair of query and key in prefill [FLOP per pair]."""
        return PerKey()

    @property
    def dense_flop(self) -> float:
        """Arithmetic of one pair in prefill where all keys are read in place of chosen ones [FLOP]."""
        return self.prefill_flop.limited

    @property
    def token_flop(self) -> float:
        """Arithmetic of one token beside its products, whatever the length [FLOP]."""
        return 0.0


def heads_fault(ranks: int, heads: int, what: str = "heads") -> str | None:
    """Return the fault where `ranks` devices do not share heads evenly."""
    if heads % ranks == 0:
        return None
    divisors = [str(number) for number in range(1, heads + 1) if heads % number == 0]
    return (
        f"{ranks} does not divide the {heads} {what} of {{}}; expected one of {', '.join(divisors)}"
    )


def split(heads: int, ranks: int) -> float:
    """Return the heads of one of `ranks` devices; heads are copied where there are too few.

    >>> split(8, 4), split(2, 8)
    (2.0, 1.0)
    """
    return max(heads / ranks, 1.0)
