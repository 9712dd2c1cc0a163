"""Families that transformers does not know: their matrices are counted here, one by one.

MiniMax-Text-01 is the file of MiniMax's own code. Kimi K3 is Kimi-Linear with experts in a latent
space and gates of full rank (README of ../shared/models).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from pytest import approx

from tests.llm.oracle.configs_read import LATENT, LOCAL, SIZES
from tests.llm.oracle.mutants import COUNT, language_model, mutants
from tests.llm.test_oracle import names_its_keys, reading, refusal

Config = dict[str, Any]

_K3: Config = {
    "model_type": "kimi_linear", **SIZES, **LATENT, "num_experts": 12, "num_experts_per_token": 3, "num_shared_experts": 2,
    "moe_intermediate_size": 640, "first_k_dense_replace": 2, "moe_layer_freq": 1, "routed_expert_hidden_size": 768, "mla_use_output_gate": True,
    "linear_attn_config": {
        "full_attn_layers": [3, 6], "kda_layers": [1, 2, 4, 5], "head_dim": 96, "num_heads": 12, "short_conv_kernel_size": 5,
        "use_full_rank_gate": True, "gate_lower_bound": -5.0,
    },
    "hidden_act": "situ", "activation_situ_beta": 4.0, "latent_moe_use_norm": True, "mla_use_nope": True, "tie_word_embeddings": False,
}  # fmt: skip
CONFIGS: dict[str, Config] = {
    "kimi_k3": {"model_type": "kimi_k3", "text_config": _K3, "tie_word_embeddings": False},
    "minimax_text_01": {
        "model_type": "minimax_text_01", **SIZES, **LOCAL, "head_dim": 80, "attn_type_list": [0, 0, 1] * 2, "shared_intermediate_size": 0,
        "layernorm_full_attention_alpha": 3.5, "postnorm": True, "rotary_dim": 40, "hidden_act": "silu", "tie_word_embeddings": False,
    },
}  # fmt: skip


class Counted(NamedTuple):
    parameters: int
    kv_values: int
    state_values: int


def kimi(config: Config) -> Counted:
    """Count the matrices of Kimi K3."""
    c = language_model(config)
    h, heads, layers = c["hidden_size"], c["num_attention_heads"], c["num_hidden_layers"]
    linear = c["linear_attn_config"]
    full, deltas = len(linear["full_attn_layers"]), len(linear["kda_layers"])
    nope, rope = c.get("qk_nope_head_dim", 128), c.get("qk_rope_head_dim", 64)
    v, rank, q = c.get("v_head_dim", 128), c["kv_lora_rank"], c.get("q_lora_rank")
    queries = h * q + q * heads * (nope + rope) if q else h * heads * (nope + rope)
    keys = h * (rank + rope) + rank * heads * (nope + v)
    outputs = (2 if c.get("mla_use_output_gate") else 1) * h * heads * v
    width, states = linear["head_dim"], linear["num_heads"]
    inner = width * states
    low_rank = h * width + width * inner
    gate = h * inner if linear.get("use_full_rank_gate") else low_rank
    delta = (
        4 * h * inner + low_rank + gate + h * states + 3 * inner * linear["short_conv_kernel_size"]
    )
    latent = c.get("routed_expert_hidden_size") or 0
    shared = c.get("num_shared_experts", c.get("n_shared_experts")) or 0
    expert = c["moe_intermediate_size"]
    moe = (
        c["num_experts"] * (3 * (latent or h) * expert + h)
        + 2 * h * latent
        + 3 * h * expert * shared
    )
    front = c["first_k_dense_replace"]
    period = c.get("moe_layer_freq") or 1
    sparse = sum(layer >= front and layer % period == 0 for layer in range(layers))
    dense = (layers - sparse) * 3 * h * c["intermediate_size"]
    tables = (1 if c.get("tie_word_embeddings") else 2) * c["vocab_size"] * h
    return Counted(
        full * (queries + keys + outputs) + deltas * delta + sparse * moe + dense + tables,
        full * (rank + rope),
        deltas * states * width * width,
    )


def minimax(config: Config) -> Counted:
    """Count the matrices of MiniMax-Text-01."""
    c = language_model(config)
    h, heads = c["hidden_size"], c["num_attention_heads"]
    width = c.get("head_dim") or h // heads
    groups = c.get("num_key_value_heads") or heads
    full = sum(c["attn_type_list"])
    linear = c["num_hidden_layers"] - full
    experts = c["num_local_experts"] * (3 * h * c["intermediate_size"] + h)
    tables = (1 if c.get("tie_word_embeddings") else 2) * c["vocab_size"] * h
    return Counted(
        full * 2 * h * (heads + groups) * width
        + linear * 5 * h * heads * width
        + c["num_hidden_layers"] * experts
        + tables,
        full * 2 * groups * width,
        linear * heads * width * width,
    )


COUNTS: dict[str, Callable[[Config], Counted]] = {"kimi_k3": kimi, "minimax_text_01": minimax}


def is_right(family: str, config: Config) -> None:
    read, right = reading(config), COUNTS[family](config)
    assert read.parameters == approx(right.parameters, rel=0.01)
    assert (read.kv_values, read.state_values) == right[1:]


@pytest.mark.parametrize("family", CONFIGS)
def test_a_family_has_the_matrices_that_are_counted_by_hand(family: str):
    assert not refusal(CONFIGS[family])
    is_right(family, CONFIGS[family])


@pytest.mark.parametrize("family", CONFIGS)
def test_a_single_change_is_counted_by_hand_or_refused_by_its_key(family: str):
    made = mutants(family, CONFIGS[family])
    assert len(made) == COUNT
    for mutant in made:
        if text := refusal(mutant.config):
            assert names_its_keys(text), f"{mutant.name}: {text}"
        else:
            is_right(family, mutant.config)
