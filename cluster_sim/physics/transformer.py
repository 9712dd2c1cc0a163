"""FLOP and bytes of one engine step of a transformer.

Models may be dense or have experts, and layers of several kinds (`llm.layers`). A step is described
by counts. `tokens` go through the linear layers, `sampled` of them through the output head.
Decoding queries read `context` keys where they see the whole context and `windowed` where their
view is limited to a window, a chunk or chosen tokens; chunks of prompts are `pairs` (and
`window_pairs`) of a query and a key it sees.
Counts may be numpy arrays: every function here is arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.typing import Number

KV_BYTES: dict[Precision, float] = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.5 + 1 / 16}
"""Stored bytes per value of the KV cache; fp4 includes its block scales, as for weights."""


INDEX_BYTES = 1 + 4 / 128
"""Stored bytes per value of an index key: engines keep them in 8 bit with a 32-bit scale per 128
(vLLM and SGLang for DeepSeek-V3.2: 132 bytes per token and layer)."""


def distinct_experts(count: int, top_k: int, tokens: Number) -> Number:
    """Return the expected number of experts that tokens touch when they pick at random.

    An expert is missed by one token with probability 1 - k/E, by T tokens with the T-th power of
    that (the occupancy problem; Feller, An Introduction to Probability Theory I, IV.2).

    Parameters
    ----------
    count
        Number of experts, E.
    top_k
        Number of experts that each token picks, k.
    tokens
        Number of tokens, T.

    Examples
    --------
    >>> distinct_experts(8, 2, 1)
    2.0
    """
    return count * (1.0 - (1.0 - top_k / count) ** tokens)


def cache_bytes(values: float, index_values: float, precision: Precision) -> float:
    """Return the size of cached values and of index keys beside them [B]."""
    return values * KV_BYTES[precision] + index_values * INDEX_BYTES


def growing_kv_bytes(model: Model, precision: Precision, ranks: int = 1) -> float:
    """Return the cache of one token that holds the whole context, index keys included [B].

    It is that of all layers on one of `ranks` tensor-parallel devices. Heads are split over them,
    and copied where there are fewer heads than devices. Latent vectors and index keys are copied on
    every device.
    """
    return sum(
        kind.layers * cache_bytes(kind.growing_values(ranks), kind.index_values(ranks), precision)
        for kind in model.attention
    )


def window_kv_bytes(model: Model, precision: Precision, ranks: int = 1) -> float:
    """Return the cache of one token in the layers that keep a window or a chunk alone [B].

    It is that of all such layers on one of `ranks` tensor-parallel devices.
    """
    return sum(
        kind.layers * cache_bytes(kind.window_values(ranks), 0.0, precision)
        for kind in model.attention
    )


def state_bytes(model: Model, ranks: int = 1) -> float:
    """Return the states of one sequence in all layers on one of `ranks` devices [B]."""
    return sum(kind.layers * kind.state_bytes(ranks) for kind in model.attention)


def sequence_kv_bytes(model: Model, precision: Precision, ranks: int, tokens: int) -> float:
    """Return the cache and the states of a sequence with `tokens` tokens on one device [B].

    Of a window there are its last tokens, of chunks the tokens of the present one.
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
    """Bytes read and written per decoding sequence, whatever its length [B]."""

    def step_bytes(
        self, tokens: Number, context: Number, windowed: Number, batch: Number
    ) -> Number:
        """Return the bytes that a step reads for decoding and writes for its tokens [B].

        Parameters
        ----------
        tokens
            Number of tokens that the step writes.
        context, windowed
            Numbers of keys that decoding reads of whole contexts and of limited views.
        batch
            Number of decoding sequences.
        """
        return (
            self.context * context
            + self.limited * windowed
            + self.token * tokens
            + self.sequence * batch
        )


def kv_traffic(model: Model, precision: Precision, ranks: int = 1) -> KVTraffic:
    """Return what steps of `model` move on `ranks` tensor-parallel devices together.

    A sequence's state is read and written once per step.
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


def linear_flop_per_token(model: Model) -> float:
    """Return the FLOP of one token in all linear layers but the output head.

    They are two for each weight that it is multiplied with.
    """
    idle = model.idle_attention_parameters + model.idle_ffn_parameters
    return 2.0 * (model.active_parameters - model.vocabulary * model.hidden - idle)


def linear_flop(model: Model, tokens: Number, sampled: Number) -> Number:
    """Return the FLOP of the matrix products with weights of a step."""
    return linear_flop_per_token(model) * tokens + 2.0 * model.vocabulary * model.hidden * sampled


class AttentionCounts(NamedTuple):
    """Counts of a step on which the arithmetic of attention depends."""

    context: Number
    """Number of keys that decoding reads of whole contexts."""
    windowed: Number
    """Number of keys that decoding reads of limited views."""
    pairs: Number
    """Number of pairs of prompts in whole contexts."""
    window_pairs: Number
    """Number of pairs of prompts in limited views."""
    tokens: Number
    """Number of tokens."""


def attention_flop(model: Model, counts: AttentionCounts) -> Number:
    """Return the FLOP of the attention and of the states of a step, over all layers."""
    flop: Number = 0.0
    for kind in model.attention:
        key, pair = kind.decode_flop, kind.prefill_flop
        flop = flop + kind.layers * (
            key.context * counts.context
            + key.limited * counts.windowed
            + pair.context * counts.pairs
            + pair.limited * counts.window_pairs
            + kind.token_flop * counts.tokens
        )
    return flop


def step_weight_bytes(
    model: Model,
    precision: Precision,
    tokens: Number,
    *,
    weight_reuse: bool = True,
    ranks: int = 1,
) -> Number:
    """Return the bytes of weights that a step reads.

    They are the dense parts and the experts that are touched.

    Parameters
    ----------
    model
        Shape of the model.
    precision
        Precision of the weights.
    tokens
        Number of tokens of the step.
    weight_reuse
        Whether tokens share what is read. On a wafer, where tokens pass the weights one by one,
        every token reads its own.
    ranks
        Number of groups of devices that each read the dense parts.
    """
    passed = model.attention_parameters - model.idle_attention_parameters
    attention = passed * model.bytes_per_parameter(precision, "attention")
    passed = model.ffn_parameters - model.idle_ffn_parameters
    dense_ffn = passed * model.bytes_per_parameter(precision, "ffn")
    head = model.vocabulary * model.hidden * model.bytes_per_parameter(precision, "embedding")
    dense, experts = attention + dense_ffn + head, 0.0
    if model.experts:
        weights = model.moe_layers * model.expert_parameters
        expert = weights * model.bytes_per_parameter(precision, "experts")
        shared = model.moe_layers * model.shared_parameters
        dense += shared * model.bytes_per_parameter(precision, "shared")
        if not weight_reuse:
            return (dense + model.experts.top_k * expert) * tokens
        experts = expert * distinct_experts(model.experts.count, model.experts.top_k, tokens)
    return dense * (ranks if weight_reuse else tokens) + experts
