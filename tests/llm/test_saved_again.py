"""Files as the library saves them again: with other spellings, and keys that follow from others."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from cluster_sim.llm.config_files import from_hugging_face
from tests.llm.oracle.configs import CONFIGS
from tests.llm.test_oracle import reading

SAVED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "qwen3_moe": (("num_experts",), {"num_local_experts": 12}),
    "deepseek_v3": ((), {"qk_head_dim": 80}),
    "dbrx": ((), {"num_key_value_heads": 4}),
    "gpt_bigcode": ((), {"num_key_value_heads": 16}),
    "qwen3_next": ((), {"layer_types": ["linear_attention", "linear_attention", "full_attention"] * 2}),
    "nemotron_h": (
        ("hybrid_override_pattern",),
        {"layers_block_type": [{"M": "linear_attention", "*": "full_attention", "-": "mlp"}[letter] for letter in "M-M*-M-M-"]},
    ),
    "minimax": ((), {"full_attn_alpha_factor": 1, "linear_attn_beta_factor": 1, "mlp_alpha_factor": 1}),
    "kimi_linear": (
        ("first_k_dense_replace",),
        {
            "mlp_layer_types": ["dense"] * 2 + ["sparse"] * 4, "qk_head_dim": 80, "head_dim": 32, "linear_head_dim": 96, "linear_num_heads": 12,
            "linear_conv_kernel_dim": 5, "layer_types": ["linear_attention", "linear_attention", "full_attention"] * 2,
        },
    ),
}  # fmt: skip
"""Keys that transformers 5.24 leaves out of a family's file, and those that it adds."""


@pytest.mark.parametrize("family", SAVED)
def test_a_file_that_is_saved_again_is_the_same_model(family: str):
    left_out, added = SAVED[family]
    config = {key: value for key, value in CONFIGS[family].items() if key not in left_out} | added
    assert reading(config) == reading(CONFIGS[family])


@pytest.mark.parametrize(
    ("family", "key"),
    [
        ("deepseek_v3", "qk_head_dim"),
        ("dbrx", "num_key_value_heads"),
        ("gpt_bigcode", "num_key_value_heads"),
        ("kimi_linear", "qk_head_dim"),
    ],
)
def test_a_key_that_contradicts_those_it_follows_from_is_refused(family: str, key: str):
    with pytest.raises(ValueError, match=rf"^{key}: got 7; expected \d+, which follows"):
        from_hugging_face(CONFIGS[family] | {key: 7}, "x")


@pytest.mark.parametrize("family", CONFIGS)
def test_whatever_the_library_saves_is_the_same_model(family: str):
    transformers = pytest.importorskip("transformers", reason="the extra oracle is not installed")
    config = CONFIGS[family]
    made = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(deepcopy(config))
    for saved in (made.to_diff_dict(), made.to_dict()):
        assert reading(saved | {"model_type": config["model_type"]}) == reading(config)
