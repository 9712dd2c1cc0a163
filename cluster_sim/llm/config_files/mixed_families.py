"""Families whose layers differ from each other, see `mixed`; names that are read alike together."""

from __future__ import annotations

from dataclasses import replace

from cluster_sim.llm.config_files.family import Family

_QWEN_NEXT = Family(
    mixed="qwen",
    defaults={
        "head_dim": 256, "full_attention_interval": 4, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
        "linear_num_key_heads": 16, "linear_num_value_heads": 32,
    },
)  # fmt: skip
_QWEN_NEXT_MOE = replace(
    _QWEN_NEXT, required=("num_experts", "moe_intermediate_size", "shared_expert_intermediate_size")
)

MIXED_FAMILIES: dict[str, Family] = {
    "qwen3_5 qwen3_5_text": _QWEN_NEXT,
    "qwen3_next qwen3_5_moe qwen3_5_moe_text": _QWEN_NEXT_MOE,
    "minimax minimax_text_01 minimax_m1": Family(
        mixed="minimax", kv_as_heads=True, required=("num_local_experts", "num_key_value_heads")
    ),
    "kimi_linear kimi_k3": Family(
        mixed="kimi",
        kv_as_heads=True,
        required=("num_experts", "num_shared_experts", "moe_intermediate_size", "first_k_dense_replace", "kv_lora_rank"),
        defaults={
            "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128, "linear_head_dim": 128, "linear_num_heads": 32,
            "linear_conv_kernel_dim": 4, "max_position_embeddings": 1048576,
        },
    ),
    "jamba": Family(
        mixed="jamba",
        kv_as_heads=True,
        required=("num_experts",),
        defaults={
            "num_key_value_heads": 8, "max_position_embeddings": 262144, "attn_layer_period": 8, "attn_layer_offset": 4, "expert_layer_period": 2,
            "expert_layer_offset": 1, "num_experts_per_tok": 2, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": "auto",
        },
    ),
    "nemotron_h": Family(
        gated=False,
        mixed="nemotron_h",
        kv_as_heads=True,
        required=("num_key_value_heads", "mamba_num_heads", "mamba_head_dim", "ssm_state_size"),
        defaults={"head_dim": 128, "n_groups": 8, "conv_kernel": 4, "moe_latent_size": 0},
    ),
}  # fmt: skip
"""Families by their names of `model_type`."""
