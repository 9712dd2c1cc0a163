"""Families with attention of several kinds: spellings that mean the same, and searched models.

What the library transformers builds is in `test_oracle.py`. It does not know models that a search
made from Llama (`block_configs`); their weights are counted here by another way.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from pytest import approx

from cluster_sim.llm.config_files import from_hugging_face
from cluster_sim.llm.model import Model
from tests.llm.configurations import plain_model
from tests.llm.oracle.configs import CONFIGS
from tests.llm.oracle.mutants import COUNT, mutants

Config = dict[str, Any]


def fault(config: Config) -> str:
    """Return why a configuration is refused; nothing where it is read."""
    try:
        Model.model_validate(from_hugging_face(config, "x"))
    except ValueError as told:
        return str(told)
    return ""


def without(config: Config, *keys: str) -> Config:
    return {key: value for key, value in config.items() if key not in keys}


def block(group: int | None, factor: float | None) -> Config:
    """Return a layer as the files have it; None for no attention, or no feed-forward part."""
    attention = {"n_heads_in_group": group, "no_op": group is None, "replace_with_linear": False, "window_length": None}  # fmt: skip
    ffn = {"ffn_mult": factor, "no_op": factor is None, "replace_with_linear": False, "sparsify": None}  # fmt: skip
    return {"attention": attention, "ffn": ffn}


SEARCHED: Config = {
    "model_type": "nemotron-nas", "architectures": ["DeciLMForCausalLM"], "hidden_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 16,
    "num_key_value_heads": None, "intermediate_size": None, "vocab_size": 24000, "max_position_embeddings": 8192, "tie_word_embeddings": False,
    "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "rope_theta": 500000.0,
    "block_configs": [block(8, 2.625), block(None, 1.3125), block(4, 5.25), block(None, None), block(8, None), block(None, 0.5)],
}  # fmt: skip


def counted(config: Config) -> tuple[int, int]:
    """Return the weights, norms left out, and the cached values of a token, added up one by one."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    width = config.get("head_dim") or hidden // heads
    weights = (1 if config.get("tie_word_embeddings") else 2) * config["vocab_size"] * hidden
    cached = 0
    for layer in config["block_configs"]:
        if not layer["attention"]["no_op"]:
            keys = heads // layer["attention"]["n_heads_in_group"]
            weights += 2 * hidden * heads * width + 2 * hidden * keys * width
            cached += 2 * keys * width
        if not layer["ffn"]["no_op"]:
            inner = int(2 * layer["ffn"]["ffn_mult"] * hidden / 3)
            inner += -inner % 256
            weights += 3 * hidden * inner
    return weights, cached


def test_a_searched_model_has_attention_and_widths_by_layer():
    made = plain_model(SEARCHED)
    weights, cached = counted(SEARCHED)
    norms = (3 + 4 + 1) * 1536
    assert made.total_parameters == weights + norms
    assert sum(kind.layers * kind.growing_values() for kind in made.attention) == cached
    assert [(part.layers, part.ffn) for part in made.dense_parts] == [
        (1, 2688 + 128), (1, 1344 + 192), (1, 5376), (1, 512),
    ]  # fmt: skip
    assert (made.mixer_layers, made.layers) == (3, 6)


