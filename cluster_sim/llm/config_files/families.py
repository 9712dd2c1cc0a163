"""Families of models: defaults of their configuration classes.

A config.json omits every key that equals the default of its class. The defaults are those of the
classes `configuration_*.py` of transformers 4.57 to 5.5.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cluster_sim.llm.config_files.family import Family
from cluster_sim.llm.config_files.mixed_families import MIXED_FAMILIES

_MHA = Family(kv_as_heads=True)
_INSIDE = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32}
"""Defaults that libraries omit for a language model inside another model."""
WRAPPERS = (
    "llava", "llava_next", "llava_next_video", "llava_onevision", "vipllava", "video_llava", "mistral3", "idefics3", "smolvlm", "internvl",
    "aya_vision", "ovis2", "perception_lm",
)  # fmt: skip
"""Models around a language model that set no defaults for it (transformers 5.24).

Others, such as voxtral, have different defaults for the inner model.
"""
_LLAMA = _INSIDE | {
    "intermediate_size": 11008,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
}
_MISTRAL = _INSIDE | {
    "intermediate_size": 14336,
    "vocab_size": 32000,
    "max_position_embeddings": 131072,
}
_OF_QWEN = _INSIDE | {
    "intermediate_size": 22016, "vocab_size": 151936, "max_position_embeddings": 32768, "num_key_value_heads": 32,
}  # fmt: skip
_EXPERTS = (
    "n_routed_experts",
    "n_shared_experts",
    "moe_intermediate_size",
    "first_k_dense_replace",
)
_LATENT = ("kv_lora_rank", "q_lora_rank", *_EXPERTS)
_QWEN = Family(windows="off", defaults={"max_window_layers": 28, "sliding_window": 4096})
_QWEN_MOE = replace(_QWEN, required=("num_experts", "moe_intermediate_size"))
_DEEPSEEK = Family(
    kv_as_heads=True,
    required=_LATENT,
    defaults={"qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128},
)
_UNGATED = Family(gated=False, kv_as_heads=True)
_GPT = Family(gated=False, kv_as_heads=True, tied=True, ffn_per_hidden=4)
_GEMMA_3 = Family(
    tied=True,
    full_every=6,
    defaults={
        "vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "sliding_window": 4096, "max_position_embeddings": 131072,
    },
)  # fmt: skip
_GEMMA_2 = replace(
    _GEMMA_3,
    full_every=2,
    defaults=_GEMMA_3.defaults | {"vocab_size": 256000, "max_position_embeddings": 8192},
)

_ALIKE: dict[str, Family] = {
    "llama": replace(_MHA, inside=_LLAMA),
    "yi internlm internlm2 baichuan aquila xverse orion deepseek granite olmo olmo2 "
    "hunyuan_v1_dense chatglm": _MHA,
    "glm4v_text stablelm exaone": Family(),
    "glm glm4 seed_oss": Family(defaults={"head_dim": 128}),
    "internlm3": replace(_MHA, defaults={"head_dim": 128, "num_key_value_heads": 2}),
    "cohere minicpm": replace(_MHA, tied=True),
    "minicpm3": replace(
        _MHA, tied=True, required=("kv_lora_rank", "q_lora_rank", "qk_nope_head_dim")
    ),
    "smollm3": Family(tied=True),
    "ernie4_5": Family(tied=True, defaults={"head_dim": 128}),
    "qwen2": replace(_QWEN, inside=_OF_QWEN),
    "qwen2_vl qwen2_vl_text qwen2_5_vl qwen2_5_vl_text qwen2_audio mimo": _QWEN,
    "qwen2_5_omni_text": replace(_QWEN, defaults={"max_window_layers": 28}),
    "qwen3": replace(_QWEN, defaults=_QWEN.defaults | {"head_dim": 128}, inside=_OF_QWEN),
    "qwen3_vl_text": replace(_QWEN, defaults=_QWEN.defaults | {"head_dim": 128}),
    "qwen3_moe qwen3_vl_moe_text qwen3_omni_moe_text": _QWEN_MOE,
    "phi3": Family(kv_as_heads=True, windows="all"),
    "phi4mm phi4_multimodal": Family(windows="all"),
    "ministral": Family(windows="all"),
    "ministral3": Family(windows="all", defaults={"head_dim": 128}),
    "mixtral phimoe": Family(windows="all", required=("num_local_experts",)),
    "granitemoe granitemoeshared": Family(required=("num_local_experts",)),
    "minimax_m2": Family(
        required=("num_local_experts", "head_dim"), unused=("mlp_intermediate_size",)
    ),
    "deepseek_v2 deepseek_v3 kimi_k2 kimi_k25": _DEEPSEEK,
    "axk1": replace(
        _DEEPSEEK,
        required=(*_LATENT[:-1],),
        defaults=_DEEPSEEK.defaults | {"first_k_dense_replace": 1},
    ),
    "mistral4": replace(_DEEPSEEK, defaults=_DEEPSEEK.defaults | {"qk_nope_head_dim": 64}),
    "youtu youtu_llm": replace(_DEEPSEEK, tied=True, required=("kv_lora_rank", "q_lora_rank")),
    "hy_v3": Family(
        required=("num_experts", "num_shared_experts", "moe_intermediate_size"),
        defaults={"head_dim": 128, "first_k_dense_replace": 1},
    ),
    "aria_text": replace(_MHA, required=("moe_num_experts", "moe_topk", "moe_num_shared_experts")),
    "exaone_moe": Family(
        full_every=4,
        required=("num_experts", "num_shared_experts", "moe_intermediate_size"),
        defaults={"sliding_window": 4096, "first_k_dense_replace": 1},
    ),
    "mellum": Family(
        windows="off",
        required=("num_experts", "moe_intermediate_size"),
        defaults={"head_dim": 128, "sliding_window": 1024},
    ),
    "vaultgemma": _GEMMA_2,
    "flex_olmo": replace(_MHA, required=("num_experts",)),
    "sarvam_moe": Family(
        required=(*_EXPERTS[:1], "moe_intermediate_size", "head_dim"),
        defaults={"n_shared_experts": 1, "first_k_dense_replace": 1},
    ),
    "phi gpt_neox nemotron persimmon arcee apertus": _UNGATED,
    "jais2 nanochat": Family(gated=False),
    "gpt2": replace(_GPT, positions="learned"),
    "bloom mpt": _GPT,
    "gemma3 gemma3_text": _GEMMA_3,
    "glm4_moe glm4v_moe_text dots1 solar_open": Family(required=(*_EXPERTS, "head_dim")),
    "bailing_moe bailing_moe_v2": Family(
        required=(
            "num_experts",
            "num_shared_experts",
            "moe_intermediate_size",
            "first_k_dense_replace",
        )
    ),
    "hunyuan_v1_moe hunyuan": replace(_MHA, required=("num_experts", "num_shared_expert")),
}

FAMILIES: dict[str, Family] = {
    name: family
    for names, family in (*_ALIKE.items(), *MIXED_FAMILIES.items())
    for name in names.split()
} | {
    "mistral": Family(windows="all", defaults={"num_key_value_heads": 8, "sliding_window": 4096}, inside=_MISTRAL),
    "gemma": Family(
        tied=True,
        defaults={
            "vocab_size": 256000, "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256,
            "max_position_embeddings": 8192,
        },
    ),
    "gemma2": _GEMMA_2,
    "qwen2_moe": replace(
        _QWEN_MOE, required=("num_experts", "moe_intermediate_size", "shared_expert_intermediate_size")
    ),
    "cohere2": Family(tied=True, full_every=4, kv_as_heads=True, defaults={"sliding_window": 4096}),
    "gpt_oss": Family(full_every=2, required=("num_local_experts",), defaults={"head_dim": 64, "sliding_window": 128}),
    "olmo3": Family(full_every=4, kv_as_heads=True, defaults={"sliding_window": 4096}),
    "olmoe": replace(_MHA, required=("num_experts",)),
    "exaone4": Family(full_every=4, defaults={"sliding_window": 4096}),
    "ernie4_5_moe": Family(
        tied=True, required=("moe_num_experts", "moe_intermediate_size", "moe_layer_start_index", "moe_num_shared_experts")
    ),
    "glm4_moe_lite": Family(required=(*_LATENT, "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")),
    "dbrx": Family(required=("ffn_config", "attn_config")),
    "step3p5": Family(mixed="step", required=("share_expert_dim", "moe_intermediate_size", "head_dim", "moe_layers_enum")),
    "step3p7": Family(mixed="step", required=("share_expert_dim", "moe_intermediate_size", "head_dim", "first_k_dense_replace")),
    "gptj": Family(gated=False, kv_as_heads=True, ffn_per_hidden=4),
    "codegen": Family(gated=False, kv_as_heads=True, ffn_per_hidden=4),
    "gpt_bigcode": replace(_GPT, positions="learned", defaults={"multi_query": True}),
    "starcoder2": Family(gated=False, tied=True, windows="all"),
    "opt": replace(_UNGATED, tied=True, positions="learned_and_two", defaults={"max_position_embeddings": 2048}),
    "falcon": replace(_GPT, defaults={"max_position_embeddings": 2048, "multi_query": True}),
    "qwen": replace(_MHA, ffn_divisor=2),
}  # fmt: skip
"""Families that can be read, by `model_type`."""

_ARCHITECTURES = {
    "LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral", "MixtralForCausalLM": "mixtral",
    "Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3", "Qwen3MoeForCausalLM": "qwen3_moe",
    "DeepseekV3ForCausalLM": "deepseek_v3", "GptOssForCausalLM": "gpt_oss",
    "Gemma2ForCausalLM": "gemma2", "Phi3ForCausalLM": "phi3", "DeepseekV32ForCausalLM": "deepseek_v32",
    "DeepseekV4ForCausalLM": "deepseek_v4", "GlmMoeDsaForCausalLM": "glm_moe_dsa", "MiMoV2FlashForCausalLM": "mimo_v2_flash",
    "DeciLMForCausalLM": "deci", "Llama4ForCausalLM": "llama4",
}  # fmt: skip
"""Families by `architectures`, for files without a known `model_type`."""

_STATE = "layers with a state (Mamba, RWKV, convolutions)"
_LINEAR = "layers of linear attention"
_UNLIKE = "layers that differ in heads or widths"
_ENCODER = "an encoder; it decodes nothing"
_BOTH = "an encoder and a decoder with cross-attention"

REFUSED_TYPES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), meaning)
    for pattern, meaning in (
        (r"t5|[a-z]*t5|t5gemma.*|[mp]?bart|plbart|pegasus.*|marian|m2m_100|nllb-moe|whisper|fsmt|led|blenderbot.*|prophetnet|switch_transformers|florence2|speech_to_text|encoder-decoder", _BOTH),
        (r".*(bert|roberta|electra|mpnet|ernie_m|xlnet|clip|siglip|dinov2|longformer|bigbird|big_bird|funnel|luke|splinter|canine)(?!.*code).*|bge.*|vit.*|xlm|new|esm", _ENCODER),
        (r".*mamba.*|rwkv.*|jamba|bamba|zamba.*|nemotron_h.*|granitemoehybrid|falcon_h1|lfm2.*|recurrent_gemma|xlstm|retnet|.*hyena.*|plamo2", _STATE),
        (r"qwen3_next.*|qwen3_5.*|qwen3_6.*|qwen4_exp.*|minimax_m1.*|kimi_linear.*|bailing_hybrid|bailing_moe_linear|glm5_next.*|lara_mini", _LINEAR),
        (r"gemma3n.*|gemma4_.*", "layers of several kinds that differ in inputs, heads or experts"),
        (r"mimo_v2.*|openelm", _UNLIKE),
        (r"beam|muse_(glimmer|spark).*", "a gate of the attention's output"),
        (r"hrm_.*|dory|.*_loop(_text)?", "layers that a token passes several times"),
        (r"jetmoe", "attention with experts"),
        (r"gpt_neo", "a window in every second layer"),
        (r"longcat_flash_.*", "two attentions per layer and experts that compute nothing"),
    )
)  # fmt: skip
"""Meaning of a `model_type` whose layers are not simulated, by pattern."""


def family_of(model_type: str, architectures: Any) -> Family | None:
    """Return the family that a file names; None for an unknown family."""
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    names = architectures if isinstance(architectures, list) else []
    known = (_ARCHITECTURES.get(name) for name in names if isinstance(name, str))
    return next((FAMILIES[name] for name in known if name is not None), None)
