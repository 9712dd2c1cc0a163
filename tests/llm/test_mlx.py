"""Checkpoints of MLX, and keys that speak of precision elsewhere than in quantization_config."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.llm.config_files import from_hugging_face
from cluster_sim.llm.model import Model
from tests.llm.test_config_quantisation import LLAMA, MIXTURE, model


def refusal(config: dict[str, Any]) -> str:
    with pytest.raises(ValueError, match=r".") as told:
        from_hugging_face(config, "x")
    return str(told.value)


def bits(made: Model) -> float:
    return 8.0 * made.weight_bytes(made.native) / made.total_parameters


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ({"bits": 4, "group_size": 64}, 4.5),  # scale and bias of 16 bit per 64
        ({"bits": 4, "group_size": 32, "mode": "affine"}, 5.0),
        ({"bits": 8, "group_size": 64}, 8.5),
        ({"bits": 4, "group_size": 32, "mode": "mxfp4"}, 4.25),
        ({"bits": 4, "group_size": 16, "mode": "nvfp4"}, 4.5),
        ({"bits": 8, "group_size": 32, "mode": "mxfp8"}, 8.25),
    ],
)
def test_all_weights_of_an_mlx_checkpoint_have_its_bits(written: dict[str, Any], right: float):
    assert bits(model(LLAMA | {"quantization": written})) == approx(right)


def test_mlx_may_say_it_twice():
    written = {"bits": 4, "group_size": 64}
    once = model(LLAMA | {"quantization": written})
    twice = model(LLAMA | {"quantization": written, "quantization_config": written})
    assert once == twice


def test_a_router_of_its_own_precision_does_not_matter():
    named = {f"model.layers.{layer}.mlp.gate": {"bits": 8, "group_size": 64} for layer in range(4)}
    written = {"bits": 4, "group_size": 64} | named
    assert bits(model(MIXTURE | {"quantization": written})) == approx(4.5)


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"quantization": {"bits": 3, "group_size": 64}}, "quantization: got weights of 3 bit"),
        ({"quantization": {"bits": 4}}, "quantization: group_size: is missing"),
        ({"quantization": "4bit"}, "quantization: got '4bit'; expected a mapping"),
        (
            {"quantization": {"bits": 4, "group_size": 64, "mode": "x"}},
            "quantization: mode: got 'x'",
        ),
        (
            {"quantization": {"bits": 4, "group_size": 64, "lm_head": {"bits": 8}}},
            "quantization: lm_head: got a separate precision",
        ),
        ({"quantization_bit": 4}, "quantization_bit: got 4; expected the precision"),
        ({"quant_method": "gptq"}, "quant_method: got 'gptq'; expected the precision"),
        ({"load_in_4bit": True}, "load_in_4bit: got true; expected the precision"),
        ({"w_bit": 4}, "w_bit: got 4; expected the precision"),
    ],
)
def test_what_is_not_read_is_refused_by_its_key(changes: dict[str, Any], start: str):
    assert refusal(LLAMA | changes).startswith(start)


@pytest.mark.parametrize(
    "nothing",
    [
        {"quantization_bit": 0},
        {"quantization": None},
        {"use_cache_quantization": True},
        {"load_in_8bit": False},
    ],
)
def test_keys_that_ask_for_no_narrower_weights_change_nothing(nothing: dict[str, Any]):
    assert model(LLAMA | nothing) == model(LLAMA)


def test_lists_that_quantise_a_part_of_every_part_are_refused_as_such():
    weights = {"num_bits": 4, "type": "int", "group_size": 128}
    group = {"targets": ["re:.*down_proj.*"], "weights": weights}
    method = {"quant_method": "compressed-tensors", "config_groups": {"g": group}}
    text = refusal(LLAMA | {"quantization_config": method})
    assert text.startswith("quantization_config: got lists of modules that split parts")
