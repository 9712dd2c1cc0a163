"""Models read from Hugging Face config.json files have their published sizes; what is wrong in one
is told by its key.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

import cluster_sim
from cluster_sim import ScenarioError
from cluster_sim.llm.config_files import from_hugging_face
from cluster_sim.llm.model import Model
from tests.llm.configurations import model

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072, "tie_word_embeddings": False,
}  # fmt: skip
LLAMA_1B = LLAMA | {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "head_dim": 64,
    "tie_word_embeddings": True,
}
MISTRAL = {
    "model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 32768, "sliding_window": 4096, "tie_word_embeddings": False,
}  # fmt: skip
MIXTRAL = MISTRAL | {
    "model_type": "mixtral",
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "sliding_window": None,
}
QWEN3_MOE = {
    "model_type": "qwen3_moe", "hidden_size": 4096, "intermediate_size": 12288, "moe_intermediate_size": 1536, "num_hidden_layers": 94,
    "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936, "max_position_embeddings": 40960, "num_experts": 128,
    "num_experts_per_tok": 8, "decoder_sparse_step": 1, "mlp_only_layers": [], "sliding_window": None, "use_sliding_window": False,
    "max_window_layers": 94, "tie_word_embeddings": False,
}  # fmt: skip
GPT_OSS = {
    "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 36, "num_attention_heads": 64,
    "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 201088, "max_position_embeddings": 131072, "num_local_experts": 128,
    "num_experts_per_tok": 4, "experts_per_token": 4, "sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 18,
    "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}, "tie_word_embeddings": False,
}  # fmt: skip
DEEPSEEK = {
    "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 61,
    "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 129280, "max_position_embeddings": 163840, "n_routed_experts": 256,
    "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "first_k_dense_replace": 3, "moe_layer_freq": 1, "q_lora_rank": 1536, "kv_lora_rank": 512,
    "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128, "tie_word_embeddings": False,
    "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]},
}  # fmt: skip
GEMMA_3 = {
    "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "vision_config": {"hidden_size": 1152},
    "text_config": {
        "model_type": "gemma3_text", "hidden_size": 5376, "intermediate_size": 21504, "num_hidden_layers": 62, "num_attention_heads": 32,
        "num_key_value_heads": 16, "head_dim": 128, "vocab_size": 262208, "sliding_window": 1024, "sliding_window_pattern": 6,
    },
}  # fmt: skip
QWEN_MOE = {  # Qwen1.5-MoE-A2.7B: 60 experts, and a shared one as wide as four
    "model_type": "qwen2_moe", "hidden_size": 2048, "intermediate_size": 5632, "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632,
    "num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 151936, "max_position_embeddings": 8192,
    "num_experts": 60, "num_experts_per_tok": 4, "decoder_sparse_step": 1, "use_sliding_window": False, "sliding_window": 32768,
}  # fmt: skip
LLAMA_4 = {  # Llama 4 Maverick: experts in every second layer, beside them a shared one
    "model_type": "llama4_text", "hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384, "num_hidden_layers": 48,
    "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 202048, "max_position_embeddings": 1048576,
    "num_local_experts": 128, "num_experts_per_tok": 1, "interleave_moe_layer_step": 2, "attention_chunk_size": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "total", "active"),
    [
        (LLAMA, 8.030e9, None),
        (LLAMA_1B, 1.236e9, None),
        (MISTRAL, 7.242e9, None),
        (MIXTRAL, 46.70e9, 12.9e9),
        (QWEN3_MOE, 235.09e9, 22e9),
        (GPT_OSS, 116.8e9, 5.1e9),
        (DEEPSEEK, 671.03e9, 37e9),
        (GEMMA_3, 27.01e9, None),  # 27.4e9 with its vision tower of 0.4e9
        (QWEN_MOE, 14.3e9, None),
        (LLAMA_4, 400e9, 17e9),
    ],
    ids=[
        "llama",
        "llama-1b",
        "mistral",
        "mixtral",
        "qwen3-moe",
        "gpt-oss",
        "deepseek",
        "gemma-3",
        "qwen-moe",
        "llama-4",
    ],
)
def test_a_config_gives_the_published_number_of_parameters(
    config: dict[str, Any], total: float, active: float | None
):
    assert model(config).total_parameters == approx(total, rel=3e-3)
    if active is not None:
        assert model(config).active_parameters == approx(active, rel=0.07), (
            "rounded in publications, some with the embedding and some without"
        )


def test_a_config_gives_the_same_model_as_the_catalog(tmp_path: Path):
    from cluster_sim.schema import catalog_entry

    for config, name in [
        (LLAMA, "llama-3.1-8b"),
        (MIXTRAL, "mixtral-8x7b"),
        (QWEN3_MOE, "qwen3-235b"),
        (GPT_OSS, "gpt-oss-120b"),
        (DEEPSEEK, "deepseek-r1"),
    ]:
        known = Model.model_validate(catalog_entry("models", name))
        # a config holds no prices of tokens, and the config of one checkpoint not the format of
        # other checkpoints of the model
        others = ("name", "fp4_kept_bf16", "token_prices")
        others += ("fp8_format",) if known.native == "bf16" else ()
        kept = {key: getattr(known, key) for key in others}
        assert model(config).model_copy(update=kept | {"read_from": None}) == known


def test_windows_are_those_of_the_config():
    assert model(LLAMA).window is None
    assert model(QWEN3_MOE).window is None, "use_sliding_window is off"
    for config, tokens, layers, full in [
        (MISTRAL, 4096, 32, 0),
        (GPT_OSS, 128, 18, 18),
        (GEMMA_3, 1024, 52, 10),
    ]:
        made = model(config)
        assert made.window is not None
        assert (made.window.tokens, made.window.layers, made.full_layers) == (tokens, layers, full)
    qwen = model(
        LLAMA
        | {
            "model_type": "qwen2",
            "use_sliding_window": True,
            "sliding_window": 4096,
            "max_window_layers": 28,
        }
    )
    assert qwen.window is not None
    assert qwen.window.layers == 4
    without_pattern = {
        key: value
        for key, value in GEMMA_3["text_config"].items()
        if key != "sliding_window_pattern"
    }  # type: ignore[attr-defined]
    assert model(without_pattern).full_layers == 10


def test_a_tied_embedding_is_counted_once():
    assert model(LLAMA_1B).tied_embeddings
    assert model(LLAMA_1B).embedding_parameters == 128256 * 2048
    assert model(GEMMA_3).tied_embeddings, "Gemma's is, where the file does not say"
    assert not model(
        {key: value for key, value in LLAMA.items() if key != "tie_word_embeddings"}
    ).tied_embeddings


@pytest.mark.parametrize(
    ("quantisation", "native", "bytes_per_parameter"),
    [
        (None, "bf16", 2.0),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 1.0),
        (
            {"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_scheme": {"num_bits": 8}},
            "fp8",
            1.0,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "int"}}},
            },
            "fp8",
            1.0,
        ),
        (
            {"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_scheme": {"num_bits": 8}},
            "fp4",
            0.5625,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 32}}},
            },
            "fp4",
            0.5625,
        ),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "fp4", (4 + 20 / 128) / 8),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "fp4", (4 + 20 / 32) / 8),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "fp8", 1.0),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "fp4", 0.5625),
        ({"quant_method": "mxfp4"}, "fp4", 0.53125),
    ],
)
def test_a_quantised_checkpoint_is_served_in_its_own_precision(
    quantisation: Any, native: str, bytes_per_parameter: float
):
    made = model(LLAMA | {"quantization_config": quantisation})
    assert made.native == native
    assert made.bytes_per_parameter(made.native, "ffn") == bytes_per_parameter
    assert made.bytes_per_parameter(made.native, "embedding") == 2.0


KIN = {"model_type": "kin", "hidden_act": "silu", "num_shared_experts": 0}


def test_layers_without_experts_are_counted_wherever_they_are():
    for changes, dense in [
        ({}, 0),
        ({"decoder_sparse_step": 2}, 47),
        ({"mlp_only_layers": [0, 5]}, 2),
        ({"decoder_sparse_step": 2, "mlp_only_layers": [0, 1]}, 48),
        (KIN | {"first_k_dense_replace": 3}, 3),
        (KIN | {"moe_layer_freq": [0] * 4 + [1] * 90}, 4),
    ]:
        made = model(QWEN3_MOE | changes)
        assert made.experts is not None
        assert (made.experts.dense_layers, made.ffn) == (dense, 12288 if dense else 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": None}, "vocab_size: is missing; expected a whole number"),
        (
            {"num_hidden_layers": "32"},
            "num_hidden_layers: got '32'; expected a whole number of at least 1",
        ),
        (
            {"num_hidden_layers": 0},
            "num_hidden_layers: got 0; expected a whole number of at least 1",
        ),
        ({"hidden_size": -4096}, "hidden_size: got -4096; expected a whole number of at least 1"),
        ({"hidden_size": 4096.0}, "hidden_size: got 4096.0; expected a whole number of at least 1"),
        (
            {"num_attention_heads": True},
            "num_attention_heads: got true; expected a whole number of at least 1",
        ),
        (
            {"num_key_value_heads": [8]},
            "num_key_value_heads: got a list of 1; expected a whole number, or a list of 32, one per layer",
        ),
        (
            {"intermediate_size": "wide"},
            "intermediate_size: got 'wide'; expected a whole number of at least 0",
        ),
        (
            {"max_position_embeddings": {}},
            "max_position_embeddings: got an empty mapping; expected a whole number of at least 1",
        ),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings: got 'yes'; expected true or false"),
        (
            {"num_experts": -1, "num_experts_per_tok": 1},
            "num_experts: got -1; expected a whole number of at least 0",
        ),
        (
            {"num_experts": 8, "num_experts_per_tok": 2, "mlp_only_layers": 3},
            "mlp_only_layers: got 3; expected a list",
        ),
        (
            {"num_experts": 8, "num_experts_per_tok": 2, "decoder_sparse_step": 0},
            "decoder_sparse_step: got 0; expected a whole number of at least 1",
        ),
        (
            {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 0},
            "moe_intermediate_size: got 0; expected a whole number of at least 1",
        ),
        (
            {"num_experts": 8, "num_experts_per_tok": 2, "num_hidden_layers": 10**9},
            "num_hidden_layers: got 1000000000; expected at most 1,000: the placement of layers on wafers tries all cuts",
        ),
        (
            {
                "kv_lora_rank": "x",
                "qk_rope_head_dim": 64,
                "qk_nope_head_dim": 128,
                "v_head_dim": 128,
            },
            "kv_lora_rank: got 'x'; expected a whole number of at least 1",
        ),
        ({"sliding_window": "x"}, "sliding_window: got 'x'; expected a whole number of at least 0"),
        (
            {"sliding_window": 5, "sliding_window_pattern": -1},
            "sliding_window_pattern: got -1; expected a whole number of at least 0",
        ),
        ({"layer_types": 5}, "layer_types: got 5; expected a list"),
        (
            {"layer_types": ["linear_attention", "full_attention"] * 16},
            "layer_types: got 'linear_attention'; expected full_attention and sliding_attention: other kinds of layers are not simulated yet",
        ),
        ({"quantization_config": "fp8"}, "quantization_config: got 'fp8'; expected a mapping"),
        (
            {"quantization_config": {"quant_method": "aqlm"}},
            "quantization_config: quant_method: got 'aqlm'; expected one of auto-round, awq, bitsandbytes, compressed-tensors, fbgemm-fp8, fp8, gptq, hqq, mlx, modelopt, modelopt-fp4, modelopt-mixed, mxfp4, quark, torchao",
        ),
        (
            {"text_config": {"vocab_size": 0}},
            "vocab_size: got 0; expected a whole number of at least 1",
        ),
    ],
)
def test_a_fault_of_a_config_is_reported_by_its_key(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=r".") as told:
        from_hugging_face(LLAMA | {"model_type": "kin", "hidden_act": "silu"} | changes, "x")
    assert str(told.value) == message


def test_all_that_is_wrong_in_a_config_comes_together():
    with pytest.raises(ValueError, match=r".") as told:
        from_hugging_face({"hidden_size": "x"}, "x")
    assert str(told.value).splitlines() == [
        "hidden_act: is missing; files of an unknown architecture must have this key",
        "tie_word_embeddings: is missing; files of an unknown architecture must have this key",
        "num_hidden_layers: is missing; expected a whole number",
        "hidden_size: got 'x'; expected a whole number of at least 1",
        "num_attention_heads: is missing; expected a whole number",
        "num_key_value_heads: is missing; expected a whole number",
        "vocab_size: is missing; expected a whole number",
        "max_position_embeddings: is missing; expected a whole number",
        "intermediate_size: is missing; expected the width of layers without experts",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            json.dumps(LLAMA | {"hidden_size": "x"}),
            ": hidden_size: got 'x'; expected a whole number of at least 1",
        ),
        (
            json.dumps(LLAMA | {"num_key_value_heads": 5}),
            ": num_key_value_heads: got 5; expected a divisor of the number of heads, 32",
        ),
        (
            json.dumps(LLAMA | {"intermediate_size": 0}),
            ": intermediate_size: got 0; expected the width of layers without experts",
        ),
        (
            json.dumps(LLAMA | {"vocab_size": 10**10}),
            ": vocab_size: got 10000000000; expected at most 1,000,000,000: the product of two counts stays exact in 64 bits",
        ),
        ("[]", ": got an empty list; expected a mapping, as a Hugging Face config.json holds"),
        ("", ":1: is not valid JSON: expecting value"),
        ('{\n"a": }', ":2: is not valid JSON: expecting value"),
        ("[" * 100_000, ": is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", ": holds a number that is too long"),
        (b"\xff", ": is not UTF-8 text (byte 0)"),
    ],
)
def test_a_scenario_names_the_config_that_is_wrong(text: str | bytes, message: str, tmp_path: Path):
    (tmp_path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "x.yaml").write_text(
        "name: x\nmodel: config.json\nworkload: 5\ncluster: {pools: [{name: a, node: dgx-h100}]}\n"
    )
    with pytest.raises(ScenarioError) as told:
        cluster_sim.load_scenario(tmp_path / "x.yaml")
    assert (
        str(told.value)
        == f"{tmp_path}/config.json{message}\n{tmp_path}/x.yaml:3: workload: got 5; expected a mapping with keys such as arrivals, prompt_tokens, output_tokens"
    )


def test_a_scenario_may_name_a_config_and_is_written_out_without_it(tmp_path: Path):
    (tmp_path / "mistral").mkdir()
    (tmp_path / "mistral/config.json").write_text(json.dumps(MISTRAL))
    (tmp_path / "x.yaml").write_text(
        "name: x\nmodel: mistral/config.json\ncluster: {pools: [{name: a, node: dgx-h100}]}\n"
        "workload: {arrivals: {process: at_once, requests: 2}, prompt_tokens: 10, output_tokens: 2}\n"
    )
    scenario = cluster_sim.load_scenario(tmp_path / "x.yaml")
    assert scenario.model.name == "mistral"
    (tmp_path / "mistral/config.json").unlink()
    (tmp_path / "y.yaml").write_text(scenario.as_yaml())
    assert cluster_sim.load_scenario(tmp_path / "y.yaml") == scenario


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**12),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.just({}),
    st.just({"a": [1]}),
)


@given(st.integers(0, 2**32), st.lists(JUNK, min_size=1, max_size=4))
def test_any_config_is_a_model_or_a_value_error(seed: int, junk: list[Any]):
    rng = random.Random(seed)
    config: dict[str, Any] = dict(
        rng.choice([LLAMA, QWEN3_MOE, GPT_OSS, DEEPSEEK, GEMMA_3, QWEN_MOE, LLAMA_4])
    )
    for value in junk:
        config[rng.choice([*config, "text_config", "moe_layer_freq"])] = value
    try:
        made = model(config)
    except ValueError:
        return
    assert made.total_parameters > 0
    assert made.weight_bytes("fp4") > 0.0
