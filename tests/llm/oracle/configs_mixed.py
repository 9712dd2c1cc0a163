"""A configuration of each family whose layers differ, see `configs_read`."""

from __future__ import annotations

from typing import Any

from tests.llm.oracle.configs_read import LATENT, LOCAL, ROUTED, SIZES

Config = dict[str, Any]

_LINEAR = ["linear_attention", "linear_attention", "full_attention"] * 2
_DELTA: Config = {
    "linear_conv_kernel_dim": 5, "linear_key_head_dim": 96, "linear_value_head_dim": 112, "linear_num_key_heads": 6,
    "linear_num_value_heads": 18,
}  # fmt: skip
_MAMBA_2: Config = {
    "mamba_num_heads": 30, "mamba_head_dim": 80, "ssm_state_size": 96, "n_groups": 6, "conv_kernel": 5, "mamba_ssm_cache_dtype": "float32",
    "chunk_size": 64, "expand": 2, "use_conv_bias": True, "mlp_hidden_act": "relu2",
}  # fmt: skip
_OF_BAMBA: Config = {
    "mamba_n_heads": 48, "mamba_d_head": 96, "mamba_n_groups": 6, "mamba_d_state": 112, "mamba_d_conv": 5, "mamba_expand": 3, "mamba_chunk_size": 64,
    "mamba_conv_bias": True, "mamba_proj_bias": False,
}  # fmt: skip
_PURE: Config = {
    "hidden_size": 1536,
    "num_hidden_layers": 6,
    "vocab_size": 24000,
    "residual_in_fp32": True,
    "use_conv_bias": True,
}
_NEMOTRON: Config = {key: value for key, value in SIZES.items() if key != "num_hidden_layers"}
_NEMOTRON_EXPERTS: Config = {
    "n_routed_experts": 12, "n_shared_experts": 1, "num_experts_per_tok": 3, "moe_intermediate_size": 640,
    "moe_shared_expert_intermediate_size": 1600,
}  # fmt: skip


def _inside(model_type: str, text: Config) -> Config:
    tied = {"tie_word_embeddings": text["tie_word_embeddings"]}
    return {"model_type": model_type, "text_config": text} | tied


