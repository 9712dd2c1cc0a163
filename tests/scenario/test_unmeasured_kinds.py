"""A run says which kinds of layers rest on a roofline alone."""

from __future__ import annotations

import pytest

from cluster_sim.llm.model import Model
from cluster_sim.scenario.unmeasured import unmeasured_kinds
from tests.layer_oracle import KINDS
from tests.machines import device, model, small_gpu, tiny_model


def of_kind(name: str) -> Model:
    keys = tiny_model().model_dump(by_alias=True, exclude_none=True)
    return Model.model_validate(keys | {"attention_layers": [KINDS[name] | {"layers": 2}]})


@pytest.mark.parametrize(
    ("name", "words"),
    [("mamba", "Mamba-1"), ("lightning", "lightning attention"), ("compressed", "sparse compressed attention")],
)  # fmt: skip
def test_a_kind_without_measured_kernels_is_named(name: str, words: str) -> None:
    assert unmeasured_kinds(of_kind(name), device("h100-sxm"), "bf16") == [words]


@pytest.mark.parametrize("name", ["llama-3.3-70b", "gpt-oss-120b", "deepseek-r1"])
def test_plain_attention_needs_no_kernels_of_its_own(name: str) -> None:
    assert unmeasured_kinds(model(name), device("h100-sxm"), "fp8") == []


def test_of_a_device_without_measured_kernels_another_sentence_speaks() -> None:
    assert unmeasured_kinds(of_kind("mamba"), small_gpu(), "bf16") == []
