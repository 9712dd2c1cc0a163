"""Families with states as they are published: sizes, spellings that agree, and refusals by key."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.llm.layers import StateLayers
from cluster_sim.physics.kv_sizes import state_bytes
from tests.llm.configurations import plain_model
from tests.llm.oracle.configs_mixed import CONFIGS

_CONV_LAYERS = [2, 6, 10, 14, 18, 21]
PUBLISHED: dict[str, tuple[dict[str, Any], float]] = {
    "granite-4.0-h-small": ({
        "architectures": ["GraniteMoeHybridForCausalLM"], "attention_bias": False, "attention_multiplier": 0.0078125, "embedding_multiplier": 12,
        "hidden_act": "silu", "hidden_size": 4096, "init_method": "mup", "initializer_range": 0.1, "intermediate_size": 768,
        "layer_types": (["mamba"] * 5 + ["attention"] + ["mamba"] * 4) * 4, "logits_scaling": 16, "mamba_chunk_size": 256, "mamba_conv_bias": True,
        "mamba_d_conv": 4, "mamba_d_head": 64, "mamba_d_state": 128, "mamba_expand": 2, "mamba_n_groups": 1, "mamba_n_heads": 128,
        "mamba_proj_bias": False, "max_position_embeddings": 131072, "model_type": "granitemoehybrid", "normalization_function": "rmsnorm",
        "num_attention_heads": 32, "num_experts_per_tok": 10, "num_hidden_layers": 40, "num_key_value_heads": 8, "num_local_experts": 72,
        "position_embedding_type": "nope", "residual_multiplier": 0.22, "router_aux_loss_coef": 0.01, "shared_intermediate_size": 1536,
        "tie_word_embeddings": True, "use_cache": True, "vocab_size": 100352,
    }, 32.2e9),
    "bamba-9b": ({
        "architectures": ["BambaForCausalLM"], "attn_layer_indices": [9, 18, 27], "attn_rotary_emb": 64, "hidden_act": "silu", "hidden_size": 4096,
        "intermediate_size": 14336, "mamba_chunk_size": 256, "mamba_conv_bias": True, "mamba_d_conv": 4, "mamba_d_head": 64, "mamba_d_state": 128,
        "mamba_expand": 2, "mamba_n_groups": 1, "mamba_n_heads": 128, "mamba_proj_bias": False, "max_position_embeddings": 262144,
        "model_type": "bamba", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "tie_word_embeddings": False,
        "vocab_size": 128256,
    }, 9.78e9),
    "falcon-h1-34b": ({
        "architectures": ["FalconH1ForCausalLM"], "attention_bias": False, "attn_layer_indices": None, "head_dim": 128, "hidden_act": "silu",
        "hidden_size": 5120, "intermediate_size": 21504, "key_multiplier": 0.0078125, "lm_head_multiplier": 0.0078125, "mamba_chunk_size": 128,
        "mamba_conv_bias": True, "mamba_d_conv": 4, "mamba_d_head": 128, "mamba_d_ssm": 4096, "mamba_d_state": 256, "mamba_expand": 2,
        "mamba_n_groups": 2, "mamba_n_heads": 32, "mamba_norm_before_gate": False, "mamba_proj_bias": False, "mamba_rms_norm": False,
        "mamba_use_mlp": True, "max_position_embeddings": 262144, "mlp_bias": False, "mlp_expansion_factor": 8, "mlp_multipliers": [0.2, 0.04],
        "model_type": "falcon_h1", "num_attention_heads": 20, "num_hidden_layers": 72, "num_key_value_heads": 4, "projectors_bias": False,
        "ssm_multipliers": [0.3, 0.25, 0.17, 0.5, 0.3], "tie_word_embeddings": False, "vocab_size": 261120,
    }, 33.6e9),
    "lfm2-1.2b": ({
        "architectures": ["Lfm2ForCausalLM"], "block_auto_adjust_ff_dim": True, "block_dim": 2048, "block_ff_dim": 12288,
        "block_ffn_dim_multiplier": 1.0, "block_multiple_of": 256, "block_use_swiglu": True, "conv_L_cache": 3, "conv_bias": False, "conv_dim": 2048,
        "full_attn_idxs": [2, 5, 8, 10, 12, 14], "hidden_size": 2048, "max_position_embeddings": 128000, "model_type": "lfm2",
        "num_attention_heads": 32, "num_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8, "use_pos_enc": True, "vocab_size": 65536,
    }, 1.17e9),
    "lfm2-8b-a1b": ({
        "architectures": ["Lfm2MoeForCausalLM"], "conv_L_cache": 3, "conv_bias": False, "hidden_size": 2048, "intermediate_size": 7168,
        "layer_types": ["full_attention" if layer in _CONV_LAYERS else "conv" for layer in range(24)], "max_position_embeddings": 128000,
        "model_type": "lfm2_moe", "moe_intermediate_size": 1792, "norm_topk_prob": True, "num_attention_heads": 32, "num_dense_layers": 2,
        "num_experts": 32, "num_experts_per_tok": 4, "num_hidden_layers": 24, "num_key_value_heads": 8, "use_expert_bias": True, "vocab_size": 65536,
    }, 8.34e9),
    "mamba-codestral-7b": ({
        "architectures": ["Mamba2ForCausalLM"], "chunk_size": 256, "conv_kernel": 4, "expand": 2, "head_dim": 64, "hidden_size": 4096,
        "intermediate_size": 8192, "model_type": "mamba2", "n_groups": 8, "norm_before_gate": True, "num_heads": 128, "num_hidden_layers": 64,
        "residual_in_fp32": True, "state_size": 128, "tie_word_embeddings": False, "time_step_rank": 256, "use_conv_bias": True, "vocab_size": 32768,
    }, 7.285e9),
    "falcon-mamba-7b": ({  # the width of its channels is written, against expand
        "architectures": ["FalconMambaForCausalLM"], "conv_kernel": 4, "expand": 16, "hidden_size": 4096, "intermediate_size": 8192,
        "mixer_rms_eps": 1e-6, "model_type": "falcon_mamba", "num_hidden_layers": 64, "state_size": 16, "tie_word_embeddings": False,
        "time_step_rank": 256, "use_mambapy": False, "vocab_size": 65024,
    }, 7.27e9),
}  # fmt: skip
"""Files as published, less keys of generation, and the parameters on the model card."""


def fault(config: dict[str, Any]) -> str:
    with pytest.raises(ValueError, match=r".") as told:
        plain_model(config)
    return str(told.value)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_family_with_states_has_its_published_size(name: str):
    config, parameters = PUBLISHED[name]
    assert plain_model(config).total_parameters == approx(parameters, rel=0.01)


def test_granite_activates_nine_billion_of_its_parameters():
    assert plain_model(PUBLISHED["granite-4.0-h-small"][0]).active_parameters == approx(
        9e9, rel=0.03
    )


def test_short_convolutions_keep_two_tokens_of_their_channels():
    made = plain_model(PUBLISHED["lfm2-1.2b"][0])
    assert state_bytes(made) == 10 * 2 * 2048 * 2, "ten layers, two tokens, 16 bit"


@pytest.mark.parametrize(
    ("family", "changes", "precisions"),
    [
        ("nemotron_h", {}, {"fp32"}),
        ("nemotron_h", {"mamba_ssm_cache_dtype": "bfloat16"}, {"bf16"}),
        ("nemotron_h", {"mamba_ssm_cache_dtype": None}, {"bf16"}),
        ("qwen3_next", {"mamba_ssm_dtype": None}, {"fp32"}),
        ("qwen3_next", {"mamba_ssm_dtype": "torch.float16"}, {"bf16"}),
        ("jamba", {}, {"fp32"}),
        ("bamba", {}, {"bf16"}),
    ],
)
def test_a_state_has_the_precision_of_the_file_or_that_of_the_engines(
    family: str, changes: dict[str, Any], precisions: set[str]
):
    kinds = plain_model(CONFIGS[family] | changes).attention
    assert {kind.state_precision for kind in kinds if isinstance(kind, StateLayers)} == precisions


def test_a_pattern_of_letters_is_a_list_of_names():
    config = CONFIGS["nemotron_h"]
    names = {"M": "mamba", "*": "attention", "-": "mlp"}
    listed = {key: value for key, value in config.items() if key != "hybrid_override_pattern"}
    for key in ("layers_block_type", "layer_types"):
        pattern = [names[letter] for letter in config["hybrid_override_pattern"]]
        assert plain_model(listed | {key: pattern}) == plain_model(config)


def test_devices_share_the_heads_of_keys_and_of_values():
    states = [
        one for one in plain_model(CONFIGS["qwen3_next"]).attention if isinstance(one, StateLayers)
    ]
    faults = {ranks: states[0].fault_of_ranks(ranks) for ranks in (3, 6, 9)}
    assert faults == {
        3: None,
        6: None,
        9: "9 does not divide the 6 key heads of {}; expected one of 1, 2, 3, 6",
    }


def test_a_shared_expert_may_have_a_width_of_its_own():
    config = CONFIGS["qwen3_next listed"] | {"shared_expert_intermediate_size": 900}
    experts = plain_model(config).experts
    assert experts is not None
    assert (experts.shared, experts.shared_width, experts.ffn) == (1, 900, 640)
    more = (
        plain_model(config).total_parameters
        - plain_model(CONFIGS["qwen3_next listed"]).total_parameters
    )
    assert more == 6 * 3 * 1536 * (900 - 1280)


def test_layers_of_multi_token_prediction_are_left_out():
    more = {"num_nextn_predict_layers": 1, "mtp_hybrid_override_pattern": "*E", "mtp_layers_block_type": ["attention", "moe"]}  # fmt: skip
    assert plain_model(CONFIGS["nemotron_h experts"] | more) == plain_model(
        CONFIGS["nemotron_h experts"]
    )
    qwen = CONFIGS["qwen3_5"]
    text = qwen["text_config"] | {"mtp_num_hidden_layers": 1, "mtp_use_dedicated_embeddings": False}
    assert plain_model(qwen | {"text_config": text}) == plain_model(qwen)


def test_numbers_of_minimax_are_names_of_layers():
    config = {key: value for key, value in CONFIGS["minimax"].items() if key != "layer_types"}
    numbers = {"attn_type_list": [0, 0, 1] * 2}
    assert plain_model(config | numbers) == plain_model(CONFIGS["minimax"])
    assert plain_model(config | numbers | {"model_type": "minimax_text_01"}) == plain_model(
        CONFIGS["minimax"]
    )


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("nemotron_h", {"hybrid_override_pattern": "M-M*-M-MX"}, "hybrid_override_pattern: got 'X'; expected letters of M, *, -, E"),
        ("nemotron_h", {"hybrid_override_pattern": "M-M*"}, "num_hidden_layers: got 9, and 4 layers in hybrid_override_pattern; expected equal numbers"),
        ("nemotron_h", {"layers_block_type": ["mamba"] * 9}, "hybrid_override_pattern and layers_block_type: got 'M-M*-M-M-' and a list; expected one value"),
        ("nemotron_h", {"mamba_ssm_cache_dtype": "fp7"}, "mamba_ssm_cache_dtype: got 'fp7'; expected float32, bfloat16 or float16"),
        ("nemotron_h", {"sliding_window": 512}, "sliding_window: expected null: windows in this family are not simulated yet"),
        ("nemotron_h", {"attention_head_dim": 96}, "head_dim and attention_head_dim: got 80 and 96; expected one value"),
        ("nemotron_h", {"head_dim": None, "attention_head_dim": 96}, "attention_head_dim: got 96; expected 128: libraries disagree about other widths"),
        ("nemotron_h experts", {"n_shared_experts": 2}, "n_shared_experts: got 2; expected 1: libraries disagree about other numbers"),
        ("nemotron_h experts", {"moe_intermediate_size": 0}, "moe_intermediate_size: is missing; files with layers of experts must have this key"),
        ("qwen3_next listed", {"layer_types": ["linear_attention", "conv"] * 3}, "layer_types: got 'conv'; expected full_attention and linear_attention: other kinds of layers are not simulated yet"),
        ("qwen3_next listed", {"full_attention_interval": 2}, "full_attention_interval: got 2 and different layers in layer_types; expected layer_types alone, or full_attention at this interval"),
        ("qwen3_next", {"attn_output_gate": False}, "attn_output_gate: got false; expected true: libraries disagree about attention without a gate"),
        ("qwen3_next", {"linear_num_value_heads": 20}, "linear_num_value_heads: got 20; expected a multiple of linear_num_key_heads, 6"),
        ("jamba", {"attn_layer_offset": 3}, "attn_layer_offset: got 3; expected less than attn_layer_period, 3"),
        ("minimax", {"attn_type_list": [0, 1] * 3}, "layer_types and attn_type_list: got different layers; expected equal layers in both"),
        ("minimax", {"layer_types": None, "attn_type_list": [0, 2] * 3}, "attn_type_list: got 2; expected 0 and 1"),
        ("kimi_linear", {"linear_attn_config": CONFIGS["kimi_linear"]["linear_attn_config"] | {"kda_layers": [1, 2, 4]}}, "linear_attn_config: expected each layer from 1 to 6 once, in full_attn_layers or in kda_layers"),
        ("kimi_linear", {"linear_attn_config": CONFIGS["kimi_linear"]["linear_attn_config"] | {"state_rank": 4}}, "linear_attn_config.state_rank: got 4; expected a known key: the effect of this one is not simulated yet"),
        ("kimi_linear", {"linear_attn_config": CONFIGS["kimi_linear"]["linear_attn_config"] | {"full_attn_layers": 3}}, "linear_attn_config.full_attn_layers: got 3; expected a list of layers, counted from 1"),
        ("bailing_hybrid", {"group_norm_size": 4}, "group_norm_size: got 4; expected no such key: lightning attention with latent attention is not simulated yet"),
        ("bailing_hybrid", {"short_conv_kernel_size": None}, "short_conv_kernel_size: is missing; files of bailing_hybrid must have this key\nlinear_conv_kernel_dim: is missing; expected a whole number"),
        ("bamba", {"attn_layer_indices": [6]}, "attn_layer_indices: got 6; expected numbers of layers from 0 to 5"),
        ("bamba", {"mamba_d_head": 64}, "mamba_d_head: got 64; expected the number of channels divided by mamba_n_heads, 96"),
        ("mamba2", {"num_heads": 12}, "num_heads: got 12 of width 96; expected a product of expand times hidden_size, 4608"),
        ("lfm2", {"conv_dim": 512}, "conv_dim: got 512; expected hidden_size, 1536: other widths are not simulated yet"),
        ("lfm2", {"full_attn_idxs": [1]}, "layer_types and full_attn_idxs: got different layers; expected equal layers in both"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused_by_its_key(
    family: str, changes: dict[str, Any], message: str
):
    config = {key: value for key, value in (CONFIGS[family] | changes).items() if value is not None}
    assert fault(config) == message
