"""Keys that a file leaves out: what its class says, or a fault where nobody knows it."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.llm.model import Model
from tests.llm.configurations import model
from tests.llm.test_config_quantisation import LLAMA
from tests.llm.test_mlx import refusal

KIN = LLAMA | {
    "model_type": "kin", "hidden_act": "silu", "head_dim": 128, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 512,
    "num_shared_experts": 1,
}  # fmt: skip
CODER = LLAMA | {"model_type": "coder", "architectures": ["LlamaForCausalLM"], "head_dim": 128}
WRAPPED: dict[str, tuple[dict[str, Any], float, int]] = {
    # 40 layers of 32 heads, of which the file says nothing; counted by transformers 5.24
    "pixtral-12b": ({
        "model_type": "mistral", "hidden_size": 5120, "head_dim": 128, "intermediate_size": 14336, "max_position_embeddings": 1024000,
        "num_hidden_layers": 40, "num_key_value_heads": 8, "sliding_window": None, "vocab_size": 131072,
    }, 12.2477824e9, 163840),
    # Llama-2-7B with 64 rows more: 32 layers x 2 x 4096 values of 2 B
    "llava-1.5-7b": ({"model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 32064}, 6.7389e9, 524288),
}  # fmt: skip
MINICPM3 = {
    "model_type": "minicpm3", "hidden_size": 2560, "intermediate_size": 6400, "max_position_embeddings": 32768, "num_attention_heads": 40,
    "num_hidden_layers": 62, "num_key_value_heads": 40, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "q_lora_rank": 768, "kv_lora_rank": 256,
    "vocab_size": 73448,
}  # fmt: skip
PHI4 = {
    "model_type": "phi3", "full_attn_mod": 1, "interpolate_factor": 1, "hidden_size": 3072, "intermediate_size": 8192,
    "max_position_embeddings": 131072, "num_attention_heads": 24, "num_hidden_layers": 32, "num_key_value_heads": 8, "sliding_window": 262144,
    "tie_word_embeddings": True, "vocab_size": 200064,
}  # fmt: skip
MINIMAX_M2 = {
    "model_type": "minimax_m2", "head_dim": 128, "hidden_size": 3072, "intermediate_size": 1536, "max_position_embeddings": 196608,
    "mlp_intermediate_size": 8192, "num_attention_heads": 48, "num_experts_per_tok": 8, "num_hidden_layers": 62, "num_key_value_heads": 8,
    "num_local_experts": 256, "shared_intermediate_size": 0, "attn_type_list": [1] * 62, "vocab_size": 200064,
}  # fmt: skip


def kv_bytes(made: Model) -> float:
    return 2 * sum(kind.layers * kind.growing_values() for kind in made.attention)


@pytest.mark.parametrize("name", WRAPPED)
def test_a_model_inside_another_has_the_defaults_of_its_class(name: str):
    inside, parameters, kv = WRAPPED[name]
    made = model({"model_type": "llava", "text_config": inside})
    assert made.total_parameters == approx(parameters, rel=0.001)
    assert kv_bytes(made) == kv


def test_a_model_inside_one_with_defaults_of_its_own_must_say_its_widths():
    inside = {"model_type": "llama", "head_dim": 128}  # voxtral's has 30 layers, not 32
    text = refusal({"model_type": "voxtral", "text_config": inside, "head_dim": 128})
    assert "num_hidden_layers: is missing" in text


def test_a_model_by_itself_must_say_its_widths():
    assert "num_hidden_layers: is missing" in refusal(WRAPPED["llava-1.5-7b"][0])


@pytest.mark.parametrize("written", [{}, {"v_head_dim": None}, {"v_head_dim": 64}])
def test_values_of_minicpm3_are_as_wide_as_a_share_of_the_hidden_states(written: dict[str, Any]):
    made = model(MINICPM3 | written)
    assert made.total_parameters == approx(4.073875968e9, rel=0.001)
    assert made.tied_embeddings


def test_a_phi_4_mini_has_plain_attention_in_each_layer():
    made = model(PHI4)
    assert made.total_parameters == approx(3.83602176e9, rel=0.001)
    assert kv_bytes(made) == 131072
    assert refusal(PHI4 | {"full_attn_mod": 2}).startswith("full_attn_mod: got 2")


def test_a_width_that_minimax_m2_does_not_use_is_passed_over():
    assert model(MINIMAX_M2).total_parameters == approx(228.689748992e9, rel=0.001)
    assert refusal(LLAMA | {"mlp_intermediate_size": 8192}).startswith("mlp_intermediate_size")


@pytest.mark.parametrize(
    "key",
    ["num_key_value_heads", "tie_word_embeddings", "moe_intermediate_size", "num_shared_experts"],
)
def test_an_unknown_model_with_experts_must_say_all_that_a_class_may_say(key: str):
    assert not model(KIN).notes[0].endswith("number of heads")
    text = refusal({name: value for name, value in KIN.items() if name != key})
    assert text.startswith("n_shared_experts" if key == "num_shared_experts" else key)


@pytest.mark.parametrize("key", ["num_key_value_heads", "tie_word_embeddings"])
def test_a_class_of_another_name_has_defaults_that_nobody_knows(key: str):
    assert "'coder', which is not known" in model(CODER).notes[0]
    text = refusal({name: value for name, value in CODER.items() if name != key})
    assert text == f"{key}: is missing; files of coder must have this key"


def test_a_width_of_heads_that_is_assumed_is_noted():
    notes = model({name: value for name, value in CODER.items() if name != "head_dim"}).notes
    assert notes[0].endswith(
        "head_dim is missing; hidden_size divided by the number of heads is used"
    )


def test_aria_has_experts_as_wide_as_its_file_says_of_all_layers():
    made = model({
        "model_type": "aria_text", "hidden_size": 4096, "intermediate_size": 4096, "max_position_embeddings": 2048, "moe_num_experts": 8,
        "moe_num_shared_experts": 2, "moe_topk": 2, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "vocab_size": 32000,
    })  # fmt: skip
    assert made.total_parameters == approx(18.517069824e9, rel=0.001)
