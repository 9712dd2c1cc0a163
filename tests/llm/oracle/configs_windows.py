"""A configuration of each further family with windows, latent or sparse attention, see `configs_read`."""

from __future__ import annotations

from typing import Any

from tests.llm.oracle import configs_further
from tests.llm.oracle.configs_read import DEEPSEEK_EXPERTS, LATENT, LOCAL, ROUTED, SIZES, WINDOWS

Config = dict[str, Any]

_FRONT = ["dense", "dense", "sparse", "sparse", "sparse", "sparse"]
_LISTED: Config = {
    "head_dim": 80,
    "sliding_window": 1024,
    "layer_types": WINDOWS,
    "tie_word_embeddings": False,
}
_TURNS: Config = {"head_dim": 80, "sliding_window": 1024, "tie_word_embeddings": False}
_MLA: Config = {**SIZES, **LATENT, "tie_word_embeddings": False}
_V3: Config = {**_MLA, **DEEPSEEK_EXPERTS}
_SHARED: Config = {**ROUTED, "num_shared_experts": 2}

CONFIGS: dict[str, Config] = {
    "axk1": {"model_type": "axk1", **_V3},
    "mistral4": {"model_type": "mistral4", **_V3},
    "mistral_large4": configs_further.CONFIGS["mistral_large4"],
    "youtu": {"model_type": "youtu", **_MLA},
    "hy_v3": {"model_type": "hy_v3", **SIZES, **_SHARED, "head_dim": 80, "mlp_layer_types": _FRONT, "tie_word_embeddings": False},
    "hy_v4": {"model_type": "hy_v4", **{key: value for key, value in _V3.items() if key != "first_k_dense_replace"}, "index_topk": 384,
              "index_n_heads": 12, "index_head_dim": 96, "mlp_layer_types": _FRONT, "hc_mult": 2,
              "indexer_types": ["full", "shared", "full", "shared", "shared", "full"]},
    "exaone_moe": {"model_type": "exaone_moe", **SIZES, **_SHARED, "sliding_window": 1024, "sliding_window_pattern": 3, "first_k_dense_replace": 2,
                   "tie_word_embeddings": False},
    "mellum": {"model_type": "mellum", **SIZES, **ROUTED, **_LISTED, "mlp_layer_types": _FRONT},
    "vaultgemma": {"model_type": "vaultgemma", **SIZES, **_LISTED, "hidden_activation": "gelu_pytorch_tanh"},
    "cwm": {"model_type": "cwm", **SIZES, **_TURNS, "head_dim": 96},
    "granite_swa": {"model_type": "granite_swa", **SIZES, "sliding_window": 1024, "tie_word_embeddings": False},
    "granitemoe_swa": {"model_type": "granitemoe_swa", **SIZES, **LOCAL, "intermediate_size": 640, "shared_intermediate_size": 1280,
                       "sliding_window": 1024, "layer_types": WINDOWS, "tie_word_embeddings": False},
    "flex_olmo": {"model_type": "flex_olmo", **SIZES, "intermediate_size": 640, "num_experts": 12, "num_experts_per_tok": 3, "tie_word_embeddings": False},
    "afmoe": {"model_type": "afmoe", **SIZES, **_SHARED, **_TURNS, "num_dense_layers": 2, "global_attn_every_n_layers": 3},
    "cohere2_moe": {"model_type": "cohere2_moe", **SIZES, "intermediate_size": 640, "num_experts": 12, "num_experts_per_tok": 3, "num_shared_experts": 2,
                    **_TURNS, "sliding_window_pattern": 3, "first_k_dense_replace": 2, "prefix_dense_sliding_window_pattern": 2,
                    "prefix_dense_intermediate_size": 4352, "hidden_act": "silu"},
    "laguna": {"model_type": "laguna", **SIZES, **ROUTED, **_LISTED, "shared_expert_intermediate_size": 1280, "mlp_layer_types": _FRONT,
               "num_attention_heads_per_layer": [16, 16, 24, 16, 32, 24]},
}  # fmt: skip
"""Configurations by family."""
