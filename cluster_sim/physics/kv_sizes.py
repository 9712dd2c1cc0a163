"""Sizes of the KV cache and of states, and the bytes of them that a step moves.

Models may have layers of several kinds (`llm.layers`). `ranks` is the number of tensor-parallel
devices that share each layer.
"""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.typing import Number

KV_BYTES: dict[Precision, float] = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.5 + 1 / 16}
"""Stored bytes per value of the KV cache [B]; fp4 includes its block scales, as for weights."""


INDEX_BYTES = 1 + 4 / 128
"""Stored bytes per value of an index key [B]: engines use 8 bit with a 32-bit scale per 128 values
(vLLM and SGLang for DeepSeek-V3.2: 132 bytes per token and layer)."""


def cache_bytes(values: float, index_values: float, precision: Precision) -> float:
    """Return the size of cached values and of index keys [B]."""
    return values * KV_BYTES[precision] + index_values * INDEX_BYTES


def growing_kv_bytes(model: Model, precision: Precision, ranks: int = 1) -> float:
    """Return the KV cache per token in layers that see the whole context, index keys included [B].

    It counts all layers on one of `ranks` tensor-parallel devices. The devices share the heads, and
    replicate them if there are fewer heads than devices. Every device keeps all latent vectors and
    index keys.

    Parameters
    ----------
    model
        Shape of the model.
    precision
        Precision of the KV cache.
    ranks
        Number of tensor-parallel devices.

    Returns
    -------
    float
        Size [B].

    Examples
    --------
    Llama 3.3 70B: 80 layers, keys and values of 8 heads of 128 in 16 bit.

    >>> from cluster_sim.schema import catalog_entry
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))
    >>> growing_kv_bytes(llama, "bf16")  # 80 x 2 x 8 x 128 x 2
    327680.0
    """
    return sum(
        kind.layers * cache_bytes(kind.growing_values(ranks), kind.index_values(ranks), precision)
        for kind in model.attention
    )


def window_kv_bytes(model: Model, precision: Precision, ranks: int = 1) -> float:
    """Return the KV cache per token in the layers that keep only a window or a chunk [B].

    It counts all such layers on one of `ranks` tensor-parallel devices.

    Parameters
    ----------
    model
        Shape of the model.
    precision
        Precision of the KV cache.
    ranks
        Number of tensor-parallel devices.

    Returns
    -------
    float
        Size [B].

    Examples
    --------
    gpt-oss-120b: 18 layers with a window, keys and values of 8 heads of 64 in 16 bit.

    >>> from cluster_sim.schema import catalog_entry
    >>> gpt_oss = Model.model_validate(catalog_entry("models", "gpt-oss-120b"))
    >>> window_kv_bytes(gpt_oss, "bf16")  # 18 x 2 x 8 x 64 x 2
    36864.0
    """
    return sum(
        kind.layers * cache_bytes(kind.window_values(ranks), 0.0, precision)
        for kind in model.attention
    )


def state_bytes(model: Model, ranks: int = 1) -> float:
    """Return the size of the states of one sequence in all layers [B].

    Parameters
    ----------
    model
        Shape of the model.
    ranks
        Number of tensor-parallel devices, which share the states.

    Returns
    -------
    float
        Size on one device [B].

    Examples
    --------
    Qwen3-Next: 36 layers with 32 matrices of 128 x 128 values in 32 bit, and the convolution's three
    tokens of 8,192 channels in 16 bit.

    >>> from cluster_sim.schema import catalog_entry
    >>> qwen3_next = Model.model_validate(catalog_entry("models", "qwen3-next-80b"))
    >>> state_bytes(qwen3_next) == 36 * (32 * 128 * 128 * 4 + 3 * 8192 * 2)
    True
    """
    return sum(kind.layers * kind.state_bytes(ranks) for kind in model.attention)


def sequence_kv_bytes(model: Model, precision: Precision, ranks: int, tokens: int) -> float:
    """Return the cache and the states of a sequence on one device [B].

    Layers with a window keep the last tokens; layers with chunks keep the tokens of the present
    chunk.

    Parameters
    ----------
    model
        Shape of the model.
    precision
        Precision of the KV cache.
    ranks
        Number of tensor-parallel devices.
    tokens
        Number of tokens of the sequence.

    Returns
    -------
    float
        Size [B].

    Examples
    --------
    gpt-oss-120b: 36,864 B per token in layers with full attention, and in layers with a window of 128:

    >>> from cluster_sim.schema import catalog_entry
    >>> gpt_oss = Model.model_validate(catalog_entry("models", "gpt-oss-120b"))
    >>> sequence_kv_bytes(gpt_oss, "bf16", 1, 1000) / 36_864  # 1,000 + 128
    1128.0
    """
    size = growing_kv_bytes(model, precision, ranks) * tokens + state_bytes(model, ranks)
    for kind in model.attention:
        kept = LimitedView(kind.window_tokens, kind.is_chunked).keys(tokens) if tokens else 0
        size += kind.layers * kept * cache_bytes(kind.window_values(ranks), 0.0, precision)
    return size


class KVTraffic(NamedTuple):
    """Bytes of cache and state that steps move, in all layers on all devices of a group."""

    context: float
    """Bytes read per key of the whole context [B]."""
    limited: float
    """Bytes read per key of the limited view [B]."""
    token: float
    """Bytes written per token [B]."""
    sequence: float
    """Bytes read and written per decoding sequence, independent of its length [B]."""

    def step_bytes(
        self, tokens: Number, context: Number, windowed: Number, batch: Number
    ) -> Number:
        """Return the bytes that a step reads for decoding and writes for its tokens [B].

        Parameters
        ----------
        tokens
            Number of tokens that the step writes.
        context, windowed
            Numbers of keys that decoding queries read in whole contexts and in limited views.
        batch
            Number of decoding sequences.

        Returns
        -------
        Number
            Bytes over all devices of the group [B].
        """
        return (
            self.context * context
            + self.limited * windowed
            + self.token * tokens
            + self.sequence * batch
        )


def kv_traffic(model: Model, precision: Precision, ranks: int = 1) -> KVTraffic:
    """Return the memory traffic of a model's cache and states on `ranks` tensor-parallel devices.

    The state of a sequence is read and written once per step.

    Parameters
    ----------
    model
        Shape of the model.
    precision
        Precision of the KV cache.
    ranks
        Number of tensor-parallel devices.

    Returns
    -------
    KVTraffic
        Bytes per key, token and sequence [B].

    Examples
    --------
    Llama 3.3 70B: 80 layers, keys and values of 8 heads of 128 in 16 bit.

    >>> from cluster_sim.schema import catalog_entry
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))
    >>> kv_traffic(llama, "bf16")  # 80 x 2 x 8 x 128 x 2, read per key and written per token
    KVTraffic(context=327680.0, limited=0.0, token=327680.0, sequence=0.0)
    """
    context = limited = token = sequence = 0.0
    for kind in model.attention:
        read, layers = kind.read_values(ranks), kind.layers * ranks
        index = kind.index_values(ranks)
        context += layers * cache_bytes(read.context, index, precision)
        limited += layers * cache_bytes(read.limited, 0.0, precision)
        kept = kind.growing_values(ranks) + kind.window_values(ranks)
        token += layers * cache_bytes(kept, index, precision)
        sequence += layers * cache_bytes(kind.sequence_values(ranks), 0.0, precision)
        sequence += layers * 2.0 * kind.state_bytes(ranks)
    return KVTraffic(context, limited, token, sequence)
