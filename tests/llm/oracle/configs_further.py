"""A configuration of each further family that the library knows."""

from __future__ import annotations

from typing import Any

from tests.llm.oracle.configs_read import (
    DEEPSEEK_EXPERTS,
    GPT,
    LATENT,
    LOCAL,
    ROUTED,
    SIZES,
    WINDOWS,
    inside,
    of,
)

Config = dict[str, Any]

_DENSE = {"tie_word_embeddings": False}
_LATENT_EXPERTS = {
    key: value
    for key, value in (LATENT | DEEPSEEK_EXPERTS).items()
    if key != "first_k_dense_replace"
}
_FIRST_DENSE = ["dense"] * 2 + ["sparse"] * 4

CONFIGS: dict[str, Config] = {
    config["model_type"] if name is None else name: config
    for name, config in (
        (None, of("afmoe", SIZES, ROUTED, head_dim=80, num_dense_layers=2, num_shared_experts=2, sliding_window=1024, global_attn_every_n_layers=3, **_DENSE)),
        (None, of("apertus1p5_text", SIZES, hidden_act="xielu", **_DENSE)),
        (None, inside("aria", of("aria_text", SIZES, head_dim=96, intermediate_size=640, moe_num_experts=12, moe_topk=3, moe_num_shared_experts=2, **_DENSE))),
        (None, of("axk1", SIZES, _LATENT_EXPERTS, mlp_layer_types=_FIRST_DENSE, **_DENSE)),
        (None, of("axk2", SIZES, _LATENT_EXPERTS, mlp_layer_types=_FIRST_DENSE, index_topk=512, index_head_dim=64, index_n_heads=8, **_DENSE)),
        (None, of("bitnet", SIZES, **_DENSE)),
        (None, of("cohere2_moe", SIZES, num_experts=12, num_experts_per_tok=3, intermediate_size=640, head_dim=80, sliding_window=1024, sliding_window_pattern=3,
                  num_shared_experts=1, tie_word_embeddings=True)),
        (None, of("cwm", SIZES, head_dim=80, sliding_window=1024, layer_types=WINDOWS, **_DENSE)),
        (None, of("diffllama", SIZES, head_dim=96, **_DENSE)),
        (None, of("doge", SIZES, tie_word_embeddings=False)),
        ("doge experts", of("doge", SIZES, is_moe=True, num_experts=64, num_experts_per_tok=4, tie_word_embeddings=False)),
        (None, of("exaone_moe", SIZES, ROUTED, head_dim=80, sliding_window=1024, sliding_window_pattern=3, first_k_dense_replace=2, num_shared_experts=1, **_DENSE)),
        (None, of("flex_olmo", SIZES, num_experts=12, num_experts_per_tok=3, intermediate_size=640, **_DENSE)),
        (None, of("flint", SIZES, ROUTED, head_dim=80, shared_expert_intermediate_size=1280, mlp_only_layers=[0, 1], sliding_window=513, layer_types=WINDOWS, **_DENSE)),
        (None, of("granite_swa", SIZES, sliding_window=128, layer_types=WINDOWS, tie_word_embeddings=True)),
        (None, of("granitemoe_swa", SIZES, LOCAL, intermediate_size=640, shared_intermediate_size=1280, sliding_window=128, layer_types=WINDOWS, **_DENSE)),
        (None, of("helium", SIZES, head_dim=96, **_DENSE)),
        (None, of("hy_v3", SIZES, ROUTED, head_dim=80, num_shared_experts=1, mlp_layer_types=_FIRST_DENSE, **_DENSE)),
        (None, of("hy_v4", SIZES, _LATENT_EXPERTS, mlp_layer_types=_FIRST_DENSE, index_topk=512, index_head_dim=64, index_n_heads=8, hc_mult=4,
                  indexer_types=["full", "full", "shared"] * 2, **_DENSE)),
        (None, of("hyperclovax", SIZES, head_dim=96, **_DENSE)),
        (None, of("inkling_text", SIZES, LOCAL, head_dim=80, swa_num_attention_heads=16, swa_num_key_value_heads=8, swa_head_dim=80, sliding_window_size=512,
                  moe_intermediate_size=640, n_routed_experts=12, n_shared_experts=2, mlp_layer_types=_FIRST_DENSE, conv_kernel_size=4)),
        (None, of("iquestcoder", SIZES, head_dim=80, **_DENSE)),
        (None, of("jais2", SIZES, head_dim=80, **_DENSE)),
        (None, of("jetmoe", hidden_size=1536, num_hidden_layers=6, num_key_value_heads=8, kv_channels=96, intermediate_size=1280, vocab_size=24000,
                  max_position_embeddings=8192, num_local_experts=12, num_experts_per_tok=2, tie_word_embeddings=True)),
        (None, of("kolibri1", SIZES, LOCAL, head_dim=80, moe_intermediate_size=640, shared_expert_intermediate_size=640, sliding_window=513, layer_types=WINDOWS, **_DENSE)),
        (None, of("laguna", SIZES, ROUTED, head_dim=80, shared_expert_intermediate_size=640, sliding_window=512, layer_types=WINDOWS, mlp_layer_types=_FIRST_DENSE, **_DENSE)),
        (None, of("lara_mini", SIZES, ROUTED, head_dim=80, shared_expert_intermediate_size=640, sliding_window=512, linear_conv_kernel_dim=4, linear_key_head_dim=64,
                  linear_value_head_dim=64, linear_num_key_heads=8, linear_num_value_heads=16, layer_types=["linear_attention", "sliding_attention", "full_attention"] * 2)),
        (None, of("lfm3", SIZES, head_dim=80, conv_L_cache=7, sliding_window=256, layer_types=["conv", "full_attention", "sliding_attention"] * 2)),
        (None, of("mellum", SIZES, LOCAL, head_dim=80, moe_intermediate_size=640, sliding_window=1024, layer_types=WINDOWS, mlp_layer_types=["sparse"] * 6, **_DENSE)),
        (None, of("mistral4", SIZES, LATENT, DEEPSEEK_EXPERTS, head_dim=80, **_DENSE)),
        (None, inside("mistral_large4", of("mistral_large4_text", SIZES, _LATENT_EXPERTS, q_lora_rank=None, first_k_dense_replace=2, index_topk=512, index_head_dim=64,
                                           index_n_heads=8, indexer_types=["full"] * 6, **_DENSE))),
        (None, of("nanochat", SIZES, **_DENSE)),
        (None, of("sarvam_mla", SIZES, LATENT, DEEPSEEK_EXPERTS, **_DENSE)),
        (None, of("sarvam_moe", SIZES, DEEPSEEK_EXPERTS, head_dim=80, **_DENSE)),
        (None, of("vaultgemma", SIZES, head_dim=80, sliding_window=512, tie_word_embeddings=True)),
        (None, of("xglm", d_model=1536, ffn_dim=4352, num_layers=6, attention_heads=16, vocab_size=24000, max_position_embeddings=2048, tie_word_embeddings=True)),
        (None, of("youtu", SIZES, LATENT, **_DENSE)),
        (None, of("zaya", SIZES, ROUTED, num_experts_per_tok=1, head_dim=96, router_hidden_size=256, tie_word_embeddings=True)),
        (None, inside("muse_glimmer", of("muse_glimmer_text", SIZES, head_dim=80, sliding_window=512, layer_types=WINDOWS, **_DENSE))),
        (None, inside("glm5_next", of("glm5_next_text", SIZES, _LATENT_EXPERTS, qk_rope_head_dim=0, mlp_layer_types=_FIRST_DENSE, index_topk=512, index_head_dim=64, index_n_heads=8,
                                      linear_head_dim=64, linear_num_heads=16, layer_types=["linear_attention", "linear_attention", "indexed_attention"] * 2))),
        (None, inside("gemma4_unified", of("gemma4_unified_text", SIZES, head_dim=80, sliding_window=512, layer_types=WINDOWS, tie_word_embeddings=True))),
        (None, of("ctrl", {key: value for key, value in GPT.items() if key != "n_positions"}, n_positions=1024, dff=4352, tie_word_embeddings=True)),
        (None, inside("paddleocr_vl", of("paddleocr_vl_text", SIZES, head_dim=80, tie_word_embeddings=True))),
        (None, inside("internvl", of("qwen3", SIZES, head_dim=80, **_DENSE))),
        (None, inside("aya_vision", of("cohere2", SIZES, head_dim=80, sliding_window=1024, sliding_window_pattern=3, tie_word_embeddings=True))),
        (None, inside("idefics3", of("llama", SIZES, head_dim=80, **_DENSE))),
        (None, inside("smolvlm", of("llama", SIZES, head_dim=80, **_DENSE))),
        (None, inside("paligemma", of("gemma", SIZES, head_dim=80, tie_word_embeddings=True))),
        (None, inside("granite_speech", of("granite", SIZES, **_DENSE))),
        (None, inside("voxtral", of("llama", SIZES, head_dim=80, **_DENSE))),
        (None, inside("lfm2_vl", of("lfm2", SIZES, conv_L_cache=3, block_auto_adjust_ff_dim=False, layer_types=["conv", "conv", "full_attention"] * 2))),
        (None, inside("perception_lm", of("llama", SIZES, head_dim=80, **_DENSE))),
        (None, inside("ovis2", of("qwen2", SIZES, **_DENSE))),
    )
}  # fmt: skip
"""Configurations by family; a second one of a family has a name of its own."""
