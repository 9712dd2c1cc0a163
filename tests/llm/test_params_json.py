"""Mistral's params.json is read as the config.json of the same model would be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

from cluster_sim import ScenarioError
from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model import Model
from tests.machines import model as catalog_model

SMALL: dict[str, Any] = {
    "dim": 5120, "n_layers": 40, "head_dim": 128, "hidden_dim": 32768, "n_heads": 32, "n_kv_heads": 8, "rope_theta": 1e8, "norm_eps": 1e-5,
    "vocab_size": 131072, "max_position_embeddings": 32768,
}  # fmt: skip
"""Shape of Mistral Small 3 (24 B)."""
MIXTURE: dict[str, Any] = {
    "dim": 6144, "n_layers": 56, "head_dim": 128, "hidden_dim": 16384, "n_heads": 48, "n_kv_heads": 8, "norm_eps": 1e-5, "vocab_size": 32768,
    "max_seq_len": 65536, "moe": {"num_experts_per_tok": 2, "num_experts": 8},
}  # fmt: skip
"""Shape of Mixtral 8x22B (141 B, 39 B active)."""


def read(folder: Path, **keys: Any) -> Model:
    (folder / "params.json").write_text(json.dumps(keys), encoding="utf-8")
    return Model.model_validate(read_model(str(folder)))


def test_a_dense_model_has_its_published_size(tmp_path: Path) -> None:
    small = read(tmp_path, **SMALL)
    assert small.total_parameters == approx(23.6e9, rel=0.01)
    assert (small.window, small.max_context, small.native) == (None, 32768, "bf16")
    assert not small.tied_embeddings


def test_a_mixture_has_its_published_size(tmp_path: Path) -> None:
    mixture = read(tmp_path, **MIXTURE)
    assert mixture.total_parameters == approx(140.6e9, rel=0.01)
    assert mixture.active_parameters == approx(39.1e9, rel=0.01)
    assert mixture.max_context == 65536


def test_latent_attention_with_shared_experts_is_mistral_large_3(tmp_path: Path) -> None:
    large = catalog_model("mistral-large-3")
    assert large.latent is not None
    assert large.experts is not None
    keys = {
        "dim": large.hidden, "n_layers": large.layers, "n_heads": large.heads, "n_kv_heads": large.heads, "hidden_dim": large.ffn,
        "vocab_size": large.vocabulary, "max_position_embeddings": large.max_context, "head_dim": large.latent.nope_dim + large.latent.rope_dim,
        "q_lora_rank": large.latent.q_rank, "kv_lora_rank": large.latent.kv_rank, "qk_rope_head_dim": large.latent.rope_dim,
        "qk_nope_head_dim": large.latent.nope_dim, "v_head_dim": large.latent.v_dim, "vision_encoder": {"hidden_size": 1664},
        "llama_4_scaling": {"original_max_position_embeddings": 8192, "beta": 0.1},
        "moe": {
            "num_experts": large.experts.count, "num_experts_per_tok": large.experts.top_k, "num_shared_experts": large.experts.shared,
            "expert_hidden_dim": large.experts.ffn, "first_k_dense_replace": large.experts.dense_layers, "route_every_n": 1, "routed_scale": 1.0,
            "renorm_strategy": "WEIGHTS", "use_load_balancing_bias": False, "num_expert_groups": 1, "num_expert_groups_per_tok": 1,
        },
    }  # fmt: skip
    made = read(tmp_path, **keys)
    assert made.attention == large.attention
    assert made.experts == large.experts
    assert made.total_parameters == large.total_parameters
    assert any("images" in note for note in made.notes or ())


def test_windows_are_listed_by_a_pattern(tmp_path: Path) -> None:
    """One layer that sees everything before three with a window, ten times."""
    made = read(tmp_path, **SMALL, sliding_window=[None, 4096, 4096, 4096])
    assert made.window is not None
    assert (made.window.tokens, made.window.layers) == (4096, 30)


def test_fp8_weights_are_read_from_the_quantisation(tmp_path: Path) -> None:
    made = read(
        tmp_path, **SMALL, quantization={"qformat_weight": "fp8_e4m3", "qscheme_act": "TENSOR"}
    )
    assert made.native == "fp8"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"quantization": {"qformat_weight": "int3"}}, "quantization: got"),
        ({"moe": {"num_experts": 8, "num_gates": 2}}, "moe.num_gates: got 2"),
        ({"sliding_window": [None, 4096, 2048]}, "sliding_window: got a list"),
        ({"model_type": "mamba"}, "model_type: got 'mamba'"),
        ({"kv_lora_rank": 512}, "kv_lora_rank: got latent attention without moe"),
        ({"n_heads": "many"}, "num_attention_heads: got 'many'"),
        ({"n_memory_heads": 3}, "n_memory_heads: got 3"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_key(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScenarioError) as told:
        read(tmp_path, **(SMALL | keys))
    assert f"{tmp_path / 'params.json'}: {message}" in str(told.value)


def test_a_config_json_beside_it_is_read_first(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"config\.json"):
        read(tmp_path, **SMALL)
