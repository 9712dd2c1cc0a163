"""What `explain --json` says of a model, against mental arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import BURST, call


def test_explain_prints_what_was_understood_of_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = {
        "model_type": "glm4_moe", "hidden_size": 1024, "intermediate_size": 4096, "moe_intermediate_size": 512, "num_hidden_layers": 4,
        "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 128, "n_routed_experts": 64, "n_shared_experts": 1,
        "num_experts_per_tok": 4, "first_k_dense_replace": 1, "vocab_size": 1000, "max_position_embeddings": 8192,
        "quantization_config": {"quant_method": "fp8", "modules_to_not_convert": ["self_attn"]},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "x.yaml").write_text(BURST.replace("llama-3.1-8b", str(tmp_path)))
    code, out, _ = call(capsys, "explain", tmp_path / "x.yaml", "--variant", "b200", "--json")
    assert code == 0
    (facts,) = json.loads(out)
    expert, table, attention = 3 * 1024 * 512, 1000 * 1024, 4 * 1024 * 1024
    dense, routers, norms = 3 * 1024 * 4096, 3 * 1024 * 64, 9 * 1024
    assert (
        facts["parameters_total"]
        == 3 * 65 * expert + 4 * attention + dense + routers + 2 * table + norms
    )
    active = 3 * 5 * expert + 4 * attention + dense + routers
    assert facts["parameters_active"] == active + 2 * table
    assert facts["parameters_active_without_input_embedding"] == active + table
    (pool,) = facts["pools"]
    wide, narrow = 4 * attention + 2 * table + routers + norms, 3 * 65 * expert + dense
    assert pool["weight_bytes_by_format"] == {"bf16": 2 * wide, "fp8": narrow}
    assert pool["weight_bytes"] == 2 * wide + narrow
    assert pool["kv_bytes_per_token"] == 4 * 2 * 8 * 128 * 2
    memory = pool["memory_per_device"]
    assert memory["runtime"] == 2.65e9
    assert memory["experts_and_sampler"] == 0.0
    assert sum(memory.values()) == pytest.approx(0.92 * 192.27e9, rel=1e-3)
    assert facts["window_layers"] == 0
    assert facts["notes"] == []


def test_a_warning_of_a_models_file_is_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = {
        "model_type": "alpaca", "hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 4, "num_attention_heads": 8,
        "num_key_value_heads": 8, "vocab_size": 1000, "max_position_embeddings": 8192, "tie_word_embeddings": False,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "x.yaml").write_text(BURST.replace("llama-3.1-8b", "config.json"))
    code, _, errors = call(capsys, "check", tmp_path / "x.yaml")
    assert code == 0
    assert errors.count("model_type: got 'alpaca', which is not known") == 1


def test_explain_says_layers_by_kind_and_the_keys_that_they_came_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = {
        "model_type": "glm_moe_dsa", "hidden_size": 1024, "intermediate_size": 4096, "moe_intermediate_size": 512, "num_hidden_layers": 4,
        "num_attention_heads": 8, "num_key_value_heads": 8, "kv_lora_rank": 128, "q_lora_rank": 256, "qk_rope_head_dim": 32,
        "qk_nope_head_dim": 64, "v_head_dim": 64, "n_routed_experts": 64, "n_shared_experts": 1, "num_experts_per_tok": 4,
        "first_k_dense_replace": 1, "vocab_size": 1000, "max_position_embeddings": 8192, "index_topk": 512, "index_head_dim": 64,
        "indexer_types": ["full", "shared", "shared", "full"], "quantization_config": {"quant_method": "fp8"},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "x.yaml").write_text(BURST.replace("llama-3.1-8b", str(tmp_path)))
    code, out, _ = call(capsys, "explain", tmp_path / "x.yaml", "--variant", "b200", "--json")
    assert code == 0
    (facts,) = json.loads(out)
    own, shared = facts["layers_by_kind"]["attention"]
    assert (own["kind"], own["layers"], shared["layers"]) == ("latent", 2, 2)
    assert own["indexer"] == {"top_k": 512, "heads": 32, "head_dim": 64}
    assert shared["indexer"] == {"top_k": 512}
    assert facts["layers_by_kind"]["dense"] == [{"layers": 1, "ffn": 4096}]
    (pool,) = facts["pools"]
    assert pool["kv_bytes_per_token"] == 4 * (128 + 32) * 2
    assert pool["index_bytes_per_token"] == 2 * 64 * (1 + 4 / 128)
    keys = facts["read_from"]
    assert keys["layers"] == ["num_hidden_layers"]
    assert {"kv_lora_rank", "qk_rope_head_dim", "num_hidden_layers"} <= set(
        keys["kv_bytes_per_token"]
    )
    index = ["num_hidden_layers", "index_topk", "index_n_heads (default of glm_moe_dsa)", "index_head_dim"]  # fmt: skip
    assert keys["index_bytes_per_token"][:4] == index
    assert keys["index_bytes_per_token"][-1] == "indexer_types"
    assert not {"window_tokens", "state_bytes_per_sequence"} & set(keys)
    assert keys["weight_bytes"] == ["quantization_config"]
    assert keys["max_context"] == ["max_position_embeddings"]
    assert "n_routed_experts" in keys["feed_forward"]
    assert "vocab_size" in keys["parameters_total"]

    code, out, _ = call(capsys, "explain", tmp_path / "x.yaml", "--variant", "b200")
    assert code == 0
    sentence = (
        "4 layers: 2 latent (an indexer chooses 512 tokens), 2 latent (an earlier layer chooses 512 tokens); "
        "feed-forward parts: 1 dense of 4,096, 3 with 4 of 64 experts"
    )
    assert sentence in " ".join(out.split())


def test_a_model_of_the_catalog_was_read_from_no_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "x.yaml").write_text(BURST)
    code, out, _ = call(capsys, "explain", tmp_path / "x.yaml", "--variant", "b200", "--json")
    assert code == 0
    (facts,) = json.loads(out)
    assert facts["read_from"] is None
    (full,) = facts["layers_by_kind"]["attention"]
    assert full == {"kind": "full", "layers": 32, "heads": 32, "kv_heads": 8, "head_dim": 128}
