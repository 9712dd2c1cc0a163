"""Families of models as they are published: sizes from their model cards, or a refusal by key."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.llm.config_files import from_hugging_face
from tests.llm.configurations import model

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": 128001,
    "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 131072,
    "mlp_bias": False, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "pretraining_tp": 1,
    "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "rope_type": "llama3"}, "rope_theta": 500000.0,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.42.3", "use_cache": True, "vocab_size": 128256,
}  # fmt: skip

PUBLISHED: dict[str, tuple[dict[str, Any], float]] = {
    "llama-3.1-8b": (LLAMA, 8.03e9),
    "qwen2.5-7b": ({
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "hidden_act": "silu", "hidden_size": 3584, "initializer_range": 0.02,
        "intermediate_size": 18944, "max_position_embeddings": 32768, "max_window_layers": 28, "model_type": "qwen2", "num_attention_heads": 28,
        "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 131072,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "use_cache": True, "use_sliding_window": False, "vocab_size": 152064,
    }, 7.62e9),
    "qwen2.5-vl-7b": ({
        "architectures": ["Qwen2_5_VLForConditionalGeneration"], "attention_dropout": 0.0, "vision_start_token_id": 151652, "hidden_act": "silu",
        "hidden_size": 3584, "intermediate_size": 18944, "max_position_embeddings": 128000, "max_window_layers": 28, "model_type": "qwen2_5_vl",
        "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "sliding_window": 32768,
        "tie_word_embeddings": False, "use_sliding_window": False, "vision_config": {"depth": 32, "hidden_size": 1280, "num_heads": 16},
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "vocab_size": 152064,
    }, 7.62e9),
    "phi-3-mini": ({
        "architectures": ["Phi3ForCausalLM"], "attention_dropout": 0.0, "embd_pdrop": 0.0, "hidden_act": "silu", "hidden_size": 3072,
        "intermediate_size": 8192, "max_position_embeddings": 4096, "model_type": "phi3", "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 32, "original_max_position_embeddings": 4096, "resid_pdrop": 0.0, "sliding_window": 2047, "vocab_size": 32064,
        "tie_word_embeddings": False,
    }, 3.82e9),
    "phi-3.5-moe": ({
        "architectures": ["PhiMoEForCausalLM"], "attention_bias": True, "hidden_act": "silu", "hidden_size": 4096, "hidden_dropout": 0.0,
        "input_jitter_noise": 0.01, "intermediate_size": 6400, "lm_head_bias": True, "max_position_embeddings": 131072, "model_type": "phimoe",
        "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 16,
        "router_aux_loss_coef": 0.0, "router_jitter_noise": 0.01, "sliding_window": 131072, "vocab_size": 32064, "tie_word_embeddings": False,
    }, 41.9e9),
    "mixtral-8x7b": ({
        "architectures": ["MixtralForCausalLM"], "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336, "model_type": "mixtral",
        "max_position_embeddings": 32768, "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8,
        "num_local_experts": 8, "output_router_logits": False, "router_aux_loss_coef": 0.02, "sliding_window": None, "vocab_size": 32000,
        "tie_word_embeddings": False,
    }, 46.7e9),
    "gemma-2-9b": ({
        "architectures": ["Gemma2ForCausalLM"], "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "cache_implementation": "hybrid",
        "head_dim": 256, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 3584, "intermediate_size": 14336,
        "max_position_embeddings": 8192, "model_type": "gemma2", "num_attention_heads": 16, "num_hidden_layers": 42, "num_key_value_heads": 8,
        "query_pre_attn_scalar": 256, "sliding_window": 4096, "sliding_window_size": 4096, "vocab_size": 256000,
    }, 9.24e9),
    "gemma-3-4b": ({  # only what differs from the defaults of the library
        "architectures": ["Gemma3ForConditionalGeneration"], "boi_token_index": 255999, "mm_tokens_per_image": 256, "model_type": "gemma3",
        "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
                        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024},
        "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27},
    }, 3.88e9),
    "command-r7b": ({
        "architectures": ["Cohere2ForCausalLM"], "cache_implementation": "hybrid", "head_dim": 128, "hidden_act": "silu", "hidden_size": 4096,
        "intermediate_size": 14336, "layer_switch": 4, "logit_scale": 0.25, "max_position_embeddings": 8192, "model_type": "cohere2",
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "order_of_interleaved_layers": "local_attn_first",
        "position_embedding_type": "rope_gptj", "rotary_pct": 1.0, "sliding_window": 4096, "sliding_window_pattern": 4,
        "use_embedding_sharing": True, "use_gated_activation": True, "use_parallel_block": True, "use_parallel_embedding": True, "vocab_size": 256000,
    }, 8.03e9),
    "olmo-2-7b": ({
        "architectures": ["Olmo2ForCausalLM"], "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 11008, "model_type": "olmo2",
        "max_position_embeddings": 4096, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "vocab_size": 100352,
        "tie_word_embeddings": False,
    }, 7.30e9),
    "granite-3.1-8b": ({
        "architectures": ["GraniteForCausalLM"], "attention_multiplier": 0.0078125, "embedding_multiplier": 12.0, "logits_scaling": 16.0,
        "residual_multiplier": 0.22, "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 12800, "max_position_embeddings": 131072,
        "model_type": "granite", "num_attention_heads": 32, "num_hidden_layers": 40, "num_key_value_heads": 8, "vocab_size": 49155,
        "tie_word_embeddings": True,
    }, 8.17e9),
    "granite-3.1-3b-a800m": ({
        "architectures": ["GraniteMoeForCausalLM"], "attention_multiplier": 0.015625, "hidden_act": "silu", "hidden_size": 1536,
        "intermediate_size": 512, "max_position_embeddings": 131072, "model_type": "granitemoe", "num_attention_heads": 24,
        "num_experts_per_tok": 8, "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 40, "tie_word_embeddings": True,
        "vocab_size": 49155,
    }, 3.30e9),
    "smollm3-3b": ({
        "architectures": ["SmolLM3ForCausalLM"], "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 11008, "layer_types":
        ["full_attention"] * 36, "max_position_embeddings": 65536, "max_window_layers": 28, "model_type": "smollm3", "no_rope_layer_interval": 4,
        "no_rope_layers": [1, 1, 1, 0] * 9, "num_attention_heads": 16, "num_hidden_layers": 36, "num_key_value_heads": 4, "sliding_window": None,
        "use_sliding_window": False, "vocab_size": 128256,
    }, 3.08e9),
    "glm-4.5-air": ({
        "architectures": ["Glm4MoeForCausalLM"], "attention_bias": True, "first_k_dense_replace": 1, "head_dim": 128, "hidden_act": "silu",
        "hidden_size": 4096, "intermediate_size": 10944, "max_position_embeddings": 131072, "model_type": "glm4_moe", "moe_intermediate_size": 1408,
        "n_group": 1, "n_routed_experts": 128, "n_shared_experts": 1, "norm_topk_prob": True, "num_attention_heads": 96, "num_experts_per_tok": 8,
        "num_hidden_layers": 46, "num_key_value_heads": 8, "num_nextn_predict_layers": 1, "partial_rotary_factor": 0.5,
        "routed_scaling_factor": 1.0, "tie_word_embeddings": False, "topk_group": 1, "use_qk_norm": False, "vocab_size": 151552,
    }, 106.8e9),
    "gpt-oss-20b": ({
        "architectures": ["GptOssForCausalLM"], "attention_bias": True, "attention_dropout": 0.0, "experts_per_token": 4, "head_dim": 64,
        "hidden_act": "silu", "hidden_size": 2880, "initial_context_length": 4096, "intermediate_size": 2880,
        "layer_types": ["sliding_attention", "full_attention"] * 12, "max_position_embeddings": 131072, "model_type": "gpt_oss",
        "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 24, "num_key_value_heads": 8, "num_local_experts": 32,
        "output_router_logits": False, "quantization_config": {"modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
        "model.embed_tokens", "lm_head"], "quant_method": "mxfp4"}, "rope_theta": 150000, "router_aux_loss_coef": 0.9, "sliding_window": 128,
        "swiglu_limit": 7.0, "tie_word_embeddings": False, "vocab_size": 201088,
    }, 20.9e9),
    "minimax-m2": ({
        "architectures": ["MiniMaxM2ForCausalLM"], "attn_type_list": [1] * 62, "head_dim": 128, "hidden_act": "silu", "hidden_size": 3072,
        "intermediate_size": 1536, "max_position_embeddings": 196608, "model_type": "minimax_m2", "mtp_transformer_layers": 1,
        "num_attention_heads": 48, "num_experts_per_tok": 8, "num_hidden_layers": 62, "num_key_value_heads": 8, "num_local_experts": 256,
        "num_mtp_modules": 3, "qk_norm_type": "per_layer", "rotary_dim": 64, "scoring_func": "sigmoid", "shared_intermediate_size": 0,
        "tie_word_embeddings": False, "use_mtp": True, "use_qk_norm": True, "use_routing_bias": True, "vocab_size": 200064,
        "quantization_config": {"activation_scheme": "dynamic", "fmt": "float8_e4m3fn", "quant_method": "fp8", "weight_block_size": [128, 128],
        "modules_to_not_convert": ["gate", "e_score_correction_bias", "lm_head"]},
    }, 228.7e9),
    "olmoe-1b-7b": ({
        "architectures": ["OlmoeForCausalLM"], "clip_qkv": None, "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 1024,
        "max_position_embeddings": 4096, "model_type": "olmoe", "norm_topk_prob": False, "num_attention_heads": 16, "num_experts": 64,
        "num_experts_per_tok": 8, "num_hidden_layers": 16, "num_key_value_heads": 16, "router_aux_loss_coef": 0.01, "vocab_size": 50304,
        "tie_word_embeddings": False,
    }, 6.92e9),
    "mistral-small-3.1": ({
        "architectures": ["Mistral3ForConditionalGeneration"], "image_token_index": 10, "model_type": "mistral3", "multimodal_projector_bias": False,
        "spatial_merge_size": 2, "vision_feature_layer": -1, "text_config": {
            "attention_dropout": 0.0, "head_dim": 128, "hidden_act": "silu", "hidden_size": 5120, "intermediate_size": 32768,
            "max_position_embeddings": 131072, "model_type": "mistral", "num_attention_heads": 32, "num_hidden_layers": 40,
            "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 1e9, "sliding_window": None, "vocab_size": 131072},
        "vision_config": {"hidden_size": 1024},
    }, 23.57e9),
    "falcon-7b": ({
        "alibi": False, "apply_residual_connection_post_layernorm": False, "architectures": ["FalconForCausalLM"], "attention_dropout": 0.0,
        "bias": False, "hidden_dropout": 0.0, "hidden_size": 4544, "model_type": "falcon", "multi_query": True, "new_decoder_architecture": False,
        "num_attention_heads": 71, "num_hidden_layers": 32, "num_kv_heads": 71, "parallel_attn": True, "vocab_size": 65024,
    }, 6.92e9),
    "bloom-7b1": ({
        "apply_residual_connection_post_layernorm": False, "architectures": ["BloomForCausalLM"], "attention_softmax_in_fp32": True,
        "hidden_dropout": 0.0, "masked_softmax_fusion": True, "model_type": "bloom", "n_embed": 4096, "n_inner": None, "n_layer": 30,
        "num_attention_heads": 32, "offset_alibi": 100, "seq_length": 2048, "skip_bias_add": True, "slow_but_exact": False, "vocab_size": 250880,
    }, 7.07e9),
    "gpt2": ({
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "embd_pdrop": 0.1, "model_type": "gpt2",
        "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": None,
        "summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index", "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"max_length": 50}}, "vocab_size": 50257,
    }, 0.1244e9),
    "mpt-7b": ({
        "architectures": ["MPTForCausalLM"], "attn_config": {"alibi": True, "attn_impl": "torch", "attn_type": "multihead_attention"},
        "d_model": 4096, "expansion_ratio": 4, "init_config": {"name": "kaiming_normal_"}, "learned_pos_emb": True, "max_seq_len": 2048,
        "model_type": "mpt", "n_heads": 32, "n_layers": 32, "no_bias": True, "norm_type": "low_precision_layernorm", "vocab_size": 50432,
    }, 6.65e9),
    "starcoder2-15b": ({
        "activation_function": "gelu_pytorch_tanh", "architectures": ["Starcoder2ForCausalLM"], "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": 6144, "intermediate_size": 24576, "max_position_embeddings": 16384, "mlp_type": "default", "model_type": "starcoder2",
        "norm_type": "layer_norm", "num_attention_heads": 48, "num_hidden_layers": 40, "num_key_value_heads": 4, "sliding_window": 4096,
        "tie_word_embeddings": False, "use_bias": True, "vocab_size": 49152,
    }, 15.96e9),
    "gpt-j-6b": ({
        "activation_function": "gelu_new", "architectures": ["GPTJForCausalLM"], "model_type": "gptj", "n_embd": 4096, "n_head": 16,
        "n_inner": None, "n_layer": 28, "n_positions": 2048, "rotary_dim": 64, "tie_word_embeddings": False, "vocab_size": 50400,
    }, 6.05e9),
    "exaone-4.0-32b": ({
        "architectures": ["Exaone4ForCausalLM"], "head_dim": 128, "hidden_act": "silu", "hidden_size": 5120, "intermediate_size": 27392,
        "layer_types": (["sliding_attention"] * 3 + ["full_attention"]) * 16, "max_position_embeddings": 131072, "model_type": "exaone4",
        "num_attention_heads": 40, "num_hidden_layers": 64, "num_key_value_heads": 8, "sliding_window": 4096, "sliding_window_pattern": "LLLG",
        "tie_word_embeddings": False, "vocab_size": 102400,
    }, 32.0e9),
    "kimi-vl-a3b": ({  # the language model of DeepSeek-V3's kind inside
        "architectures": ["KimiVLForConditionalGeneration"], "model_type": "kimi_vl", "media_placeholder_token_id": 163605, "text_config": {
            "model_type": "deepseek_v3", "hidden_size": 2048, "intermediate_size": 11264, "moe_intermediate_size": 1408, "num_hidden_layers": 27,
            "num_attention_heads": 16, "num_key_value_heads": 16, "n_shared_experts": 2, "n_routed_experts": 64, "routed_scaling_factor": 2.446,
            "kv_lora_rank": 512, "q_lora_rank": None, "qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128, "topk_method": "noaux_tc",
            "n_group": 1, "topk_group": 1, "num_experts_per_tok": 6, "moe_layer_freq": 1, "first_k_dense_replace": 1, "scoring_func": "sigmoid",
            "vocab_size": 163840, "max_position_embeddings": 131072, "tie_word_embeddings": False},
    }, 15.96e9),
}  # fmt: skip
"""Files as published, less keys of generation, and the parameters of the language part by the
model card or the checkpoint's index."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_family_has_its_published_size(name: str):
    config, parameters = PUBLISHED[name]
    made = model(config)
    assert made.total_parameters == approx(parameters, rel=0.01)
    assert not any("not known" in note for note in made.notes or ()), "a known family"