def damaged(name: str, change: Any) -> Config:
    """Return the configuration with one change inside `block_configs`."""
    config = deepcopy(SEARCHED)
    change(config["block_configs"])
    return config | {"_name_or_path": name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda blocks: blocks.pop(), "block_configs: got a list of 5; expected 6 entries"),
        (lambda blocks: blocks.append(blocks[0]), "block_configs: got a list of 7; expected 6 entries"),
        (lambda blocks: blocks[2].pop("ffn"), "block_configs[2].ffn: got nothing; expected a mapping"),
        (lambda blocks: blocks.__setitem__(1, 5), "block_configs[1]: got 5; expected a mapping"),
        (lambda blocks: blocks[0]["attention"].update(n_heads_in_group=3), "block_configs[0].attention.n_heads_in_group: got 3; expected a divisor of 16"),
        (lambda blocks: blocks[0]["attention"].update(n_heads_in_group=None), "n_heads_in_group: is missing"),
        (lambda blocks: blocks[0]["attention"].update(n_heads_in_group="8"), "n_heads_in_group: got '8'"),
        (lambda blocks: blocks[0]["attention"].update(replace_with_linear=True), "block_configs[0].attention.replace_with_linear: got true"),
        (lambda blocks: blocks[0]["attention"].update(window_length=8192), "block_configs[0].attention.window_length: got 8192"),
        (lambda blocks: blocks[4]["attention"].update(num_sink_tokens=4), "block_configs[4].attention.num_sink_tokens: got 4"),
        (lambda blocks: blocks[0]["ffn"].update(replace_with_linear=True), "block_configs[0].ffn.replace_with_linear: got true"),
        (lambda blocks: blocks[0]["ffn"].update(ffn_mult=None), "block_configs[0].ffn.ffn_mult: got nothing; expected a number above 0"),
        (lambda blocks: blocks[0]["ffn"].update(ffn_mult=-1.0), "block_configs[0].ffn.ffn_mult: got -1.0"),
        (lambda blocks: blocks[0]["ffn"].update(ffn_mult="2"), "block_configs[0].ffn.ffn_mult: got '2'"),
        (lambda blocks: blocks[0]["ffn"].update(moe={"num_local_experts": 8}), "block_configs[0].ffn.moe: got a mapping"),
        (lambda blocks: [one["attention"].update(no_op=True) for one in blocks], "block_configs: got no layer with attention"),
    ],
)  # fmt: skip
def test_a_fault_of_a_layer_is_reported_by_its_position_and_key(change: Any, message: str):
    assert message in fault(damaged("x", change))


def test_widths_of_a_searched_model_may_be_written_out():
    config = damaged(
        "x", lambda blocks: blocks[0]["ffn"].update(ffn_mult=None, intermediate_size=2816)
    )
    assert plain_model(config) == plain_model(SEARCHED | {"_name_or_path": "x"})


def test_single_changes_of_a_searched_model_are_counted_or_refused_by_their_key():
    made = mutants("nemotron-nas", SEARCHED)
    assert len(made) == COUNT
    refused = 0
    for mutant in made:
        if text := fault(mutant.config):
            refused += 1
            assert all(line.split(":")[0].replace("_", "").isascii() for line in text.splitlines())
            assert all(": " in line for line in text.splitlines()), mutant.name
            continue
        config = mutant.config.get("text_config", mutant.config)
        weights, cached = counted(SEARCHED | config)
        read = plain_model(mutant.config)
        assert read.total_parameters == approx(weights, rel=0.001), mutant.name
        values = sum(kind.layers * kind.growing_values() for kind in read.attention)
        assert values == cached, mutant.name
    assert 0 < refused < COUNT


def test_heads_of_keys_may_be_listed_by_layer():
    plain = without(SEARCHED, "block_configs") | {"model_type": "deci", "intermediate_size": 4096}
    made = plain_model(plain | {"num_key_value_heads_per_layer": [4, 4, 1, 2, 4, 4]})
    assert [(kind.layers, kind.cached_values(1)) for kind in made.attention] == [
        (4, 2 * 4 * 96), (1, 2 * 96), (1, 2 * 2 * 96),
    ]  # fmt: skip
    alike = plain_model(plain | {"num_key_value_heads_per_layer": [4] * 6})
    assert (
        alike.total_parameters == plain_model(plain | {"num_key_value_heads": 4}).total_parameters
    )
    text = fault(plain | {"num_key_value_heads_per_layer": [4, 4, 3, 2, 4, 4]})
    assert text == "num_key_value_heads_per_layer: got 3; expected divisors of 16 heads"
    text = fault(plain | {"num_key_value_heads_per_layer": [4]})
    assert text.startswith("num_key_value_heads_per_layer: got a list of 1; expected 6 entries")


