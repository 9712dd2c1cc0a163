"""Keys about layers that the configuration class of each family has; the class ignores other keys.

A key of another family changes nothing there. A file with such a key is refused, unless the value
requests nothing or repeats the value of a key that counts. The keys are those of transformers 5.24.
"""

from __future__ import annotations

_COMMON = (
    "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim vocab_size "
    "max_position_embeddings tie_word_embeddings"
)
_GPT = "-intermediate_size -num_key_value_heads -head_dim n_embd n_head n_inner n_layer n_positions"
_WINDOWS = "sliding_window layer_types"
_QWEN = f"{_WINDOWS} use_sliding_window max_window_layers"
_ROUTED = (
    "num_experts num_experts_per_tok moe_intermediate_size decoder_sparse_step mlp_only_layers"
)
_LOCAL = "num_local_experts num_experts_per_tok"
_DEEPSEEK = "n_routed_experts num_local_experts n_shared_experts num_experts_per_tok moe_intermediate_size first_k_dense_replace"
_LATENT = "kv_lora_rank q_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim"

_ALIKE = {
    "llama internlm3 granite olmo olmo2 hunyuan_v1_dense glm glm4 seed_oss ernie4_5 phi arcee apertus gemma "
    "glm4v_text qwen3_vl_text": "",
    "cohere": "model_max_length",
    "nemotron": "",
    "gpt_neox": "-num_key_value_heads -head_dim",
    "persimmon": "-num_key_value_heads -head_dim",
    "stablelm": "-head_dim",
    "exaone": "num_layers activation_function",
    "phi3 phi4_multimodal mistral ministral3 starcoder2": "sliding_window",
    "ministral gemma2 olmo3": _WINDOWS,
    "gpt_oss": f"{_LOCAL} num_experts {_WINDOWS}",
    "exaone4 cohere2 gemma3 gemma3_text": f"{_WINDOWS} sliding_window_pattern _sliding_window_pattern",
    "smollm3": f"{_WINDOWS} use_sliding_window",
    "qwen2 qwen3 qwen2_5_omni_text": _QWEN,
    "qwen2_vl qwen2_vl_text qwen2_5_vl qwen2_5_vl_text": f"{_QWEN} -head_dim",
    "qwen2_moe": f"{_QWEN} {_ROUTED} shared_expert_intermediate_size",
    "qwen3_moe": f"{_ROUTED} num_local_experts sliding_window use_sliding_window",
    "qwen3_vl_moe_text": f"{_ROUTED} num_local_experts",
    "qwen3_omni_moe_text": _ROUTED,
    "mixtral phimoe": f"{_LOCAL} num_experts sliding_window",
    "minimax_m2": f"{_LOCAL} num_experts",
    "olmoe": f"{_LOCAL} num_experts -head_dim",
    "granitemoe": _LOCAL,
    "granitemoeshared": f"{_LOCAL} shared_intermediate_size",
    "aria_text": "moe_num_experts moe_topk moe_num_shared_experts",
    "minicpm3": _LATENT,
    "deepseek_v2 deepseek_v3 kimi_k2 kimi_k25": f"{_LATENT} {_DEEPSEEK}",
    "glm4_moe_lite": f"{_LATENT} {_DEEPSEEK} mlp_layer_types",
    "glm4_moe glm4v_moe_text solar_open": _DEEPSEEK,
    "dots1": f"{_DEEPSEEK} {_WINDOWS} max_window_layers",
    "ernie4_5_moe": "moe_num_experts num_experts moe_k num_experts_per_tok moe_intermediate_size moe_num_shared_experts "
    "moe_layer_start_index moe_layer_end_index moe_layer_interval",
    "step3p5": "num_attention_groups n_routed_experts num_local_experts moe_num_experts num_experts_per_tok moe_top_k moe_intermediate_size "
    "share_expert_dim sliding_window layer_types mlp_layer_types moe_layers_enum",
    "hunyuan_v1_moe": "attention_head_dim num_experts num_local_experts num_experts_per_tok moe_topk moe_intermediate_size "
    "num_shared_expert use_mixed_mlp_moe",
    "dbrx": "-hidden_size -intermediate_size -num_key_value_heads -head_dim d_model n_heads n_layers max_seq_len ffn_config attn_config",
    "mpt": "-intermediate_size -num_key_value_heads -head_dim d_model n_heads n_layers max_seq_len attn_config expansion_ratio",
    "opt": "-intermediate_size -num_key_value_heads -head_dim ffn_dim word_embed_proj_dim",
    "falcon": "-intermediate_size -num_key_value_heads -head_dim ffn_hidden_size multi_query new_decoder_architecture num_kv_heads",
    "gpt2 gptj codegen": _GPT,
    "gpt_bigcode": f"{_GPT} multi_query",
    "qwen3_next": f"{_ROUTED} shared_expert_intermediate_size layer_types",
    "qwen3_5 qwen3_5_text": "layer_types",
    "qwen3_5_moe qwen3_5_moe_text": "num_experts num_experts_per_tok moe_intermediate_size shared_expert_intermediate_size layer_types",
    "nemotron_h": "n_routed_experts num_local_experts n_shared_experts num_experts_per_tok moe_intermediate_size "
    "moe_shared_expert_intermediate_size attention_head_dim sliding_window layer_types",
    "bamba": "",
    "falcon_h1": "",
    "lfm2": "layer_types",
    "lfm2_moe": "num_experts num_experts_per_tok moe_intermediate_size num_dense_layers layer_types",
    "mamba falcon_mamba": "-num_attention_heads -num_key_value_heads -head_dim",
    "mamba2": "-intermediate_size -num_attention_heads -num_key_value_heads",
    "granitemoehybrid": f"{_LOCAL} shared_intermediate_size layer_types",
    "olmo_hybrid": "layer_types",
    "jamba": "num_experts num_local_experts num_experts_per_tok",
    "minimax minimax_text_01 minimax_m1": f"{_LOCAL} num_experts shared_intermediate_size sliding_window layer_types",
    "bailing_hybrid": f"{_LATENT} num_experts num_local_experts num_experts_per_token num_experts_per_tok num_shared_experts n_shared_experts "
    "moe_intermediate_size first_k_dense_replace mlp_layer_types layer_types model_max_length",
    "kimi_linear kimi_k3": f"{_LATENT} num_experts num_local_experts num_experts_per_token num_experts_per_tok num_shared_experts n_shared_experts "
    "moe_intermediate_size first_k_dense_replace mlp_layer_types layer_types model_max_length",
    "mimo_v2_flash": "n_routed_experts num_local_experts num_experts_per_tok moe_intermediate_size moe_layer_freq mlp_layer_types "
    "v_head_dim sliding_window sliding_window_size layer_types",
    "deepseek_v32 glm_moe_dsa": f"{_LATENT} {_DEEPSEEK} num_experts mlp_layer_types layer_types",
    "deepseek_v4": "-intermediate_size n_routed_experts num_local_experts n_shared_experts num_experts_per_tok moe_intermediate_size "
    "mlp_layer_types q_lora_rank qk_rope_head_dim qk_nope_head_dim sliding_window layer_types",
    "gemma4 gemma4_text": f"{_WINDOWS} num_experts top_k_experts moe_intermediate_size",
    "llama4 llama4_text": f"{_LOCAL} intermediate_size_mlp interleave_moe_layer_step layer_types",
    "minimax_m3 minimax_m3_vl minimax_m3_text minimax_m3_vl_text": f"{_LOCAL} num_experts dense_intermediate_size shared_intermediate_size "
    "n_shared_experts moe_layer_freq mlp_layer_types layer_types",
    "mistral_large4 mistral_large4_text": f"{_LATENT} {_DEEPSEEK} -q_lora_rank num_experts mlp_layer_types layer_types",
    "hy_v4": f"{_LATENT} {_DEEPSEEK} -first_k_dense_replace mlp_layer_types layer_types",
    "axk1": f"{_LATENT} {_DEEPSEEK} moe_layer_freq mlp_layer_types",
    "mistral4": f"{_LATENT} {_DEEPSEEK}",
    "youtu": _LATENT,
    "hy_v3": "num_experts num_local_experts num_experts_per_tok num_shared_experts moe_intermediate_size mlp_layer_types",
    "exaone_moe": f"{_WINDOWS} sliding_window_pattern num_experts num_experts_per_tok num_shared_experts moe_intermediate_size "
    "first_k_dense_replace mlp_layer_types",
    "mellum": f"{_WINDOWS} num_experts num_local_experts num_experts_per_tok moe_intermediate_size mlp_layer_types",
    "vaultgemma cwm granite_swa": _WINDOWS,
    "granitemoe_swa": f"{_WINDOWS} {_LOCAL} shared_intermediate_size",
    "flex_olmo": f"{_LOCAL} num_experts",
    "sarvam_moe": f"{_DEEPSEEK} num_experts num_shared_experts",
    "afmoe": f"{_WINDOWS} num_experts num_experts_per_tok num_shared_experts moe_intermediate_size num_dense_layers",
    "cohere2_moe": f"{_WINDOWS} sliding_window_pattern num_experts num_experts_per_tok num_shared_experts first_k_dense_replace mlp_layer_types",
    "laguna": f"{_WINDOWS} {_ROUTED} shared_expert_intermediate_size mlp_layer_types",
    "mllama mllama_text_model": "-head_dim",
    "bloom": "-intermediate_size -num_key_value_heads -head_dim n_embed n_head n_layer seq_length",
}  # fmt: skip
"""Keys of families in addition to the common ones; a minus marks a common key that a family lacks.
"""

