"""Precision of checkpoints: formats with their scales, and the parts that lists keep in 16 bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from cluster_sim import ScenarioError
from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model import Model
from tests.llm.configurations import model

LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072, "tie_word_embeddings": False,
}  # fmt: skip
MIXTURE = {  # 4 layers, the first dense; a shared expert
    "model_type": "glm4_moe", "hidden_size": 1024, "intermediate_size": 4096, "moe_intermediate_size": 512, "num_hidden_layers": 4,
    "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 128, "n_routed_experts": 64, "n_shared_experts": 1, "num_experts_per_tok": 4,
    "first_k_dense_replace": 1, "vocab_size": 1000, "max_position_embeddings": 8192,
}  # fmt: skip


def groups(**weights: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"], "weights": weights}}}  # fmt: skip


@pytest.mark.parametrize(
    ("quantisation", "native", "bits"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 8),
        ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]}, "fp8", 8),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8", 8),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}, "fp4", 4.5),
        ({"quant_method": "modelopt_fp4", "quantization": {"quant_algo": "NVFP4"}}, "fp4", 4.5),
        ({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ", "group_size": 128}, "fp4", 4.125),
        ({"quant_method": "modelopt", "quant_algo": "W4A8_MXFP4_FP8"}, "fp4", 4.25),
        ({"quant_method": "modelopt", "quant_algo": "MXFP8"}, "fp8", 8.25),
        (groups(num_bits=8, type="float", strategy="channel"), "fp8", 8),
        (groups(num_bits=8, type="int", strategy="channel"), "fp8", 8),
        (groups(num_bits=4, type="float", group_size=16), "fp4", 4.5),
        (groups(num_bits=4, type="float", group_size=32), "fp4", 4.25),
        (groups(num_bits=4, type="int", group_size=32), "fp4", 4.5),
        (groups(num_bits=4, type="int", group_size=128), "fp4", 4.125),
        (groups(num_bits=4, type="int", group_size=128, symmetric=False), "fp4", 4.15625),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}}, "fp8", 8),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}}}, "fp4", 4.25),
        ({"quant_method": "torchao", "quant_type": "int4_weight_only", "quant_type_kwargs": {"group_size": 64}}, "fp4", 4.5),
        ({"quant_method": "torchao", "quant_type": {"default": {"_type": "Float8WeightOnlyConfig", "_data": {}}}}, "fp8", 8),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, "fp4", 4.15625),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "fp4", 4.625),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "fp8", 8.1875),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128}, "fp4", 4.15625),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "fp8", 8),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "fp4", 4.5),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True}, "fp4", 4.126953125),
        ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}}, "fp4", 4.5),
        ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}, "skip_modules": ["lm_head"]}, "fp4", 4.5),
    ],
)  # fmt: skip
def test_a_weight_takes_its_bits_and_a_share_of_its_scales(
    quantisation: Any, native: str, bits: float
):
    made = model(LLAMA | {"quantization_config": quantisation})
    assert made.native == native
    products = 32 * (4096 * 128 * (2 * 32 + 2 * 8) + 3 * 4096 * 14336)
    wide = 2 * 128256 * 4096 + 65 * 4096
    assert made.weight_bytes(made.native) == products * bits / 8 + wide * 2


@pytest.mark.parametrize(
    ("quantisation", "format"),
    [
        (groups(num_bits=8, type="int", strategy="channel"), "int8"),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "int8"),
        (groups(num_bits=8, type="float", strategy="channel"), "fp8"),
        (groups(num_bits=8, type="float", strategy="block"), "fp8_block"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8_block"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_algo": "FP8_PB_WO"}, "fp8_block"),
    ],
)
def test_formats_of_8_bit_are_told_apart(quantisation: Any, format: str):
    assert model(LLAMA | {"quantization_config": quantisation}).fp8_format == format


@pytest.mark.parametrize(
    ("ignore", "kept"),
    [
        ([], []),
        (["lm_head"], []),
        (["re:.*self_attn.*", "lm_head"], ["attention"]),
        (["model.layers.*.self_attn*"], ["attention"]),
        (["model.layers.*.self_attn"], ["attention"]),
        (["self_attn"], ["attention"]),
        ([f"model.layers.{layer}.self_attn.{name}_proj" for layer in range(4) for name in "qkvo"], ["attention"]),
        ([f"language_model.model.layers.{layer}.self_attn*" for layer in range(4)], ["attention"]),
        (["re:.*shared_experts.*"], ["shared"]),
        (["re:.*mlp\\.(gate|up|gate_up|down)_proj.*"], ["ffn"]),
        (["model.layers.0*"], ["ffn"]),
        (["re:.*self_attn.*", "re:.*shared_experts.*", "re:.*mlp\\.(gate|up|down)_proj.*"], ["attention", "ffn", "shared"]),
        (["re:model\\.layers\\.\\d+\\.mlp\\.gate$", "vision_tower*", "re:.*norm.*"], []),
    ],
)  # fmt: skip
def test_parts_in_16_bit_follow_from_the_lists_of_modules(ignore: list[str], kept: list[str]):
    made = model(
        MIXTURE | {"quantization_config": groups(num_bits=8, type="float") | {"ignore": ignore}}
    )
    assert list(made.kept_bf16) == ["embedding", *kept]


def test_a_dense_part_beside_experts_is_kept_without_them():
    beside = {
        "model_type": "gemma4_text", "hidden_size": 1024, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 64, "global_head_dim": 128, "num_global_key_value_heads": 2, "vocab_size": 1000,
        "max_position_embeddings": 8192, "sliding_window": 512, "layer_types": ["sliding_attention", "full_attention"],
        "hidden_size_per_layer_input": 0, "enable_moe_block": True, "num_experts": 16, "top_k_experts": 2, "moe_intermediate_size": 256,
    }  # fmt: skip
    kept = [f"model.layers.{layer}.{name}*" for layer in range(2) for name in ("mlp", "router", "self_attn")]  # fmt: skip
    nvfp4 = {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}
    made = model(beside | {"quantization_config": nvfp4 | {"ignore": ["lm_head", *kept]}})
    assert (made.native, made.notes) == ("fp4", None)
    assert made.kept_bf16 == ("embedding", "attention", "ffn")
    assert made.part_bytes("fp4", "experts") == 2 * 16 * 3 * 1024 * 256 * 4.5 / 8


def test_modules_that_are_not_targets_stay_in_16_bit():
    only_experts = groups(num_bits=8, type="float")
    only_experts["config_groups"]["g"]["targets"] = ["re:.*mlp.experts.*"]
    made = model(MIXTURE | {"quantization_config": only_experts})
    assert list(made.kept_bf16) == ["embedding", "attention", "ffn", "shared"]


def test_every_part_has_bytes_of_its_own():
    made = model(MIXTURE | {"quantization_config": {"quant_method": "fp8"}})
    all_narrow = made.weight_bytes("fp8")
    sizes = {"attention": 4 * 4 * 1024 * 1024, "ffn": 3 * 1024 * 4096, "shared": 3 * 3 * 1024 * 512, "experts": 3 * 64 * 3 * 1024 * 512}  # fmt: skip
    for part, weights in sizes.items():
        wider = made.model_copy(update={"kept_bf16": ("embedding", part)})
        assert wider.weight_bytes("fp8") - all_narrow == weights


@pytest.mark.parametrize(
    ("quantisation", "message"),
    [
        ({"quant_method": "aqlm"}, "quant_method: got 'aqlm'; expected one of auto-round, awq"),
        ({"quant_method": "gptq", "bits": 3}, "got weights of 3 bits; expected 4 or 8"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 0}, "group_size: got 0; expected a whole number"),
        ({"quant_method": "gptq", "bits": 4, "lm_head": True}, "lm_head: got true; expected false"),
        ({"quant_method": "gptq", "bits": 4, "dynamic": {"+:.*down.*": {"bits": 8}}}, "dynamic: got a mapping"),
        ({"quant_method": "modelopt", "quant_algo": "X"}, "quant_algo: got 'X'; expected one of FP8"),
        (
            {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {"a": {"quant_algo": "FP8"}, "b": {"quant_algo": "NVFP4"}}},
            "got lists of modules that leave all weights in 16 bit; expected names of the model's modules",
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": {"num_bits": 8, "type": "float"}, "targets": ["re:.*mlp.experts.*(gate|up)_proj"]}, "b": {"weights": {"num_bits": 4, "group_size": 128}}}},
            "split parts of the model",
        ),
        ({"quant_method": "compressed-tensors"}, "config_groups: is missing"),
        (groups(num_bits=4, type="float", group_size=64), "got floating-point weights of 4 bits in groups of 64"),
        (groups(num_bits=8, type="float") | {"sparsity_config": {"format": "sparse-24-bitmask"}}, "sparsity_config: got 'sparse-24-bitmask'; expected dense"),
        (groups(num_bits=8, type="float") | {"ignore": "lm_head"}, "ignore: got 'lm_head'; expected a list of module names"),
        (groups(num_bits=8, type="float") | {"ignore": ["re:("]}, "got '('; expected a regular expression"),
        (groups(num_bits=8, type="float") | {"ignore": ["model.layers.3.mlp.experts.7.up_proj"]}, "single experts"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp6"}}}, "dtype: got 'fp6'"),
        ({"quant_method": "quark", "layer_quant_config": {"*lm_head": {}}}, "layer_quant_config: got '*lm_head'; expected names inside layers"),
        ({"quant_method": "torchao", "quant_type": {"default": {}, "model.x": {}}}, "expected only default"),
        ({"quant_method": "torchao", "quant_type": "uintx_weight_only"}, "quant_type: got 'uintx_weight_only'"),
        ({"quant_method": "hqq", "quant_config": {"self_attn.q_proj": {}}}, "got no weight_quant_params.nbits"),
        ({"quant_method": "bitsandbytes"}, "got neither load_in_4bit nor load_in_8bit"),
    ],
)  # fmt: skip
def test_a_precision_that_is_not_simulated_is_refused_by_its_key(quantisation: Any, message: str):
    with pytest.raises(ValueError, match=r".") as told:
        model(MIXTURE | {"quantization_config": quantisation})
    assert "quantization_config" in str(told.value)
    assert message in str(told.value)


def test_a_list_that_splits_a_part_is_refused_where_it_counts():
    half = [f"model.layers.{layer}.mlp*" for layer in range(12)]  # of 32 dense layers
    with pytest.raises(ValueError, match=r"split parts of the model.*too small"):
        model(
            LLAMA | {"quantization_config": groups(num_bits=4, group_size=128) | {"ignore": half}}
        )
    first = ["model.layers.0.mlp.down_proj"]
    made = model(
        LLAMA | {"quantization_config": groups(num_bits=4, group_size=128) | {"ignore": first}}
    )
    exact = 4096 * 14336 * (2 - 4.125 / 8)
    off = exact / (made.weight_bytes("fp4") + exact)
    assert made.notes == (
        f"quantization_config: one precision per part is simulated; weights are {100 * off:.1f} % too small",
    )


def test_parts_in_8_bit_beside_experts_in_4_bit_follow_from_a_list_of_every_module():
    eight = [f"self_attn.{name}_proj" for name in "qkvo"] + [
        f"mlp.{part}{name}_proj"
        for part in ("", "shared_experts.")
        for name in ("gate", "up", "down")
    ]
    four = [f"mlp.experts.{expert}.{name}_proj" for expert in range(64) for name in ("gate", "up", "down")]  # fmt: skip
    layers = {f"model.layers.{layer}.{name}": {"quant_algo": "MXFP8"} for layer in range(4) for name in eight}  # fmt: skip
    layers |= {f"model.layers.{layer}.{name}": {"quant_algo": "NVFP4", "group_size": 16} for layer in range(1, 4) for name in four}  # fmt: skip
    mixed = {
        "quant_method": "modelopt",
        "quant_algo": "MIXED_PRECISION",
        "quantized_layers": layers,
    }
    made = model(MIXTURE | {"quantization_config": mixed})
    assert (made.native, made.fp4_format, made.weight_bits) == ("fp4", "nvfp4", None)
    assert made.kept_bf16 == ("embedding",)
    assert made.fp4_kept_fp8 == ("attention", "ffn", "shared")
    assert made.stored_in("fp4", "attention") == "fp8"
    # one expert of another precision
    layers["model.layers.1.mlp.experts.7.up_proj"] = {"quant_algo": "FP8"}
    with pytest.raises(ValueError, match=r"single experts"):
        model(MIXTURE | {"quantization_config": mixed})


def test_groups_of_modules_have_formats_of_their_own():
    two = groups(num_bits=4, type="float", group_size=16)
    two["config_groups"]["h"] = {
        "targets": ["re:.*self_attn.*", "re:.*shared_experts.*"],
        "weights": {"num_bits": 8, "type": "float"},
    }
    made = model(MIXTURE | {"quantization_config": two | {"ignore": ["model.layers.0.mlp"]}})
    assert (made.native, made.kept_bf16) == ("fp4", ("embedding", "ffn"))
    assert made.fp4_kept_fp8 == ("attention", "shared")


def test_modules_that_quark_names_have_formats_of_their_own():
    quark = {
        "quant_method": "quark",
        "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}},
        "layer_quant_config": {
            "*self_attn*": {"weight": {"dtype": "fp8_e4m3"}},
            "*shared_experts*": {"weight": None},
        },
    }
    made = model(MIXTURE | {"quantization_config": quark})
    assert (made.native, made.fp4_format) == ("fp4", "mxfp4")
    assert (made.kept_bf16, made.fp4_kept_fp8) == (("embedding", "shared"), ("attention",))
    # keys and values of the cache in 8 bit, weights as all others
    same = {"*k_proj": {"weight": {"dtype": "fp4", "group_size": 32}, "output_tensors": {"dtype": "fp8_e4m3"}}}  # fmt: skip
    made = model(MIXTURE | {"quantization_config": quark | {"layer_quant_config": same}})
    assert made.kept_bf16 == ("embedding",)


def test_experts_of_a_precision_of_their_own_stand_beside_fp8():
    fp8 = {"quantization_config": {"quant_method": "fp8"}}
    made = model(MIXTURE | fp8 | {"expert_dtype": "fp4"})
    assert (made.native, made.fp4_format) == ("fp4", "mxfp4")
    assert made.fp4_kept_fp8 == ("attention", "ffn", "shared")
    assert made.part_bytes("fp4", "experts") == 3 * 64 * 3 * 1024 * 512 * 4.25 / 8
    assert made.part_bytes("fp4", "shared") == 3 * 3 * 1024 * 512
    assert model(MIXTURE | fp8 | {"expert_dtype": "fp8"}).native == "fp8"
    for changes, message in (
        (fp8 | {"expert_dtype": "int3"}, "expert_dtype: got 'int3'; expected fp4 or fp8"),
        ({"expert_dtype": "fp4"}, "expert_dtype: got 'fp4' without quantization_config"),
    ):
        with pytest.raises(ValueError, match=message):
            model(MIXTURE | changes)


def test_the_file_beside_says_the_precision():
    fp8 = {
        "producer": {"name": "modelopt"},
        "quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]},
    }
    made = model(LLAMA, **{"hf_quant_config.json": fp8})
    assert (made.native, made.notes) == ("fp8", None)
    gptq = model(
        LLAMA, **{"quantize_config.json": {"bits": 4, "group_size": 128, "desc_act": False}}
    )
    assert gptq.weight_bits == 4.15625
    awq = model(
        LLAMA, **{"quant_config.json": {"w_bit": 4, "q_group_size": 64, "zero_point": True}}
    )
    assert awq.weight_bits == 4.3125
    none = {"quantization": {"quant_algo": None, "kv_cache_quant_algo": "FP8"}}
    cache_only = model(LLAMA, **{"hf_quant_config.json": none})
    assert cache_only.native == "bf16"
    assert cache_only.notes == (
        "the checkpoint was made for a KV cache of fp8; the run uses `kv_cache` of the replica",
    )


def test_two_files_that_disagree_are_refused():
    side = {"quantization": {"quant_algo": "NVFP4"}}
    with pytest.raises(ValueError, match=r"got fp8 and nvfp4; expected one precision"):
        model(
            LLAMA | {"quantization_config": {"quant_method": "fp8"}},
            **{"hf_quant_config.json": side},
        )


def test_a_folder_is_read_with_what_lies_beside_its_config(tmp_path: Path):
    (tmp_path / "config.json").write_text("\ufeff" + json.dumps(LLAMA), encoding="utf-8")
    plain = Model.model_validate(read_model(str(tmp_path)))
    assert plain.native == "bf16", "a byte order mark does not matter"
    (tmp_path / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": "FP8"}}')
    assert Model.model_validate(read_model(str(tmp_path))).native == "fp8"
    assert Model.model_validate(read_model(str(tmp_path / "config.json"))).native == "fp8"
    (tmp_path / "hf_quant_config.json").write_text("[]")
    with pytest.raises(
        ScenarioError,
        match=r"config\.json: hf_quant_config\.json: got an empty list; expected a mapping",
    ):
        read_model(str(tmp_path))


def test_what_is_no_config_is_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"hf download meta-llama/Llama-3\.1-8B config\.json --local-dir FOLDER"
    ):
        read_model("meta-llama/Llama-3.1-8B")
    with pytest.raises(
        ValueError, match=r"got no config\.json in it; expected a config\.json or params\.json"
    ):
        read_model(str(tmp_path))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | st.text(max_size=4) | st.sampled_from(["re:*", "FP8", "fp4", "int", "Linear"]),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.sampled_from(["weights", "default", "_type", "x"]), inside, max_size=2),
    max_leaves=4,
)  # fmt: skip
KEYS = [
    "quant_algo",
    "bits",
    "group_size",
    "ignore",
    "exclude_modules",
    "config_groups",
    "global_quant_config",
    "quant_type",
    "quant_config",
    "dynamic",
    "modules_to_not_convert",
    "kv_cache_scheme",
    "sparsity_config",
    "load_in_4bit",
    "quantization",
    "quantized_layers",
    "lm_head",
    "layer_quant_config",
]


@given(
    st.sampled_from(["modelopt", "compressed-tensors", "quark", "torchao", "gptq", "awq", "hqq", "bitsandbytes", "fp8", "mxfp4"]),
    st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=4),
)  # fmt: skip
def test_any_quantisation_is_a_model_or_a_value_error(method: str, junk: dict[str, Any]):
    try:
        made = model(MIXTURE | {"quantization_config": {"quant_method": method} | junk})
    except ValueError:
        return
    assert 0.0 < made.weight_bytes(made.native) <= made.weight_bytes("bf16") * 1.01


def test_integers_of_4_bit_are_multiplied_in_16_bit():
    awq = {"quant_method": "awq", "bits": 4, "group_size": 128}
    made = model(LLAMA | {"quantization_config": awq})
    assert made.computed_in("fp4", "ffn") == "bf16"
    nvfp4 = model(
        LLAMA | {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}
    )
    assert nvfp4.computed_in("fp4", "ffn") == "fp4"
    assert nvfp4.weight_bytes("fp4") / made.weight_bytes("fp4") == approx(1.06, abs=0.02)