def test_spellings_of_sparse_and_windowed_layers_are_the_same_model():
    mimo = CONFIGS["mimo_v2_flash"]
    pattern = [int(kind != "full_attention") for kind in mimo["layer_types"]]
    assert plain_model(
        without(mimo, "layer_types") | {"hybrid_layer_pattern": pattern}
    ) == plain_model(mimo)
    frequency = [int(kind == "sparse") for kind in mimo["mlp_layer_types"]]
    listed = without(mimo, "mlp_layer_types") | {"moe_layer_freq": frequency}
    assert plain_model(listed) == plain_model(mimo)

    glm = CONFIGS["glm_moe_dsa"]
    letters = "".join(kind[0].upper() for kind in glm["indexer_types"])
    assert plain_model(
        without(glm, "indexer_types") | {"index_topk_pattern": letters}
    ) == plain_model(glm)

    v4 = CONFIGS["deepseek_v4"]
    ahead = v4 | {"compress_ratios": [*v4["compress_ratios"], 0]}
    assert plain_model(ahead) == plain_model(v4), "the last is of multi-token prediction"
    names = {0: "sliding_attention", 4: "compressed_sparse_attention", 128: "heavily_compressed_attention"}  # fmt: skip
    kinds = [names[ratio] for ratio in v4["compress_ratios"]]
    assert plain_model(without(v4, "compress_ratios") | {"layer_types": kinds}) == plain_model(v4)

    m3 = CONFIGS["minimax_m3_vl"]["text_config"]
    flat = without(m3, "sparse_attention_config") | {
        "index_n_heads": 4, "index_head_dim": 96, "index_topk_blocks": 6, "index_block_size": 64,
        "layer_types": ["full_attention", "minimax_m3_sparse", "minimax_m3_sparse"] * 2,
    }  # fmt: skip
    assert plain_model(flat) == plain_model(m3)

    gemma = CONFIGS["gemma4_text"]
    own = {"5": {"head_dim": 160, "num_key_value_heads": 2}}
    saved = without(gemma, "global_head_dim", "num_global_key_value_heads")
    assert plain_model(saved | {"per_layer_config": own}) == plain_model(gemma)


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("mimo_v2_flash", {"hybrid_layer_pattern": [0, 1, 1, 0, 1, 2]}, "hybrid_layer_pattern: got 2; expected 0 or 1"),
        ("mimo_v2_flash", {"attention_chunk_size": 512}, "attention_chunk_size: got 512; expected the window, 256"),
        ("deepseek_v32", {"indexer_types": ["full"] * 6}, "indexer_types: got a list, sparse attention"),
        ("glm_moe_dsa", {"indexer_types": ["shared"] * 6}, "indexer_types: got a first layer that shares an indexer"),
        ("glm_moe_dsa", {"indexer_types": ["full", "half"] * 3}, "indexer_types: got 'half'; expected full and shared"),
        ("glm_moe_dsa", {"indexer_types": ["full"] * 5}, "indexer_types: got a list of 5; expected 6 entries"),
        ("deepseek_v4", {"compress_ratios": [0, 128, 4, 16, 128, 4]}, "compress_ratios: got 16; expected 0, 4 and 128"),
        ("deepseek_v4", {"compress_ratios": [0, 128]}, "compress_ratios: got a list of 2; expected 6 entries"),
        ("deepseek_v4", {"o_groups": 5}, "o_groups: got 5; expected a divisor of 16 heads"),
        ("gemma4_text", {"num_kv_shared_layers": 2}, "num_kv_shared_layers: got 2, layers that share a KV cache"),
        ("gemma4_text", {"hidden_size_per_layer_input": 256}, "hidden_size_per_layer_input: got 256"),
        ("gemma4_text", {"use_bidirectional_attention": "all"}, "use_bidirectional_attention: got 'all'; expected a model that generates tokens"),
        ("gemma4_text", {"num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 512}, "num_experts: got experts without enable_moe_block"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_its_family_is_reported_by_its_key(
    family: str, changes: Config, message: str
):
    assert message in fault(CONFIGS[family] | changes)


def test_layers_for_images_are_idle_and_the_model_says_so():
    made = plain_model(CONFIGS["mllama"])
    assert [(kind.layers, kind.is_idle) for kind in made.attention] == [(4, False), (2, True)]
    assert [(part.layers, part.is_idle) for part in made.dense_parts] == [(4, False), (2, True)]
    assert made.idle_blocks == 4
    (note,) = made.notes or ()
    assert note.startswith("cross_attention_layers: 2 layers only attend to images")
    changed = deepcopy(CONFIGS["mllama"])
    changed["text_config"]["cross_attention_layers"] = [1, 9]
    assert fault(changed) == "cross_attention_layers: got 9; expected layers from 0 to 5, each once"


QUANTISED = {"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float"}}}}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "ignore", "kept"),
    [
        ("mimo_v2_flash", ["re:.*self_attn.*"], ["attention"]),
        ("glm_moe_dsa", [f"model.layers.{layer}.self_attn*" for layer in range(6)], ["attention"]),
        ("glm_moe_dsa", ["re:.*indexer.*"], []),
        ("glm_moe_dsa", ["re:.*shared_experts.*", "model.layers.0*", "model.layers.1.*"], ["ffn", "shared"]),
        ("deepseek_v4", ["re:.*attn.*"], ["attention"]),
        ("deepseek_v4", [f"layers.{layer}.attn.{name}" for layer in range(6) for name in ("wq_a", "wq_b", "wkv", "wo_a", "wo_b", "compressor", "indexer")], ["attention"]),
        ("gemma4_text", ["re:.*mlp.*"], ["ffn"]),
        ("minimax_m3_vl", ["re:.*self_attn.*", "re:.*shared_experts.*"], ["attention", "shared"]),
        ("mllama", ["re:.*(self|cross)_attn.*"], ["attention"]),
    ],
)  # fmt: skip
def test_lists_of_modules_name_the_matrices_of_every_kind(
    family: str, ignore: list[str], kept: list[str]
):
    made = plain_model(CONFIGS[family] | {"quantization_config": QUANTISED | {"ignore": ignore}})
    assert (made.native, list(made.kept_bf16)) == ("fp8", ["embedding", *kept])