_EVERY_LAYER = frozenset(
    ("moe_layer_freq", "decoder_sparse_step", "moe_layer_interval", "interleave_moe_layer_step")
)


def _read(text: str) -> frozenset[str]:
    words = frozenset(f"{_COMMON} {text}".split())
    return words - {word[1:] for word in words if word.startswith("-")}


_KEYS = {name: _read(text) for names, text in _ALIKE.items() for name in names.split()}
_OF_OTHERS = (
    "experts_per_token num_experts_per_token moe_top_k top_k_experts num_shared_experts num_shared_expert share_expert_dim "
    "moe_shared_expert_intermediate_size expert_intermediate_size intermediate_size_mlp dense_intermediate_size "
    "num_dense_layers moe_layer_freq interleave_moe_layer_step moe_layers_enum multi_query_attention multi_query_group_num "
    "kv_channels num_attention_groups padded_vocab_size sliding_window_size n_embed seq_length max_sequence_length use_mla"
)
"""Keys of families that are not listed above."""
_ABOUT_LAYERS = frozenset(_OF_OTHERS.split()).union(*_KEYS.values())


def has_key(model_type: str, key: str) -> bool:
    """Return whether the files of a family have a key; an unlisted family has all keys.

    >>> has_key("mistral", "sliding_window"), has_key("llama", "sliding_window")
    (True, False)
    """
    keys = _KEYS.get(model_type)
    return keys is None or key in keys or key not in _ABOUT_LAYERS


def is_for_every_layer(key: str, value: object) -> bool:
    """Return whether a key gives experts to every layer, which changes nothing.

    >>> is_for_every_layer("moe_layer_freq", 1)
    True
    """
    return key in _EVERY_LAYER and value == 1