def test_windows_of_families_are_in_their_layers():
    for name, layers in [
        ("qwen2.5-7b", 0),
        ("gemma-2-9b", 21),
        ("gemma-3-4b", 29),
        ("command-r7b", 24),
        ("gpt-oss-20b", 12),
        ("exaone-4.0-32b", 48),
        ("starcoder2-15b", 40),
    ]:
        window = model(PUBLISHED[name][0]).window
        assert (window.layers if window else 0) == layers, name


def test_heads_of_keys_and_values_are_those_of_the_family():
    for name, kv_heads in [("falcon-7b", 1), ("gpt2", 12), ("mpt-7b", 32), ("gemma-3-4b", 4)]:
        assert model(PUBLISHED[name][0]).kv_heads == kv_heads, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "model_type: got 'bert', an encoder; it decodes nothing"),
        ({"model_type": "modernbert"}, "model_type: got 'modernbert', an encoder; it decodes nothing"),
        ({"model_type": "t5"}, "model_type: got 't5', an encoder and a decoder with cross-attention; not simulated yet"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder: got true, an encoder and a decoder with cross-attention; not simulated yet"),
        ({"model_type": "zamba2"}, "model_type: got 'zamba2', layers with a state (Mamba, RWKV, convolutions); not simulated yet"),
        ({"model_type": "rwkv5"}, "model_type: got 'rwkv5', layers with a state (Mamba, RWKV, convolutions); not simulated yet"),
        ({"model_type": "qwen3_6"}, "model_type: got 'qwen3_6', layers of linear attention; not simulated yet"),
        ({"model_type": "gemma3n_text"}, "model_type: got 'gemma3n_text', layers of several kinds that differ in inputs, heads or experts; not simulated yet"),
        ({"model_type": "longcat_flash_ngram"}, "model_type: got 'longcat_flash_ngram', two attentions per layer and experts that compute nothing; not simulated yet"),
        ({"mamba_d_state": 16, "mamba_d_conv": 4}, "mamba_d_state, mamba_d_conv: got 16, layers with a state (Mamba, RWKV, convolutions); not simulated yet"),
        ({"index_topk": 2048}, "index_topk: got 2048, sparse attention; not simulated yet"),
        ({"attention_chunk_size": 8192}, "attention_chunk_size: got 8192, attention to chunks of the context; not simulated yet"),
        ({"num_kv_shared_layers": 20}, "num_kv_shared_layers: got 20, layers that share a KV cache or have additional inputs; not simulated yet"),
        ({"attn_type_list": [0, 1] * 16}, "attn_type_list: got a list, layers of linear attention; not simulated yet"),
        ({"model_type": "kin", "v_head_dim": 64, "head_dim": 128}, "v_head_dim: got 64; expected the width of keys, 128: values of another width are not simulated yet"),
        ({"model_type": "kin", "num_key_value_heads": [8, 4] * 16}, "num_key_value_heads: got a list of different values; expected one value: layers of different widths are not simulated yet"),
        ({"model_type": "kin", "num_experts": 8}, "num_experts_per_tok: is missing; expected a whole number"),
        ({"num_experts_per_tok": 8}, "num_experts_per_tok: got 8; expected known keys: the effect of these is not simulated yet"),
        ({"num_memory_blocks": 3}, "num_memory_blocks: got 3; expected known keys: the effect of these is not simulated yet"),
        ({"model_type": "x", "layer_mixers": ["a"], "expert_rank": 4}, "layer_mixers, expert_rank: got a list; expected known keys: the effect of these is not simulated yet"),
        ({"model_type": "x", "architectures": ["X"], "hidden_act": "relu2"}, "hidden_act: got 'relu2' in an unknown architecture; expected silu or a known model_type: with other activations a feed-forward part may have two or three matrices"),
        ({"model_type": "kin", "num_experts": 8, "num_local_experts": 16, "num_experts_per_tok": 2}, "num_local_experts and num_experts: got 16 and 8; expected one value"),
        ({"model_type": "kin", "layer_types": ["full_attention"] * 3}, "layer_types: got a list of 3; expected 32 entries, one per layer"),
        ({"model_type": "kin", "sliding_window": 512}, "sliding_window: got 512; expected layer_types or sliding_window_pattern in addition, to know which layers have the window"),
        ({"torch_dtype": "float8_e4m3fn"}, "dtype: got 'float8_e4m3fn'; expected bfloat16, float16 or float32, with quantization_config for narrower weights"),
    ],
)  # fmt: skip
def test_what_is_not_simulated_is_refused_by_name_and_key(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=r".") as told:
        from_hugging_face(LLAMA | changes, "x")
    assert str(told.value) == message


