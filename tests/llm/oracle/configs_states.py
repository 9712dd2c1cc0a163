"""A configuration of each family with states or convolutions that has no reader yet."""

from __future__ import annotations

from typing import Any

from tests.llm.oracle.configs_read import (
    LATENT,
    LOCAL,
    ROUTED,
    SIZES,
    WINDOWS,
    inside,
    of,
)

Config = dict[str, Any]

_STATES = {"mamba_d_state": 32, "mamba_d_conv": 4, "mamba_expand": 2}
_MAMBA_2 = _STATES | {
    "mamba_n_heads": 48,
    "mamba_d_head": 64,
    "mamba_n_groups": 2,
    "mamba_chunk_size": 128,
}
_DELTA: Config = {
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 64, "linear_value_head_dim": 96, "linear_num_key_heads": 8,
    "linear_num_value_heads": 16,
}  # fmt: skip
_LINEAR = ["linear_attention", "linear_attention", "full_attention"] * 2
_CONV = ["conv", "conv", "full_attention"] * 2
_MAMBA = ["mamba", "mamba", "attention"] * 2

CONFIGS: dict[str, Config] = {
    config["model_type"] if name is None else name: config
    for name, config in (
        (None, inside("gemma3n", of("gemma3n_text", SIZES, head_dim=80, vocab_size_per_layer_input=24000, hidden_size_per_layer_input=64, num_kv_shared_layers=2,
                                    sliding_window=1024, layer_types=WINDOWS, laurel_rank=32, altup_num_inputs=3))),
        (None, of("bamba", SIZES, _MAMBA_2, attn_layer_indices=[2, 5], tie_word_embeddings=True)),
        (None, of("falcon_h1", SIZES, _MAMBA_2, head_dim=80, mamba_d_ssm=3072, tie_word_embeddings=True)),
        (None, of("granitemoehybrid", SIZES, LOCAL, _MAMBA_2, intermediate_size=640, shared_intermediate_size=1280, layer_types=_MAMBA, tie_word_embeddings=True)),
        (None, of("zamba", SIZES, _STATES, mamba_dt_rank=96, n_mamba_heads=2, attn_layer_period=3, attn_layer_offset=1, attention_hidden_size=3072,
                  attention_head_dim=192, num_key_value_heads=16)),
        (None, of("zamba2", SIZES, mamba_d_state=32, mamba_d_conv=4, mamba_expand=2, mamba_ngroups=1, n_mamba_heads=24, mamba_headdim=128, num_mem_blocks=1,
                  num_key_value_heads=16, adapter_rank=64, use_shared_attention_adapter=False, layers_block_type=["mamba", "mamba", "hybrid"] * 2)),
        (None, of("lfm2", SIZES, conv_L_cache=3, block_auto_adjust_ff_dim=False, layer_types=_CONV, tie_word_embeddings=False)),
        (None, of("lfm2_moe", SIZES, ROUTED, conv_L_cache=3, num_dense_layers=2, layer_types=_CONV, tie_word_embeddings=False)),
        (None, of("mamba", hidden_size=1536, num_hidden_layers=6, vocab_size=24000, state_size=32, expand=2, conv_kernel=4, time_step_rank=96, tie_word_embeddings=False)),
        (None, of("mamba2", hidden_size=1536, num_hidden_layers=6, vocab_size=24000, state_size=64, expand=2, conv_kernel=4, n_groups=4, num_heads=48, head_dim=64,
                  tie_word_embeddings=True)),
        (None, of("falcon_mamba", hidden_size=1536, num_hidden_layers=6, vocab_size=24000, state_size=32, expand=2, conv_kernel=4, time_step_rank=96,
                  tie_word_embeddings=False)),
        (None, of("olmo_hybrid", SIZES, _DELTA, linear_num_key_heads=16, layer_types=_LINEAR, tie_word_embeddings=True)),
        (None, of("recurrent_gemma", SIZES, head_dim=96, lru_width=1792, attention_window_size=1024, conv1d_width=4,
                  block_types=["recurrent", "recurrent", "attention"], tie_word_embeddings=True)),
        (None, of("gpt_neo", hidden_size=1536, num_layers=6, num_heads=16, intermediate_size=4352, vocab_size=24000, max_position_embeddings=1024,
                  attention_types=[[["global", "local"], 3]], window_size=256, tie_word_embeddings=False)),
        (None, of("longcat_flash", SIZES, LATENT, num_layers=6, num_hidden_layers=12, ffn_hidden_size=4352, expert_ffn_hidden_size=640, moe_topk=3, n_routed_experts=12,
                  zero_expert_num=4, head_dim=32, tie_word_embeddings=False)),
    )
}  # fmt: skip
"""Configurations by family; a second one of a family has a name of its own."""
