"""FLOP and bytes of one engine step of a transformer.

Models may be dense or have experts, grouped queries, latent attention or sliding windows. A step is
described by counts. `tokens` go through the linear layers, `sampled` of them through the output
head. Decoding queries read `context` keys in the layers of full attention and `windowed` in those
with a window; chunks of prompts are `pairs` (and `window_pairs`) of a query and a key it sees.
Counts may be numpy arrays: every function here is arithmetic.
"""

from __future__ import annotations

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.typing import Number

KV_BYTES: dict[Precision, float] = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.5 + 1 / 16}
"""Stored bytes per value of the KV cache; fp4 includes its block scales, as for weights."""


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


def kv_layer_bytes(model: Model, precision: Precision, tensor_parallel: int = 1) -> float:
    """Return the KV cache of one token in one layer on one device of a tensor-parallel group [B].

    It is the key and the value of each KV head. Heads are split over the group, and copied where
    there are fewer heads than devices. The latent vector of MLA is copied on every device.
    """
    if model.latent:
        return (model.latent.kv_rank + model.latent.rope_dim) * KV_BYTES[precision]
    return 2 * max(model.kv_heads / tensor_parallel, 1.0) * model.head_dim * KV_BYTES[precision]


def kv_group_bytes(model: Model, precision: Precision, tensor_parallel: int = 1) -> float:
    """Return the KV cache of one token in one layer on all devices of a group [B]."""
    return kv_layer_bytes(model, precision, tensor_parallel) * tensor_parallel


def decode_flop_per_key(model: Model) -> float:
    """Return the FLOP of one decoding query for one key of one layer, over all heads.

    They are the score and the weighted sum. Latent attention decodes in the latent space (its
    up-projections are absorbed): scores over rank + rope, sum over rank.
    """
    if model.latent:
        return 2.0 * model.heads * (2 * model.latent.kv_rank + model.latent.rope_dim)
    return 4.0 * model.heads * model.head_dim


def prefill_flop_per_pair(model: Model) -> float:
    """Return the FLOP of one pair of query and key of one layer in prefill, over all heads."""
    if model.latent:
        return (
            2.0 * model.heads * (model.latent.nope_dim + model.latent.rope_dim + model.latent.v_dim)
        )
    return 4.0 * model.heads * model.head_dim


def linear_flop_per_token(model: Model) -> float:
    """Return the FLOP of one token in all linear layers but the output head.

    They are two for each weight that it is multiplied with.
    """
    return 2.0 * (model.active_parameters - model.vocabulary * model.hidden)


def causal_pairs(chunk: int, past: int) -> int:
    """Return the pairs of query and key of `chunk` prompt tokens after `past` cached ones.

    >>> causal_pairs(3, 0), causal_pairs(2, 3)  # 1+2+3 and 4+5
    (6, 9)
    """
    return chunk * past + chunk * (chunk + 1) // 2


def window_pairs(chunk: int, past: int, window: int) -> int:
    """Return the causal pairs where a query sees the last `window` tokens only, itself included.

    >>> window_pairs(3, 0, 2), window_pairs(2, 3, 2)  # 1+2+2 and 2+2
    (5, 4)
    """
    growing = min(max(window - past, 0), chunk)
    return causal_pairs(growing, past) + (chunk - growing) * window


def linear_flop(model: Model, tokens: Number, sampled: Number) -> Number:
    """Return the FLOP of the matrix products with weights of a step."""
    return linear_flop_per_token(model) * tokens + 2.0 * model.vocabulary * model.hidden * sampled


def attention_flop(
    model: Model, context: Number, windowed: Number, pairs: Number, window_pairs: Number
) -> Number:
    """Return the FLOP of the attention of a step."""
    window_layers = model.layers - model.full_layers
    attention = decode_flop_per_key(model) * (
        model.full_layers * context + window_layers * windowed
    )
    prefill = prefill_flop_per_pair(model) * (
        model.full_layers * pairs + window_layers * window_pairs
    )
    return attention + prefill


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
    attention = (
        model.layers
        * model.attention_parameters
        * model.bytes_per_parameter(precision, "attention")
    )
    ffn_bytes = model.bytes_per_parameter(precision, "ffn")
    dense_ffn = (model.layers - model.moe_layers) * model.ffn_parameters * ffn_bytes
    head = model.vocabulary * model.hidden * model.bytes_per_parameter(precision, "embedding")
    dense, experts = attention + dense_ffn + head, 0.0
    if model.experts:
        weights = model.moe_layers * model.expert_parameters
        expert = weights * model.bytes_per_parameter(precision, "experts")
        dense += model.experts.shared * weights * model.bytes_per_parameter(precision, "shared")
        if not weight_reuse:
            return (dense + model.experts.top_k * expert) * tokens
        experts = expert * distinct_experts(model.experts.count, model.experts.top_k, tokens)
    return dense * (ranks if weight_reuse else tokens) + experts


def step_kv_bytes(
    model: Model, layer_bytes: float, tokens: Number, context: Number, windowed: Number
) -> Number:
    """Return the bytes of KV cache that a step reads for decoding and writes for its tokens.

    Parameters
    ----------
    model
        Shape of the model.
    layer_bytes
        KV cache of one token in one layer on all devices of a group, see `kv_group_bytes` [B].
    tokens
        Number of tokens that the step writes.
    context, windowed
        Numbers of keys that decoding reads in layers of full attention and with a window.
    """
    window_layers = model.layers - model.full_layers
    return layer_bytes * (
        model.full_layers * context + window_layers * windowed + model.layers * tokens
    )