LONGCAT: Config = {
    "model_type": "longcat_flash", "attention_method": "MLA", "hidden_size": 6144, "ffn_hidden_size": 12288, "expert_ffn_hidden_size": 2048,
    "num_layers": 28, "num_attention_heads": 64, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
    "v_head_dim": 128, "n_routed_experts": 512, "moe_topk": 12, "zero_expert_num": 256, "zero_expert_type": "identity", "vocab_size": 131072,
    "max_position_embeddings": 131072, "routed_scaling_factor": 6.0, "mla_scale_q_lora": True, "mla_scale_kv_lora": True,
    "attention_bias": False, "rope_theta": 1e7,
}  # fmt: skip


def test_a_layer_of_longcat_is_two_and_a_third_of_its_experts_compute_nothing():
    made = plain_model(LONGCAT)
    assert (made.layers, made.dense_layers, made.moe_layers) == (56, 56, 28)
    assert made.experts is not None
    assert made.experts.top_k == 8, "12 of 512 and 256"
    assert made.total_parameters == approx(560e9, rel=0.02), "published: 560 B"
    assert made.active_parameters == approx(27e9, rel=0.03), "published: 27 B in the mean"
    (latent,) = made.attention
    assert latent.layers * latent.growing_values() == 56 * 576
    notes = made.notes or ()
    assert [note.split(":")[0] for note in notes] == ["num_layers", "zero_expert_num"]
    assert plain_model(LONGCAT | {"num_hidden_layers": 56}).layers == 56
    assert fault(LONGCAT | {"num_hidden_layers": 30}).startswith("num_hidden_layers: got 30")


