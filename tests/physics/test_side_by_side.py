"""Layers with attention and a state side by side: both are in each place."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from pytest import approx

from cluster_sim.llm.model import Model
from cluster_sim.physics.kv_sizes import state_bytes
from cluster_sim.physics.model_parts import parts_of

ATTENTION = {"kind": "full", "layers": 4, "heads": 8, "kv_heads": 2, "head_dim": 16}
STATE = {"kind": "mamba2", "layers": 4, "heads": 4, "head_dim": 64, "state": 16}


def model(*kinds: dict[str, Any]) -> Model:
    return Model.model_validate(
        {"name": "x", "layers": 4, "hidden": 128, "ffn": 256, "vocabulary": 1000, "max_context": 4096, "attention_layers": kinds}
    )  # fmt: skip


def test_each_place_has_the_weights_the_cache_and_the_state_of_both():
    both = model(ATTENTION, STATE)
    parts = parts_of(both, "bf16", "bf16", sequences=3)
    layers = [part for part in parts if part.is_layer]
    assert len(layers) == 4
    assert sum(part.weight_bytes for part in parts) == both.weight_bytes("bf16")
    for part in layers:
        assert part.kv_token_bytes == 2 * 2 * 16 * 2, "keys and values of two heads in 16 bit"
        assert part.fixed_bytes == approx(3 * state_bytes(both) / 4)
        assert part.key_flop.context == 2 * 8 * 32, "score and sum over eight heads"


def test_a_state_beside_attention_in_some_layers_is_refused():
    with pytest.raises(
        ValidationError, match="expected at most 4, or attention and a state in each"
    ):
        model(ATTENTION, STATE | {"layers": 3})