CONFIGS: dict[str, Config] = {
    "qwen3_next": {"model_type": "qwen3_next", **SIZES, **ROUTED, **_DELTA, "head_dim": 80, "shared_expert_intermediate_size": 640,
                   "decoder_sparse_step": 2, "mlp_only_layers": [3], "full_attention_interval": 3, "tie_word_embeddings": True},
    "qwen3_next listed": {"model_type": "qwen3_next", **SIZES, **ROUTED, **_DELTA, "head_dim": 80, "shared_expert_intermediate_size": 1280,
                          "decoder_sparse_step": 1, "mlp_only_layers": [], "layer_types": _LINEAR, "tie_word_embeddings": False},
    "qwen3_5": _inside("qwen3_5", {"model_type": "qwen3_5_text", **SIZES, **_DELTA, "head_dim": 80, "layer_types": _LINEAR,
                                   "full_attention_interval": 3, "mamba_ssm_dtype": "float32", "tie_word_embeddings": False}),
    "qwen3_5_moe": _inside("qwen3_5_moe", {"model_type": "qwen3_5_moe_text", **SIZES, **ROUTED, **_DELTA, "head_dim": 80, "layer_types": _LINEAR,
                                           "full_attention_interval": 3, "shared_expert_intermediate_size": 640, "mamba_ssm_dtype": "float32",
                                           "tie_word_embeddings": False}),
    "nemotron_h": {"model_type": "nemotron_h", **SIZES, **_MAMBA_2, "num_hidden_layers": 9, "hybrid_override_pattern": "M-M*-M-M-", "head_dim": 80,
                   "tie_word_embeddings": False},
    "nemotron_h experts": {"model_type": "nemotron_h", **_NEMOTRON, **_MAMBA_2, **_NEMOTRON_EXPERTS, "head_dim": 80, "moe_latent_size": 512,
                           "layers_block_type": ["mamba", "moe", "mamba", "attention", "moe", "mamba", "mlp"], "tie_word_embeddings": False},
    "bamba": {"model_type": "bamba", **SIZES, **_OF_BAMBA, "attn_layer_indices": [2, 4], "tie_word_embeddings": True},
    "granitemoehybrid": {"model_type": "granitemoehybrid", **SIZES, **LOCAL, **_OF_BAMBA, "intermediate_size": 640, "shared_intermediate_size": 1600,
                         "layer_types": ["mamba", "mamba", "attention"] * 2, "position_embedding_type": "nope", "tie_word_embeddings": True},
    "granitemoehybrid dense": {"model_type": "granitemoehybrid", **SIZES, **_OF_BAMBA, "num_local_experts": 0, "num_experts_per_tok": 0,
                               "shared_intermediate_size": 3200, "layer_types": ["linear_attention", "full_attention"] * 3, "tie_word_embeddings": False},
    "olmo_hybrid": {"model_type": "olmo_hybrid", **SIZES, **_DELTA, "layer_types": _LINEAR, "tie_word_embeddings": True},
    "mamba": {"model_type": "mamba", **_PURE, "expand": 3, "state_size": 24, "conv_kernel": 5, "time_step_rank": 160, "tie_word_embeddings": False},
    "falcon_mamba": {"model_type": "falcon_mamba", **_PURE, "expand": 16, "intermediate_size": 4096, "state_size": 24, "conv_kernel": 5,
                     "time_step_rank": 160, "tie_word_embeddings": False},
    "mamba2": {"model_type": "mamba2", **_PURE, "expand": 3, "num_heads": 48, "head_dim": 96, "state_size": 96, "n_groups": 6, "conv_kernel": 5,
               "chunk_size": 64, "tie_word_embeddings": True},
    "falcon_h1": {"model_type": "falcon_h1", **SIZES, **_OF_BAMBA, "head_dim": 80, "mamba_d_ssm": 4608, "mamba_norm_before_gate": False, "mamba_rms_norm": False,
                  "ssm_multipliers": [1.0] * 5, "tie_word_embeddings": True},
    "lfm2": {"model_type": "lfm2", **SIZES, "conv_L_cache": 4, "layer_types": ["conv", "conv", "full_attention"] * 2, "block_auto_adjust_ff_dim": True,
             "block_ffn_dim_multiplier": 1.3, "block_multiple_of": 128, "conv_bias": False, "tie_word_embeddings": False},
    "lfm2_moe": {"model_type": "lfm2_moe", **SIZES, **ROUTED, "num_dense_layers": 2, "conv_L_cache": 4, "tie_word_embeddings": False,
                 "layer_types": ["conv", "conv", "full_attention"] * 2},
    "jamba": {"model_type": "jamba", **SIZES, "attn_layer_period": 3, "attn_layer_offset": 1, "expert_layer_period": 4, "expert_layer_offset": 2,
              "num_experts": 6, "num_experts_per_tok": 3, "mamba_d_state": 24, "mamba_d_conv": 5, "mamba_expand": 3, "mamba_dt_rank": 160,
              "mamba_conv_bias": True, "mamba_proj_bias": False, "tie_word_embeddings": True},
    "minimax": {"model_type": "minimax", **SIZES, **LOCAL, "head_dim": 80, "layer_types": _LINEAR, "block_size": 128, "tie_word_embeddings": False},
    "bailing_hybrid": {"model_type": "bailing_hybrid", **SIZES, **LATENT, "num_experts": 12, "num_experts_per_tok": 3, "num_shared_experts": 2,
                       "moe_intermediate_size": 640, "first_k_dense_replace": 2, "head_dim": 96, "short_conv_kernel_size": 5, "layer_group_size": 3,
                       "n_group": 1, "topk_group": 1, "tie_word_embeddings": False},
    "kimi_linear": {"model_type": "kimi_linear", **SIZES, **LATENT, "num_experts": 12, "num_experts_per_token": 3, "num_shared_experts": 2,
                    "moe_intermediate_size": 640, "first_k_dense_replace": 2, "tie_word_embeddings": False,
                    "linear_attn_config": {"full_attn_layers": [3, 6], "kda_layers": [1, 2, 4, 5], "head_dim": 96, "num_heads": 12,
                                           "short_conv_kernel_size": 5}},
}  # fmt: skip
"""Configurations by family; a second one of a family has a name of its own."""
