"""A configuration of each family: values that differ from the defaults of its class.

They are small. The sizes are chosen so that each key moves a figure by more than the tolerance.
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

SIZES: Config = {
    "hidden_size": 1536, "intermediate_size": 4352, "num_hidden_layers": 6, "num_attention_heads": 16,
    "num_key_value_heads": 4, "vocab_size": 24000, "max_position_embeddings": 8192,
}  # fmt: skip
ALL_HEADS = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
ALL_HEADS_OF_FALCON = {key: value for key, value in ALL_HEADS.items() if key != "intermediate_size"}
GPT: Config = {"n_embd": 1536, "n_layer": 6, "n_head": 16, "n_positions": 1024, "vocab_size": 24000}
ROUTED: Config = {"num_experts": 12, "num_experts_per_tok": 3, "moe_intermediate_size": 640}
LOCAL: Config = {"num_local_experts": 12, "num_experts_per_tok": 3}
DEEPSEEK_EXPERTS: Config = {
    "n_routed_experts": 12, "n_shared_experts": 2, "num_experts_per_tok": 3, "moe_intermediate_size": 640,
    "first_k_dense_replace": 2, "n_group": 1, "topk_group": 1,
}  # fmt: skip
LATENT: Config = {
    "num_key_value_heads": 16, "kv_lora_rank": 192, "q_lora_rank": 384, "qk_nope_head_dim": 48,
    "qk_rope_head_dim": 32, "v_head_dim": 40,
}  # fmt: skip
WINDOWS = ["sliding_attention", "sliding_attention", "full_attention"] * 2
TURNS = ["sliding_attention", "full_attention"] * 3


def of(model_type: str, *parts: Config, **more: Any) -> Config:
    """Return a configuration: the parts in order, later ones first."""
    joined: Config = {"model_type": model_type}
    for part in (*parts, more):
        joined |= part
    return joined


def inside(model_type: str, text: Config, key: str = "text_config", **more: Any) -> Config:
    """Return the configuration of a model of text and images around that of its language model."""
    tied = {name: text[name] for name in ("tie_word_embeddings",) if name in text}
    return {"model_type": model_type, **tied, **more, key: text}


_GEMMA = {"head_dim": 80, "tie_word_embeddings": False, "hidden_activation": "gelu_pytorch_tanh"}
_QWEN = {"use_sliding_window": True, "sliding_window": 1024, "max_window_layers": 2}

CONFIGS: dict[str, Config] = {
    config["model_type"] if name is None else name: config
    for name, config in (
        (None, of("llama", SIZES, head_dim=80, tie_word_embeddings=True, mlp_bias=True, rope_theta=5e5)),
        (None, of("internlm3", SIZES, head_dim=80, tie_word_embeddings=True, qkv_bias=False)),
        (None, of("granite", SIZES, tie_word_embeddings=True, attention_multiplier=0.01, logits_scaling=8.0)),
        (None, of("olmo", SIZES, tie_word_embeddings=True, clip_qkv=8.0)),
        (None, of("olmo2", SIZES, tie_word_embeddings=True)),
        (None, of("hunyuan_v1_dense", SIZES, head_dim=80, tie_word_embeddings=True, use_qk_norm=True)),
        (None, of("minicpm3", SIZES, LATENT, tie_word_embeddings=False, scale_emb=12, dim_model_base=256)),
        (None, of("glm", SIZES, head_dim=80, tie_word_embeddings=True, partial_rotary_factor=0.5)),
        (None, of("glm4", SIZES, head_dim=80, tie_word_embeddings=True, attention_bias=True)),
        (None, of("stablelm", SIZES, tie_word_embeddings=True, use_qkv_bias=True, use_parallel_residual=True)),
        (None, of("seed_oss", SIZES, head_dim=80, tie_word_embeddings=True, attention_bias=True)),
        (None, of("cohere", SIZES, tie_word_embeddings=False, logit_scale=0.1, use_qk_norm=True)),
        (None, of("smollm3", SIZES, tie_word_embeddings=False, use_sliding_window=True, sliding_window=1024, layer_types=WINDOWS)),
        (None, of("ernie4_5", SIZES, head_dim=80, tie_word_embeddings=False, use_bias=False)),
        (None, of("qwen2", SIZES, _QWEN, tie_word_embeddings=True)),
        (None, of("qwen3", SIZES, _QWEN, head_dim=80, tie_word_embeddings=True)),
        (None, of("qwen2_moe", SIZES, ROUTED, _QWEN, shared_expert_intermediate_size=1280, decoder_sparse_step=2, mlp_only_layers=[1], tie_word_embeddings=True)),
        (None, of("qwen3_moe", SIZES, ROUTED, head_dim=80, decoder_sparse_step=2, mlp_only_layers=[3], tie_word_embeddings=True, sliding_window=None, use_sliding_window=False)),
        (None, of("phi3", SIZES, tie_word_embeddings=True, sliding_window=1024, original_max_position_embeddings=4096)),
        (None, of("phi4_multimodal", SIZES, tie_word_embeddings=False, sliding_window=1024)),
        (None, of("mistral", SIZES, head_dim=80, tie_word_embeddings=True, sliding_window=1024)),
        (None, of("ministral", SIZES, head_dim=80, tie_word_embeddings=True, sliding_window=1024, layer_types=WINDOWS)),
        (None, of("ministral3", SIZES, head_dim=80, tie_word_embeddings=True, sliding_window=1024)),
        (None, of("mixtral", SIZES, LOCAL, head_dim=80, tie_word_embeddings=True, sliding_window=1024, intermediate_size=640)),
        (None, of("phimoe", SIZES, LOCAL, tie_word_embeddings=True, sliding_window=1024, intermediate_size=640, attention_bias=True, lm_head_bias=True)),
        (None, of("granitemoe", SIZES, LOCAL, tie_word_embeddings=True, intermediate_size=640)),
        (None, of("granitemoeshared", SIZES, LOCAL, tie_word_embeddings=True, intermediate_size=640, shared_intermediate_size=1280)),
        (None, of("minimax_m2", SIZES, LOCAL, head_dim=80, tie_word_embeddings=True, intermediate_size=640, attn_type_list=[1] * 6, use_qk_norm=True)),
        (None, of("deepseek_v2", SIZES, LATENT, DEEPSEEK_EXPERTS, tie_word_embeddings=True, topk_method="greedy")),
        (None, of("deepseek_v3", SIZES, LATENT, DEEPSEEK_EXPERTS, tie_word_embeddings=True, moe_layer_freq=1, num_nextn_predict_layers=1)),
        ("deepseek_v3 whole queries", of("deepseek_v3", SIZES, LATENT, DEEPSEEK_EXPERTS, q_lora_rank=None, tie_word_embeddings=False)),
        (None, of("phi", SIZES, tie_word_embeddings=True, hidden_act="gelu_new", partial_rotary_factor=0.5)),
        (None, of("gpt_neox", ALL_HEADS, tie_word_embeddings=True, hidden_act="gelu", rotary_pct=0.25)),
        (None, of("nemotron", SIZES, head_dim=80, tie_word_embeddings=True, hidden_act="relu2")),
        (None, of("persimmon", ALL_HEADS, tie_word_embeddings=True, hidden_act="relu2", qk_layernorm=False)),
        (None, of("arcee", SIZES, head_dim=80, tie_word_embeddings=True, hidden_act="relu2")),
        (None, of("apertus", SIZES, tie_word_embeddings=True, hidden_act="xielu")),
        (None, of("gpt2", GPT, n_inner=4352, tie_word_embeddings=False, activation_function="gelu_new")),
        (None, of("gptj", GPT, n_inner=4352, tie_word_embeddings=True, rotary_dim=64)),
        (None, of("codegen", GPT, n_inner=4352, tie_word_embeddings=False, n_ctx=1024)),
        (None, of("gpt_bigcode", GPT, n_inner=4352, tie_word_embeddings=False, multi_query=False)),
        (None, of("bloom", hidden_size=1536, n_layer=6, n_head=16, vocab_size=24000, seq_length=2048, tie_word_embeddings=False)),
        (None, of("mpt", d_model=1536, n_layers=6, n_heads=16, expansion_ratio=4, max_seq_len=8192, vocab_size=24000, no_bias=True,
                   attn_config={"alibi": True, "attn_impl": "torch", "attn_type": "multihead_attention"}, tie_word_embeddings=False)),
        (None, of("opt", hidden_size=1536, ffn_dim=4352, num_hidden_layers=6, num_attention_heads=16, vocab_size=24000, word_embed_proj_dim=1536,
                   max_position_embeddings=1024, tie_word_embeddings=False, do_layer_norm_before=True)),
        (None, of("falcon", ALL_HEADS_OF_FALCON, num_kv_heads=4, new_decoder_architecture=True, ffn_hidden_size=4352, tie_word_embeddings=False)),
        ("falcon one head", of("falcon", ALL_HEADS_OF_FALCON, num_kv_heads=16, new_decoder_architecture=False, multi_query=True)),
        ("falcon all heads", of("falcon", ALL_HEADS_OF_FALCON, new_decoder_architecture=False, multi_query=False, alibi=True, parallel_attn=False)),
        (None, of("starcoder2", SIZES, tie_word_embeddings=False, sliding_window=1024, use_bias=True)),
        (None, of("gemma", SIZES, _GEMMA)),
        (None, of("gemma2", SIZES, _GEMMA, sliding_window=1024, query_pre_attn_scalar=80)),
        (None, of("gemma3_text", SIZES, _GEMMA, sliding_window=1024, sliding_window_pattern=3)),
        ("gemma3", inside("gemma3", of("gemma3_text", SIZES, _GEMMA, sliding_window=1024, layer_types=WINDOWS))),
        (None, of("glm4_moe", SIZES, DEEPSEEK_EXPERTS, head_dim=80, tie_word_embeddings=True, use_qk_norm=True, num_nextn_predict_layers=1)),
        (None, of("dots1", SIZES, DEEPSEEK_EXPERTS, head_dim=80, tie_word_embeddings=True, sliding_window=1024, layer_types=WINDOWS)),
        (None, of("solar_open", SIZES, DEEPSEEK_EXPERTS, first_k_dense_replace=0, head_dim=80, tie_word_embeddings=True)),
        (None, of("hunyuan_v1_moe", SIZES, num_experts=12, moe_topk=3, head_dim=80, num_shared_expert=1, use_mixed_mlp_moe=True, tie_word_embeddings=False)),
        ("llama4", inside("llama4", of("llama4_text", SIZES, LOCAL, head_dim=80, intermediate_size=640, intermediate_size_mlp=4352, interleave_moe_layer_step=2,
                                     attention_chunk_size=1024, no_rope_layers=[1, 1, 0] * 2, tie_word_embeddings=True))),
        (None, of("cohere2", SIZES, head_dim=80, tie_word_embeddings=False, sliding_window=1024, sliding_window_pattern=3)),
        (None, of("gpt_oss", SIZES, LOCAL, head_dim=80, tie_word_embeddings=True, sliding_window=1024, intermediate_size=640, layer_types=WINDOWS)),
        (None, of("olmo3", SIZES, tie_word_embeddings=True, sliding_window=1024, layer_types=WINDOWS)),
        (None, of("olmoe", SIZES, num_experts=12, num_experts_per_tok=3, intermediate_size=640, tie_word_embeddings=True)),
        (None, of("exaone4", SIZES, head_dim=80, tie_word_embeddings=True, sliding_window=1024, sliding_window_pattern=3)),
        (None, of("ernie4_5_moe", SIZES, moe_num_experts=12, moe_k=3, moe_intermediate_size=640, moe_num_shared_experts=2, moe_layer_start_index=1,
                   moe_layer_end_index=4, moe_layer_interval=2, tie_word_embeddings=False, head_dim=80)),
        (None, of("glm4_moe_lite", SIZES, LATENT, DEEPSEEK_EXPERTS, first_k_dense_replace=1, tie_word_embeddings=True)),
        (None, of("dbrx", d_model=1536, n_heads=16, n_layers=6, max_seq_len=8192, vocab_size=24000,
                   attn_config={"kv_n_heads": 4, "clip_qkv": 8, "rope_theta": 5e5}, ffn_config={"ffn_hidden_size": 640, "moe_num_experts": 12, "moe_top_k": 3})),
        (None, of("exaone", hidden_size=1536, intermediate_size=4352, num_layers=6, num_attention_heads=16, num_key_value_heads=4, vocab_size=24000,
                   max_position_embeddings=8192, head_dim=80, activation_function="silu", tie_word_embeddings=True)),
        ("step3p7", inside("step3p7", of("step3p5", hidden_size=1536, intermediate_size=4352, num_hidden_layers=6, num_attention_heads=16, num_attention_groups=4,
                                              vocab_size=24000, max_position_embeddings=8192, head_dim=80, moe_num_experts=12, moe_top_k=3, moe_intermediate_size=640,
                                              share_expert_dim=640, moe_layers_enum="2,3,4,5", sliding_window=1024, layer_types=WINDOWS, tie_word_embeddings=True))),
        ("qwen2_vl", inside("qwen2_vl", of("qwen2_vl_text", SIZES, _QWEN, tie_word_embeddings=True))),
        ("qwen2_vl flat", of("qwen2_vl", SIZES, _QWEN, tie_word_embeddings=True)),
        ("qwen2_5_vl", inside("qwen2_5_vl", of("qwen2_5_vl_text", SIZES, _QWEN, tie_word_embeddings=True))),
        ("qwen2_5_omni", inside("qwen2_5_omni", inside("qwen2_5_omni_thinker", of("qwen2_5_omni_text", SIZES, _QWEN, tie_word_embeddings=False)), "thinker_config")),
        ("qwen2_audio", inside("qwen2_audio", of("qwen2", SIZES, _QWEN, tie_word_embeddings=True))),
        ("qwen3_vl", inside("qwen3_vl", of("qwen3_vl_text", SIZES, head_dim=80, tie_word_embeddings=True))),
        ("qwen3_vl_moe", inside("qwen3_vl_moe", of("qwen3_vl_moe_text", SIZES, ROUTED, head_dim=80, decoder_sparse_step=2, mlp_only_layers=[3], tie_word_embeddings=False))),
        ("qwen3_omni_moe", inside("qwen3_omni_moe", inside("qwen3_omni_moe_thinker", of("qwen3_omni_moe_text", SIZES, ROUTED, head_dim=80, decoder_sparse_step=2,
                                                                                    mlp_only_layers=[3], tie_word_embeddings=False)), "thinker_config")),
        ("glm4v", inside("glm4v", of("glm4v_text", SIZES, head_dim=96, attention_bias=True))),
        ("glm4v_moe", inside("glm4v_moe", of("glm4v_moe_text", SIZES, DEEPSEEK_EXPERTS, head_dim=80, tie_word_embeddings=True))),
        ("kimi_k25", inside("kimi_k25", of("deepseek_v3", SIZES, LATENT, DEEPSEEK_EXPERTS, tie_word_embeddings=True))),
        ("mistral3", inside("mistral3", of("mistral", SIZES, head_dim=80, tie_word_embeddings=False, sliding_window=None))),
        ("llava", inside("llava", of("llama", SIZES, head_dim=80, tie_word_embeddings=False))),
    )
}  # fmt: skip
"""Configurations by family; a second one of a family has a name of its own."""