ARCTIC: Config = {
    "model_type": "arctic", "hidden_size": 7168, "intermediate_size": 4864, "num_hidden_layers": 35, "num_attention_heads": 56,
    "num_key_value_heads": 8, "num_local_experts": 128, "num_experts_per_tok": 2, "moe_layer_frequency": 1, "parallel_attn_mlp_res": True,
    "use_residual": True, "vocab_size": 32000, "max_position_embeddings": 4096, "tie_word_embeddings": False, "hidden_act": "silu",
}  # fmt: skip


def test_a_dense_part_beside_experts_is_as_wide_as_the_hidden_states():
    made = plain_model(ARCTIC)
    assert made.total_parameters == approx(480e9, rel=0.01), "published: 480 B"
    assert made.active_parameters == approx(17e9, rel=0.02), "published: 17 B"
    assert [(part.layers, part.ffn) for part in made.dense_parts] == [(35, 7168)]
    turns = plain_model(ARCTIC | {"num_hidden_layers": 4, "moe_layer_frequency": 2})
    assert (turns.moe_layers, turns.dense_layers) == (2, 4)
    assert fault(without(ARCTIC, "use_residual")).startswith("use_residual: is missing")


def test_exaone_lists_its_layers_with_experts():
    exaone = CONFIGS["exaone_moe"]
    listed = without(exaone, "first_k_dense_replace") | {
        "is_moe_layer": [False, False, True, True, True, True], "first_last_k_dense_replace": 2,
    }  # fmt: skip
    assert plain_model(listed) == plain_model(exaone)
    text = fault(listed | {"is_moe_layer": [False, 2, True, True, True, True]})
    assert text == "is_moe_layer: got 2; expected 0 or 1 for each layer"


def test_windows_of_step_have_more_heads_and_lists_go_on_for_predicted_tokens():
    kinds = (["full_attention"] + ["sliding_attention"] * 3) * 12
    step = {
        "model_type": "step3p5", "hidden_size": 4096, "intermediate_size": 11264, "num_hidden_layers": 45, "num_attention_heads": 64,
        "num_attention_groups": 8, "head_dim": 128, "vocab_size": 128896, "max_seq_len": 262144, "max_position_embeddings": 262144,
        "moe_num_experts": 288, "moe_top_k": 8, "moe_intermediate_size": 1280, "share_expert_dim": 1280, "sliding_window": 512,
        "moe_layers_enum": ",".join(map(str, range(3, 45))), "num_nextn_predict_layers": 3, "layer_types": kinds,
        "attention_other_setting": {"attention_type": "sliding_attention", "num_attention_heads": 96, "num_attention_groups": 8, "head_dim": 128, "true_head_dim": 128},
        "use_head_wise_attn_gate": True, "rope_theta": [5e6, 1e4, 1e4, 1e4] * 12, "tie_word_embeddings": False,
    }  # fmt: skip
    made = plain_model(step)
    full, windows = made.attention
    assert (full.layers, windows.layers) == (12, 33)
    more = windows.parameters(4096) - full.parameters(4096)
    assert more == 2 * 4096 * 32 * 128
    assert made.total_parameters == approx(196e9, rel=0.02), "published: 196 B"
    saved = without(step, "attention_other_setting") | {
        "num_sliding_attention_heads": 96,
        "per_layer_config": {str(place): {"num_attention_heads": 96} for place, kind in enumerate(kinds[:45]) if kind != "full_attention"},
    }  # fmt: skip
    assert plain_model(saved) == made
    text = fault(
        step | {"attention_other_setting": step["attention_other_setting"] | {"head_dim": 64}}
    )  # type: ignore[operator]
    assert text.startswith("attention_other_setting.head_dim: got 64; expected 128")
    assert fault(saved | {"num_sliding_attention_heads": 64}).startswith("per_layer_config: got")
