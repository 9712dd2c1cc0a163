"""FLOP and bytes of one engine step of a transformer.

Models may be dense or have experts, and layers of several kinds (`llm.layers`). A step is described
by counts. `tokens` pass the linear layers, and `sampled` of them pass the output head. Decoding
queries read `context` keys in layers that see the whole context, and `windowed` keys in layers
whose view is a window, a chunk or chosen tokens. Chunks of prompts are counted by `pairs` of a
query and a visible key, and by `window_pairs` in layers with a limited view. Counts may be numpy
arrays: every function here is arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.typing import Number


def distinct_experts(count: int, top_k: int, tokens: Number) -> Number:
    """Return the expected number of active experts if each token picks its experts at random.

        E (1 - (1 - k/E)^T)

    One token misses an expert with probability 1 - k/E; T tokens miss it with the T-th power of
    that. Routers of trained models are not random; this is an approximation for them.

    Source: the occupancy problem; Feller, An Introduction to Probability Theory I, IV.2.

    Parameters
    ----------
    count
        Number of experts, E.
    top_k
        Number of experts that each token picks, k.
    tokens
        Number of tokens, T.

    Returns
    -------
    Number
        Expected number of active experts.

    Examples
    --------
    >>> distinct_experts(8, 2, 1)
    2.0
    """
    return count * (1.0 - (1.0 - top_k / count) ** tokens)


def linear_flop_per_token(model: Model) -> float:
    """Return the FLOP per token in all linear layers except for the output head.

    They are two per weight that the token is multiplied with.

    Parameters
    ----------
    model
        Shape of the model.

    Returns
    -------
    float
        Arithmetic per token [FLOP].

    Examples
    --------
    Llama 3.3 70B: 80 layers of 855.6 million weights.

    >>> from cluster_sim.schema import catalog_entry
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))
    >>> round(linear_flop_per_token(llama) / 1e9, 1)  # 2 x 80 x 0.8556
    136.9
    """
    idle = model.idle_attention_parameters + model.idle_ffn_parameters
    return 2.0 * (model.active_parameters - model.vocabulary * model.hidden - idle)


def linear_flop(model: Model, tokens: Number, sampled: Number) -> Number:
    """Return the FLOP of a step's matrix products with weights, over all devices.

    Parameters
    ----------
    model
        Shape of the model.
    tokens
        Number of tokens that pass the layers.
    sampled
        Number of tokens that pass the output head.

    Returns
    -------
    Number
        Arithmetic of the step [FLOP].

    Examples
    --------
    >>> from cluster_sim.schema import catalog_entry
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))
    >>> linear_flop(llama, 0, 1) == 2 * 128_256 * 8_192
    True
    """
    return linear_flop_per_token(model) * tokens + 2.0 * model.vocabulary * model.hidden * sampled


def expert_flop(model: Model, tokens: Number) -> Number:
    """Return the FLOP of a step's products with chosen experts, over all devices.

    They are a part of `linear_flop`. Shared experts, which every token passes, do not count.

    Parameters
    ----------
    model
        Shape of the model.
    tokens
        Number of tokens that pass the layers.

    Examples
    --------
    Qwen3 30B: 48 layers, 8 experts per token of three matrices of 2,048 x 768.

    >>> from cluster_sim.schema import catalog_entry
    >>> qwen = Model.model_validate(catalog_entry("models", "qwen3-30b"))
    >>> expert_flop(qwen, 1) == 2 * 48 * 8 * 3 * 2048 * 768
    True
    """
    if model.experts is None:
        return 0.0
    return 2.0 * model.moe_layers * model.experts.top_k * model.expert_parameters * tokens


class AttentionCounts(NamedTuple):
    """Counts of a step that determine the arithmetic of attention."""

    context: Number
    """Number of keys that decoding queries read in whole contexts."""
    windowed: Number
    """Number of keys that decoding queries read in limited views."""
    pairs: Number
    """Number of (query, key) pairs of prompts in whole contexts."""
    window_pairs: Number
    """Number of (query, key) pairs of prompts in limited views."""
    tokens: Number
    """Number of tokens of the step."""


def attention_flop(model: Model, counts: AttentionCounts) -> Number:
    """Return the FLOP of attention and states of a step, over all layers and devices.

    Parameters
    ----------
    model
        Shape of the model.
    counts
        Counts of the step.

    Returns
    -------
    Number
        Arithmetic of the step [FLOP].

    Examples
    --------
    One decoding query with 1,000 keys: 80 layers, 64 heads, two products of width 128.

    >>> from cluster_sim.schema import catalog_entry
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))
    >>> attention_flop(llama, AttentionCounts(1000, 0, 0, 0, 1)) == 80 * 1000 * 64 * 2 * 2 * 128
    True
    """
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
    """Return the bytes of weights that a step reads [B].

    They belong to the dense parts and to the active experts, see `distinct_experts`.

    Parameters
    ----------
    model
        Shape of the model.
    precision
        Precision of the weights.
    tokens
        Number of tokens of the step.
    weight_reuse
        Whether all tokens share one read of the weights. On a wafer tokens pass the weights one by
        one, so every token reads its own weights.
    ranks
        Number of groups of devices that each read the dense parts.

    Returns
    -------
    Number
        Bytes read by the step [B].

    Examples
    --------
    Llama 3.3 70B: 68.45 billion weights in layers and 1.05 billion in the output head, 2 B each.

    >>> from cluster_sim.schema import catalog_entry
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))
    >>> round(step_weight_bytes(llama, "bf16", 1) / 1e9, 1)
    139.0
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