def test_keys_that_ask_for_nothing_are_read():
    nothing = {
        "index_topk": None, "attention_chunk_size": None, "mamba_d_state": 0, "num_kv_shared_layers": 0, "full_attention_interval": 1,
        "enable_moe_block": False, "attn_type_list": [1] * 32, "cross_attention_layers": [], "num_experts": 0,
    }  # fmt: skip
    assert model(LLAMA | nothing) == model(LLAMA)


def test_an_unknown_architecture_with_known_keys_is_read_with_a_warning():
    made = model(LLAMA | {"model_type": "alpaca", "architectures": ["AlpacaForCausalLM"]})
    assert made.model_copy(update={"notes": None}) == model(LLAMA)
    assert made.notes == (
        "model_type: got 'alpaca', which is not known; the file is read as a model like Llama, because all of its keys are known; "
        "head_dim is missing; hidden_size divided by the number of heads is used",
    )


def test_spellings_since_transformers_5_are_the_same_model():
    renamed = {
        key: value
        for key, value in LLAMA.items()
        if key not in ("torch_dtype", "rope_scaling", "rope_theta")
    }
    renamed |= {"dtype": "bfloat16", "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}
    of_old = model(LLAMA)
    assert model(renamed).model_copy(update={"read_from": of_old.read_from}) == of_old


@pytest.mark.parametrize("key", ["text_config", "language_config", "llm_config"])
def test_the_language_model_inside_another_is_the_same_model(key: str):
    outside = {"model_type": "seer", "hidden_size": 17, "vision_layer_index": 3, key: LLAMA}
    assert model(outside) == model(LLAMA)
    thinker = {"model_type": "omni", "thinker_config": {"model_type": "omni_thinker", key: LLAMA}}
    assert model(thinker) == model(LLAMA)


def test_lists_of_one_value_per_layer_are_that_value():
    listed = LLAMA | {"num_key_value_heads": [8] * 32, "intermediate_size": [14336] * 32}
    assert model(listed) == model(LLAMA)


@pytest.mark.parametrize(
    ("experts", "expected"),
    [
        ({"num_experts": 64, "num_experts_per_tok": 6}, (64, 6, 0, 0)),
        ({"moe_num_experts": 64, "moe_k": 8, "moe_layer_start_index": 3, "moe_layer_end_index": 31}, (64, 8, 0, 3)),
        ({"moe_num_experts": 64, "moe_k": 8, "moe_layer_start_index": 1, "moe_layer_end_index": 30, "moe_layer_interval": 2}, (64, 8, 0, 17)),
        ({"num_experts": 256, "num_experts_per_token": 8, "num_shared_experts": 1, "first_k_dense_replace": 1}, (256, 8, 1, 1)),
        ({"num_local_experts": 128, "num_experts_per_tok": 4, "mlp_layer_types": ["dense"] * 3 + ["sparse"] * 29}, (128, 4, 0, 3)),
        ({"num_experts": 64, "moe_top_k": 2, "moe_layers_enum": "4,5,6"}, (64, 2, 0, 29)),
        ({"num_experts": 64, "num_experts_per_tok": 2, "share_expert_dim": 4096}, (64, 2, 2, 0)),
    ],
)  # fmt: skip
def test_experts_are_found_under_all_their_names(
    experts: dict[str, Any], expected: tuple[int, ...]
):
    made = model(LLAMA | {"model_type": "kin", "moe_intermediate_size": 2048} | experts)
    assert made.experts is not None
    found = made.experts
    assert (found.count, found.top_k, found.shared, found.dense_layers) == expected
    assert found.ffn == 2048


def test_a_feed_forward_part_without_gate_has_two_matrices():
    gated = model(LLAMA)
    plain = gated.model_copy(update={"ffn_gated": False})
    assert gated.ffn_parameters == gated.layers * 3 * 4096 * 14336
    assert plain.ffn_parameters == plain.layers * 2 * 4096 * 14336
    assert gated.total_parameters - plain.total_parameters == 32 * 4096 * 14336
    assert gated.weight_bytes("bf16") - plain.weight_bytes("bf16") == 2 * 32 * 4096 * 14336


def test_a_model_and_the_language_model_inside_agree_on_tied_embeddings():
    inside = {"model_type": "llava", "tie_word_embeddings": True, "text_config": LLAMA}
    with pytest.raises(ValueError, match=r".") as told:
        from_hugging_face(inside, "x")
    assert str(told.value) == (
        "tie_word_embeddings: got true outside and false inside the language model; expected one value"
    )
    for nothing in ({"tie_word_embeddings": None}, {}):
        text = {key: value for key, value in LLAMA.items() if key != "tie_word_embeddings"}
        assert model(inside | {"text_config": text | nothing}).tied_embeddings
