"""Families whose layers differ from each other, see `mixed`; names with one reader share a line."""

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
_MAMBA_1 = {"state_size": 16, "conv_kernel": 4, "expand": 2, "time_step_rank": "auto"}
_MAMBA_2 = {
    "mamba_n_heads": 128, "mamba_d_head": "auto", "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_conv": 4, "mamba_expand": 2,
}  # fmt: skip
_INDEXERS = {"index_topk": 2048, "index_n_heads": 64, "index_head_dim": 128}
_SPARSE = Family(
    kv_as_heads=True,
    required=(
        "kv_lora_rank", "q_lora_rank", "n_routed_experts", "n_shared_experts", "moe_intermediate_size", "first_k_dense_replace",
    ),
)  # fmt: skip

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
    "bailing_hybrid": Family(
        mixed="ling",
        kv_as_heads=True,
        required=("num_experts", "num_shared_experts", "moe_intermediate_size", "first_k_dense_replace", "kv_lora_rank", "short_conv_kernel_size"),
        defaults={
            "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128, "head_dim": 128, "layer_group_size": 6,
            "max_position_embeddings": 262144,
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
    "mamba falcon_mamba": Family(mixed="mamba", tied=True, defaults=_MAMBA_1),
    "mamba2": Family(mixed="mamba", defaults={"state_size": 128, "conv_kernel": 4, "expand": 2, "num_heads": 128, "head_dim": 64, "n_groups": 8}),
    "falcon_h1": Family(mixed="falcon_h1", kv_as_heads=True, required=("mamba_d_ssm",), defaults=_MAMBA_2 | {"max_position_embeddings": 8192, "num_key_value_heads": 8}),
    "lfm2": Family(mixed="lfm2", tied=True, defaults={"conv_L_cache": 3, "block_ffn_dim_multiplier": 1.0, "max_position_embeddings": 128000}),
    "lfm2_moe": Family(
        mixed="lfm2_moe", tied=True, required=("num_experts", "moe_intermediate_size", "num_dense_layers"), defaults={"conv_L_cache": 3}
    ),
    "bamba": Family(mixed="bamba", kv_as_heads=True, defaults=_MAMBA_2 | {"num_key_value_heads": 8, "max_position_embeddings": 262144}),
    "granitemoehybrid": Family(
        mixed="granite", kv_as_heads=True, required=("num_local_experts", "shared_intermediate_size", "num_key_value_heads"), defaults=_MAMBA_2
    ),
    "olmo_hybrid": Family(mixed="olmo", kv_as_heads=True, defaults={"linear_conv_kernel_dim": 4, "max_position_embeddings": 65536}),
    "nemotron_h": Family(
        gated=False,
        mixed="nemotron_h",
        kv_as_heads=True,
        required=("num_key_value_heads", "mamba_num_heads", "mamba_head_dim", "ssm_state_size"),
        defaults={"head_dim": 128, "n_groups": 8, "conv_kernel": 4, "moe_latent_size": 0},
    ),
    "mimo_v2_flash": Family(
        mixed="mimo",
        required=("n_routed_experts", "moe_intermediate_size", "num_key_value_heads"),
        defaults={"head_dim": 192, "v_head_dim": 128, "sliding_window": 129, "first_k_dense_replace": 1},
    ),
    "deepseek_v32": replace(
        _SPARSE,
        mixed="deepseek_v32",
        defaults={"qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128} | _INDEXERS,
    ),
    "glm_moe_dsa": replace(
        _SPARSE,
        mixed="glm_moe_dsa",
        defaults={"qk_rope_head_dim": 64, "qk_nope_head_dim": 192, "v_head_dim": 256} | _INDEXERS | {"index_n_heads": 32},
    ),
    "deepseek_v4": Family(
        mixed="deepseek_v4",
        required=("n_routed_experts", "n_shared_experts", "moe_intermediate_size", "head_dim", "q_lora_rank", "o_groups", "o_lora_rank"),
        defaults={"num_key_value_heads": 1, "sliding_window": 128, "hc_mult": 4} | _INDEXERS | {"index_topk": 512},
    ),
    "gemma4 gemma4_text": Family(
        mixed="gemma4",
        tied=True,
        required=("hidden_size_per_layer_input",),
        defaults={
            "vocab_size": 262144, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 512,
            "max_position_embeddings": 131072,
        },
    ),
    "llama4 llama4_text": Family(
        mixed="llama4",
        required=("num_local_experts", "intermediate_size_mlp", "interleave_moe_layer_step"),
        defaults={"attention_chunk_size": 8192, "head_dim": 128},
    ),
    "minimax_m3 minimax_m3_vl minimax_m3_text minimax_m3_vl_text": Family(
        mixed="minimax_m3",
        required=("num_local_experts", "head_dim", "dense_intermediate_size", "shared_intermediate_size"),
        defaults={"index_n_heads": 4, "index_head_dim": 128, "index_topk_blocks": 16, "index_block_size": 128},
    ),
    "mllama mllama_text_model": Family(
        mixed="mllama",
        defaults={"num_key_value_heads": 8, "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38]},
    ),
    "mistral_large4 mistral_large4_text": replace(
        _SPARSE,
        mixed="mistral_large4",
        required=("kv_lora_rank", "n_routed_experts", "n_shared_experts", "moe_intermediate_size"),
        defaults={"qk_rope_head_dim": 64, "qk_nope_head_dim": 64, "v_head_dim": 128, "first_k_dense_replace": 1} | _INDEXERS | {"index_n_heads": 32},
    ),
    "hy_v4": replace(
        _SPARSE,
        mixed="hy_v4",
        required=("kv_lora_rank", "q_lora_rank", "n_routed_experts", "n_shared_experts", "moe_intermediate_size"),
        defaults={"qk_rope_head_dim": 64, "qk_nope_head_dim": 192, "v_head_dim": 256, "hc_mult": 4, "first_k_dense_replace": 1}
        | _INDEXERS | {"index_n_heads": 16},
    ),
    "cwm": Family(mixed="full first", defaults={"num_key_value_heads": 8, "sliding_window": 8192, "head_dim": 128}),
    "granite_swa": Family(mixed="full first", tied=True, defaults={"num_key_value_heads": 4, "sliding_window": 128}),
    "granitemoe_swa": Family(mixed="full first", kv_as_heads=True, required=("num_local_experts",), defaults={"sliding_window": 128}),
    "afmoe": Family(
        mixed="afmoe",
        kv_as_heads=True,
        required=("num_experts", "num_shared_experts", "moe_intermediate_size", "num_dense_layers"),
        defaults={"head_dim": 128, "sliding_window": 1024},
    ),
    "cohere2_moe": Family(
        mixed="cohere2_moe", tied=True, kv_as_heads=True, required=("num_experts", "num_experts_per_tok"), defaults={"head_dim": 128, "sliding_window": 4096}
    ),
    "laguna": Family(
        mixed="laguna",
        required=("num_experts", "moe_intermediate_size", "shared_expert_intermediate_size"),
        defaults={"head_dim": 128, "sliding_window": 512, "first_k_dense_replace": 1},
    ),
    "longcat_flash": Family(
        mixed="longcat",
        kv_as_heads=True,
        required=("kv_lora_rank", "q_lora_rank", "n_routed_experts", "moe_topk", "expert_ffn_hidden_size", "zero_expert_num"),
        defaults={"qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128},
    ),
    "arctic": Family(
        mixed="arctic", kv_as_heads=True, required=("num_local_experts", "num_experts_per_tok", "moe_layer_frequency", "use_residual", "max_position_embeddings")
    ),
    "nemotron-nas": Family(mixed="deci", kv_as_heads=True, required=("block_configs",)),
    "deci": Family(mixed="deci", kv_as_heads=True),
}  # fmt: skip
"""Families by `model_type`."""
