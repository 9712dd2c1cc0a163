"""A configuration of each family with attention of several kinds, see `configs_read`."""

from __future__ import annotations

from typing import Any

from tests.llm.oracle.configs_read import DEEPSEEK_EXPERTS, LATENT, LOCAL, SIZES, WINDOWS

Config = dict[str, Any]

_INDEXER: Config = {"index_topk": 384, "index_n_heads": 12, "index_head_dim": 96}
_ONE_ENTRY: Config = {key: value for key, value in SIZES.items() if key != "intermediate_size"} | {
    "num_key_value_heads": 1, "head_dim": 160, "q_lora_rank": 384, "o_groups": 4, "o_lora_rank": 192, "sliding_window": 256, "hc_mult": 2,
}  # fmt: skip
_V4_EXPERTS: Config = {
    "n_routed_experts": 12, "n_shared_experts": 1, "num_experts_per_tok": 3, "moe_intermediate_size": 640, "num_hash_layers": 1,
    "num_nextn_predict_layers": 1,
}  # fmt: skip
_GEMMA: Config = {
    **SIZES, "head_dim": 80, "global_head_dim": 160, "attention_k_eq_v": True, "num_global_key_value_heads": 2, "hidden_size_per_layer_input": 0,
    "sliding_window": 1024, "num_kv_shared_layers": 0, "use_double_wide_mlp": False, "tie_word_embeddings": True,
    "hidden_activation": "gelu_pytorch_tanh",
}  # fmt: skip
_SPARSE: Config = {
    "use_sparse_attention": True, "sparse_index_dim": 96, "sparse_num_index_heads": 4, "sparse_topk_blocks": 6, "sparse_block_size": 64,
    "sparse_disable_index_value": [0, 1, 1, 1, 1, 1], "sparse_score_type": "max", "sparse_init_block": 0, "sparse_local_block": 1,
    "sparse_attention_freq": [0, 1, 1, 0, 1, 1],
}  # fmt: skip
_M3: Config = {
    **SIZES, **LOCAL, "intermediate_size": 640, "dense_intermediate_size": 4352, "shared_intermediate_size": 640, "n_shared_experts": 1,
    "head_dim": 80, "hidden_act": "swigluoai", "tie_word_embeddings": False, "moe_layer_freq": [0, 1, 1, 1, 0, 1], "rotary_dim": 40,
}  # fmt: skip


def _inside(model_type: str, text: Config) -> Config:
    tied = {"tie_word_embeddings": text["tie_word_embeddings"]}
    return {"model_type": model_type, "text_config": text} | tied


CONFIGS: dict[str, Config] = {
    "mimo_v2_flash": {"model_type": "mimo_v2_flash", **SIZES, "head_dim": 96, "v_head_dim": 64, "sliding_window": 256, "layer_types": WINDOWS,
                      "n_routed_experts": 12, "num_experts_per_tok": 3, "moe_intermediate_size": 640,
                      "mlp_layer_types": ["dense", "dense", "sparse", "sparse", "sparse", "sparse"], "tie_word_embeddings": False},
    "deepseek_v32": {"model_type": "deepseek_v32", **SIZES, **LATENT, **DEEPSEEK_EXPERTS, **_INDEXER, "tie_word_embeddings": False},
    "glm_moe_dsa": {"model_type": "glm_moe_dsa", **SIZES, **LATENT, **DEEPSEEK_EXPERTS, **_INDEXER, "tie_word_embeddings": False,
                    "indexer_types": ["full", "shared", "full", "full", "shared", "shared"]},
    "glm_moe_dsa by numbers": {"model_type": "glm_moe_dsa", **SIZES, **LATENT, **DEEPSEEK_EXPERTS, **_INDEXER, "tie_word_embeddings": False,
                               "index_topk_freq": 3, "index_skip_topk_offset": 2, "qk_head_dim": 80},
    "deepseek_v4": {"model_type": "deepseek_v4", **_ONE_ENTRY, **_V4_EXPERTS, **_INDEXER, "compress_ratios": [0, 128, 4, 4, 128, 4],
                    "tie_word_embeddings": False},
    "deepseek_v4 listed": {"model_type": "deepseek_v4", **_ONE_ENTRY, **_V4_EXPERTS, **_INDEXER, "tie_word_embeddings": False,
                           "layer_types": ["heavily_compressed_attention", "compressed_sparse_attention", "sliding_attention"] * 2,
                           "compress_rates": {"compressed_sparse_attention": 8, "heavily_compressed_attention": 64}},
    "gemma4": _inside("gemma4", {"model_type": "gemma4_text", **_GEMMA, "layer_types": WINDOWS, "enable_moe_block": True, "num_experts": 12,
                                 "top_k_experts": 3, "moe_intermediate_size": 640}),
    "gemma4_text": {"model_type": "gemma4_text", **_GEMMA, "enable_moe_block": False},
    "llama4 chunks": _inside("llama4", {"model_type": "llama4_text", **SIZES, **LOCAL, "head_dim": 80, "intermediate_size": 640,
                                        "intermediate_size_mlp": 4352, "interleave_moe_layer_step": 3, "attention_chunk_size": 512,
                                        "no_rope_layers": [1, 0, 1, 1, 0, 1], "tie_word_embeddings": False}),
    "minimax_m3_vl": _inside("minimax_m3_vl", {"model_type": "minimax_m3_vl_text", **_M3, "sparse_attention_config": _SPARSE}),
    "mllama": _inside("mllama", {"model_type": "mllama_text_model", **SIZES, "cross_attention_layers": [1, 4], "tie_word_embeddings": False}),
}  # fmt: skip
"""Configurations by family; a second one of a family has a name of its own."""
