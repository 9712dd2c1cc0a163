"""Kinds of layers without measured kernels: none, or a part of them."""

from __future__ import annotations

import pytest

from cluster_sim.hardware.device import device_named
from cluster_sim.llm.model import Model
from cluster_sim.scenario.unmeasured import narrow_weights, unmeasured_kinds
from tests.layer_oracle import KINDS

B200 = device_named("b200-sxm")


def model(*kinds: str) -> Model:
    layers = [KINDS[kind] | {"layers": 2} for kind in kinds]
    return Model.model_validate(
        {
            "name": "a model",
            "layers": 2 * len(kinds),
            "hidden": 64,
            "ffn": 128,
            "vocabulary": 100,
            "max_context": 4096,
            "attention_layers": layers,
        }
    )


@pytest.mark.parametrize("engine", ["vLLM", "SGLang"])
def test_kernels_of_delta_rules_were_measured(engine: str) -> None:
    assert unmeasured_kinds(model("kda", "full"), B200, "bf16", engine) == ([], [])


def test_another_engine_has_no_kernels_of_kda() -> None:
    assert unmeasured_kinds(model("kda"), B200, "bf16", "TensorRT-LLM") == (
        ["Kimi Delta Attention"],
        [],
    )


def test_of_mamba_2_the_convolution_was_measured_and_of_mamba_nothing() -> None:
    hybrid = model("mamba2", "mamba", "full")
    assert unmeasured_kinds(hybrid, B200, "bf16", "vLLM") == (["Mamba-1"], ["Mamba-2"])


def test_a_device_without_any_measured_kernels_is_not_told_by_kind() -> None:
    device = device_named("mi300x")
    assert unmeasured_kinds(model("kda"), device, "bf16", "vLLM") == ([], [])


def test_weights_of_fewer_than_16_bits_on_a_wafer_are_an_estimate() -> None:
    (warning,) = narrow_weights(device_named("wse-3"), "fp4")
    assert warning.startswith("Cerebras WSE-3: weights in fp4 are an estimate.")
    assert list(narrow_weights(device_named("wse-3"), "bf16")) == []
    assert list(narrow_weights(B200, "fp4")) == []
