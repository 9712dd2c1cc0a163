"""FLOP and bytes of one engine step of a transformer: dense, grouped-query, experts, latent
attention, windows.

A step is described by counts. `tokens` go through the linear layers, `sampled` of them through the
output head. Decoding queries read `context` keys in the layers of full attention and `windowed` in
those with a window; chunks of prompts are `pairs` (and `window_pairs`) of a query and a key it
sees. Counts may be numpy arrays: every function here is arithmetic.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model

# Stored bytes of one value of the KV cache. fp4 includes its block scales, as for weights.
KV_BYTES: dict[Precision, float] = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.5 + 1 / 16}

Number = Any  # int, float or an array of them


def distinct_experts(count: int, top_k: int, tokens: Number) -> Number:
    """Expected number of experts that `tokens` touch when each picks `top_k` of `count` at random.

    An expert is missed by one token with probability 1 - k/E, by T tokens with the T-th power of
    that (the occupancy problem; Feller, An Introduction to Probability Theory I, IV.2).

    >>> distinct_experts(8, 2, 1)
    2.0
    """
    return count * (1.0 - (1.0 - top_k / count) ** tokens)


def kv_layer_bytes(model: Model, precision: Precision, tensor_parallel: int = 1) -> float:
    """Bytes that one token takes in one layer's cache on one device of a tensor-parallel group.

    Key and value of each KV head; heads are split over the group, and copied where there are fewer
    heads than devices. The latent vector of MLA is copied on every device.
    """
    if model.latent:
        return (model.latent.kv_rank + model.latent.rope_dim) * KV_BYTES[precision]
    return 2 * max(model.kv_heads / tensor_parallel, 1.0) * model.head_dim * KV_BYTES[precision]


def decode_flop_per_key(model: Model) -> float:
    """FLOP of one decoding query for one key of one layer: the score and the weighted sum, over all
    heads.

    Latent attention decodes in the latent space (its up-projections are absorbed): scores over rank
    + rope, sum over rank.
    """
    if model.latent:
        return 2.0 * model.heads * (2 * model.latent.kv_rank + model.latent.rope_dim)
    return 4.0 * model.heads * model.head_dim


def prefill_flop_per_pair(model: Model) -> float:
    """FLOP of one pair of a query and a key of one layer in prefill, over all heads."""
    if model.latent:
        return (
            2.0 * model.heads * (model.latent.nope_dim + model.latent.rope_dim + model.latent.v_dim)
        )
    return 4.0 * model.heads * model.head_dim


def linear_flop_per_token(model: Model) -> float:
    """FLOP of one token in all linear layers but the output head: two for each weight it is
    multiplied with.
    """
    return 2.0 * (model.active_parameters - model.vocabulary * model.hidden)


def causal_pairs(chunk: int, past: int) -> int:
    """Pairs of query and key of a chunk of a prompt whose first `past` tokens are in the cache
    already.

    >>> causal_pairs(3, 0), causal_pairs(2, 3)  # 1+2+3 and 4+5
    (6, 9)
    """
    return chunk * past + chunk * (chunk + 1) // 2


def window_pairs(chunk: int, past: int, window: int) -> int:
    """The same where a query sees the last `window` tokens only, itself included.

    >>> window_pairs(3, 0, 2), window_pairs(2, 3, 2)  # 1+2+2 and 2+2
    (5, 4)
    """
    growing = min(max(window - past, 0), chunk)
    return causal_pairs(growing, past) + (chunk - growing) * window


def step_flop(
    model: Model,
    tokens: Number,
    sampled: Number,
    context: Number,
    windowed: Number,
    pairs: Number,
    window_pairs: Number,
) -> Number:
    """FLOP of a step, see the counts at the top of this file."""
    window_layers = model.layers - model.full_layers
    attention = decode_flop_per_key(model) * (
        model.full_layers * context + window_layers * windowed
    )
    prefill = prefill_flop_per_pair(model) * (
        model.full_layers * pairs + window_layers * window_pairs
    )
    return (
        linear_flop_per_token(model) * tokens
        + 2.0 * model.vocabulary * model.hidden * sampled
        + attention
        + prefill
    )


def step_weight_bytes(
    model: Model, precision: Precision, tokens: Number, weight_reuse: bool = True, ranks: int = 1
) -> Number:
    """Bytes of weights that a step of `tokens` reads: the dense parts once a rank and the experts
    that are touched.

    Without `weight_reuse` every token reads its own, as on a wafer, where tokens pass the weights
    one by one.
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
        one = model.moe_layers * model.expert_parameters * ffn_bytes
        dense += model.experts.shared * one
        if not weight_reuse:
            return (dense + model.experts.top_k * one) * tokens
        experts = one * distinct_experts(model.experts.count, model.experts.top_k, tokens)
    return dense * (ranks if weight_reuse else tokens) + experts


def step_kv_bytes(
    model: Model,
    precision: Precision,
    tensor_parallel: int,
    tokens: Number,
    context: Number,
    windowed: Number,
) -> Number:
    """Bytes of KV cache that a step reads for decoding and writes for its tokens, over the whole
    tensor-parallel group.
    """
    layer = kv_layer_bytes(model, precision, tensor_parallel) * tensor_parallel
    window_layers = model.layers - model.full_layers
    return layer * (model.full_layers * context + window_layers * windowed + model.layers * tokens)
