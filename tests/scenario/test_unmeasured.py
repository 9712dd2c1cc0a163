"""Kinds of layers without measured kernels: none, or a part of them."""

from __future__ import annotations

import pytest

from cluster_sim.hardware.device import Device, device_named
from cluster_sim.llm.layers import Experts
from cluster_sim.llm.model import Model
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.scenario.unmeasured import (
    narrow_weights,
    slow_integers,
    unmeasured_experts,
    unmeasured_groups,
    unmeasured_kinds,
)
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


@pytest.mark.parametrize(("name", "times"), [("b300-sxm", 27), ("gb300", 30)])
def test_weights_in_int8_are_warned_of_where_integers_are_slow(name: str, times: int) -> None:
    """4.5 and 5 PFLOP/s in fp8, 165 TOP/s in int8."""
    integers = model("full").model_copy(update={"native": "fp8", "fp8_format": "int8"})
    (warning,) = slow_integers(integers, device_named(name), "fp8")
    assert f"at 165 TOP/s, {times} times slower than fp8" in warning
    assert list(slow_integers(integers, device_named(name), "bf16")) == []
    assert list(slow_integers(integers, B200, "fp8")) == []
    floats = integers.model_copy(update={"fp8_format": "fp8"})
    assert list(slow_integers(floats, device_named(name), "fp8")) == []


def gated(**changes: object) -> Device:
    """A B200 on which vLLM runs latent attention by measured kernels, with other kernels."""
    vllm = B200.overhead("vLLM").model_copy(update={"measured_latent": 1.0})
    kernels = B200.kernels.model_copy(update=changes) if B200.kernels else None
    return B200.model_copy(update={"overheads": {"default": vllm}, "kernels": kernels})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ([], [])),
        ({"latent_context": {}}, ([], ["latent attention"])),
        ({"latent_context": {}, "latent_generation": {}}, (["latent attention"], [])),
    ],
)
def test_latent_attention_is_told_where_its_measured_kernels_are_expected(
    changes: dict[str, object], told: tuple[list[str], list[str]]
) -> None:
    assert unmeasured_kinds(model("latent"), gated(**changes), "fp8", "vLLM") == told
    assert unmeasured_kinds(model("full"), gated(**changes), "fp8", "vLLM") == ([], [])


def test_experts_are_a_roofline_if_only_other_formats_were_measured() -> None:
    sparse = model("full").model_copy(
        update={"experts": Experts(count=8, top_k=2, ffn=64), "fp8_format": "fp8_block"}
    )
    ratio = B200.overhead("vLLM").model_copy(update={"measured_experts": 1.0})
    kernels = B200.kernels.model_copy(update={"experts": {}})  # type: ignore[union-attr]
    measured = B200.model_copy(update={"overheads": {"default": ratio}})
    unmeasured = measured.model_copy(update={"kernels": kernels})
    layout = ReplicaLayout(weights="fp8", engine="vLLM")
    assert list(unmeasured_experts(sparse, measured, layout)) == []
    (warning,) = unmeasured_experts(sparse, unmeasured, layout)
    assert "no kernels of experts in fp8_block were measured with vLLM" in warning
    assert list(unmeasured_experts(sparse, B200, layout)) == [], "experts are a roofline throughout"


def test_groups_over_more_nodes_than_were_measured_say_so() -> None:
    h100, mi300x = device_named("h100-sxm"), device_named("mi300x")
    assert not list(unmeasured_groups(h100, 1)) and not list(unmeasured_groups(h100, 16))
    (text,) = unmeasured_groups(h100, 300)
    assert text.endswith(
        "measured on up to 248 nodes; those of groups over 300 nodes are extrapolated"
    )
    (text,) = unmeasured_groups(mi300x, 2)
    assert text.endswith("over 2 nodes have the constants of the H100, an estimate")
