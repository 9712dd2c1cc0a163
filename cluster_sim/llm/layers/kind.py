"""AttentionLayers: costs of a kind of attention or state layers."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

from cluster_sim.schema import Description
from cluster_sim.typing import Count


class PerKey(NamedTuple):
    """Amount per key that a query sees: FLOP, or values that it reads."""

    context: float = 0.0
    """Amount per key of the whole context."""
    limited: float = 0.0
    """Amount per key of the limited view: the window, the chunk or the chosen tokens."""


class HeadShape(NamedTuple):
    """Heads of an attention kernel on one device."""

    heads: float
    """Number of query heads."""
    kv_heads: float
    """Number of key and value heads."""
    width: int
    """Mean width of a head's key and value."""


class LatentHeads(NamedTuple):
    """Latent attention on one device: its heads, and numbers of values of a token."""

    heads: float
    """Number of query heads."""
    latent: int
    """Width of the cached vector."""
    rank: int
    """Width of its part without the rotary embedding."""
    nope: int
    """Width of a head's key without the rotary embedding."""
    value: int
    """Width of a head's value."""

    @property
    def expanded(self) -> int:
        """Width of a head's whole key and value."""
        return self.nope + self.latent - self.rank + self.value

    @property
    def absorbed(self) -> list[MatrixShape]:
        """Projections up to keys and values, which decode applies to queries and outputs."""
        keys = MatrixShape(self.heads * self.rank, self.nope)
        return [keys, MatrixShape(self.heads * self.value, self.rank)]


class StateShape(NamedTuple):
    """State of one layer on one device."""

    heads: float
    """Number of heads; each head has one matrix."""
    key_dim: int
    """Width of a key; for Mamba-2, the size of the state per channel."""
    value_dim: int
    """Width of a value; for Mamba-2, the width of a head."""
    channels: float
    """Number of channels of the convolution."""
    value_bytes: int
    """Size of one value of the state [B]."""
    is_delta: bool
    """Whether the state follows the delta rule."""


class MatrixShape(NamedTuple):
    """Shape of the weights of one product."""

    outputs: float
    inputs: float


class AttentionLayers(Description):
    """Layers of one kind. Every property describes one of the layers.

    `ranks` is the number of devices that share a layer (tensor parallelism). Results of methods
    with this parameter are those of one device.
    """

    words: ClassVar[str]
    """Name of the kind in tables and messages."""

    kind: str
    """Kind of the layers."""
    layers: Count
    """Number of layers of this kind."""

    @property
    def view_tokens(self) -> int:
        """Maximum number of tokens in the limited view of a query; 0 without a limited view."""
        return 0

    @property
    def is_chunked(self) -> bool:
        """Whether the limited view restarts with each chunk instead of moving along."""
        return False

    @property
    def window_tokens(self) -> int:
        """Number of latest tokens in the window cache; 0 without such a cache."""
        return 0

    @property
    def is_idle(self) -> bool:
        """Whether text skips the layers."""
        return False

    def fault_of_ranks(self, ranks: int) -> str | None:
        """Return why `ranks` devices cannot share a layer; {} stands for the model's name."""
        return None

    @property
    def is_chosen(self) -> bool:
        """Whether an indexer of this or an earlier layer chooses the tokens that a query reads."""
        return False

    # Weights

    @abstractmethod
    def parameters(self, hidden: int) -> int:
        """Return the number of weights, without biases, for a hidden state of width `hidden`."""

    def copied_parameters(self, hidden: int) -> int:
        """Return the number of weights that every tensor-parallel device holds."""
        return 0

    @abstractmethod
    def products(self, hidden: int, ranks: int) -> list[MatrixShape]:
        """Return the matrices with which every token is multiplied on one device."""

    @abstractmethod
    def rotary_width(self, ranks: int) -> float:
        """Return the number of values of a token that pass element-wise operations."""

    # Cache

    @property
    def cache_parts(self) -> int:
        """Number of parts into which tensor-parallel devices can split cache and state."""
        return 1

    def growing_values(self, ranks: int = 1) -> float:
        """Return the number of values per token in the cache of the whole context."""
        return 0.0

    def index_values(self, ranks: int = 1) -> float:
        """Return the number of values of index keys per token of the whole context."""
        return 0.0

    def window_values(self, ranks: int = 1) -> float:
        """Return the number of values per token in the cache of the last `window_tokens`."""
        return 0.0

    def state_bytes(self, ranks: int = 1) -> float:
        """Return the size of the state of one sequence, which does not grow with its length [B]."""
        return 0.0

    def read_values(self, ranks: int = 1) -> PerKey:
        """Return the number of cached values that a query reads per key, without index keys."""
        return PerKey()

    def sequence_values(self, ranks: int = 1) -> float:
        """Return the number of cached values that a query reads independently of the context."""
        return 0.0

    # Kernels

    @property
    def label(self) -> str:
        """Name of the kind of layers in tables and messages."""
        return f"sparse {self.words}" if self.is_chosen else self.words

    @property
    def summary(self) -> str:
        """Description of these layers with their sizes, to follow their number."""
        return self.words

    def fit_name(self, kv_cache: str) -> tuple[str, str] | None:
        """Return (table, name) of the special measured kernels that these layers need.

        It is None if kernels of plain attention are enough. `kv_cache` is the precision of the KV
        cache.
        """
        return ("sparse", f"{self.kind}_{kv_cache}") if self.is_chosen else None

    @property
    def is_latent(self) -> bool:
        """Whether all heads share the latent vector of a token."""
        return False

    def latent_heads(self, ranks: int) -> LatentHeads | None:
        """Return the heads of plain latent attention on one device; None for other attention."""
        return None

    def decode_heads(self, ranks: int) -> HeadShape | None:
        """Return the heads of decode attention on one device; None for a state."""
        return None

    def prefill_heads(self, ranks: int) -> HeadShape | None:
        """Return the heads of prefill attention on one device; None for a state."""
        return self.decode_heads(ranks)

    def state_shape(self, ranks: int) -> StateShape | None:
        """Return the state, whose prompts are scanned in chunks; None without such a state."""
        return None

    # Arithmetic over all heads, on all devices

    @property
    def decode_flop(self) -> PerKey:
        """Arithmetic of one decoding query per key [FLOP]."""
        return PerKey()

    @property
    def prefill_flop(self) -> PerKey:
        """Arithmetic of one (query, key) pair in prefill [FLOP]."""
        return PerKey()

    @property
    def dense_flop(self) -> float:
        """Arithmetic of one pair in prefill that reads all keys instead of chosen ones [FLOP]."""
        return self.prefill_flop.limited

    @property
    def token_flop(self) -> float:
        """Arithmetic per token in addition to products, independent of the context [FLOP]."""
        return 0.0


def heads_fault(ranks: int, heads: int, what: str = "heads") -> str | None:
    """Return the fault if `ranks` devices cannot share the heads evenly; None otherwise."""
    if heads % ranks == 0:
        return None
    divisors = ", ".join(str(number) for number in range(1, heads + 1) if heads % number == 0)
    return f"{ranks} does not divide the {heads} {what} of {{}}; expected one of {divisors}"


def split(heads: int, ranks: int) -> float:
    """Return the number of heads per device; devices replicate heads if there are too few.

    >>> split(8, 4), split(2, 8)
    (2.0, 1.0)
    """
    return max(heads / ranks, 1.0)
