"""Times that engines add to layers, on steps that mental arithmetic settles."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.hardware.device import Device, device_named
from cluster_sim.hardware.precision import Precision
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_graphs import launch_costs
from cluster_sim.physics.step_work import StepWork
from tests.machines import model

ENGINE = "TensorRT-LLM"


def b200(**changes: Any) -> Device:
    device = device_named("b200-sxm")
    overhead = device.overhead(ENGINE).model_copy(update=changes)
    return device.model_copy(update={"overheads": {**device.overheads, ENGINE: overhead}})


def layout(weights: Precision = "fp4") -> ReplicaLayout:
    return ReplicaLayout(tensor_parallel=8, weights=weights, kv_cache="fp8", engine=ENGINE)


def test_latent_layers_have_a_minimum_time_of_their_own_outside_of_graphs() -> None:
    """DeepSeek-R1 has 61 layers of latent attention, Llama 3.3 70B none of its 80."""
    device = b200(eager_layer_s=1e-4, eager_latent_layer_s=1e-3)
    step_s = device.overhead(ENGINE).step_s
    latent = launch_costs(model("deepseek-r1"), device, layout())
    assert latent.eager_s == pytest.approx(step_s + 61e-3)
    assert latent.pieces_s == pytest.approx(step_s + 61e-3 / 4)
    plain = launch_costs(model("llama-3.3-70b"), device, layout())
    assert plain.eager_s == pytest.approx(step_s + 8e-3)


def test_without_such_a_time_latent_layers_are_like_others() -> None:
    device = b200(eager_layer_s=1e-4, eager_latent_layer_s=None)
    costs = launch_costs(model("deepseek-r1"), device, layout())
    assert costs.eager_s == pytest.approx(device.overhead(ENGINE).step_s + 6.1e-3)


@pytest.mark.parametrize(("weights", "layers"), [("fp4", 0), ("fp8", 61)])
def test_weights_in_fp8_add_launches_to_latent_layers(weights: Precision, layers: int) -> None:
    work = StepWork(batch=4, sampled=4, growth=4, context=4000)
    slow, plain = (
        GpuSteps(model("deepseek-r1"), b200(latent_fp8_layer_s=extra_s), layout(weights))
        for extra_s in (1e-5, 0.0)
    )
    assert slow.ramp(work).first_s - plain.ramp(work).first_s == pytest.approx(layers * 1e-5)


def test_products_hide_a_share_of_the_collectives_of_steps_with_a_prompt() -> None:
    llama, none, half = model("llama-3.3-70b"), b200(), b200(prompt_overlap=0.5)
    plain, fused = (GpuSteps(llama, device, layout()) for device in (none, half))
    prompt = StepWork(prompt_tokens=8000, sampled=1, pairs=32_000_000)
    parts = plain.parts(prompt)
    step_s = plain.ramp(prompt).first_s
    hidden_s = 0.5 * parts["collectives"] * step_s
    assert fused.ramp(prompt).first_s == pytest.approx(step_s - hidden_s)
    assert fused.parts(prompt)["collectives"] == pytest.approx(hidden_s / (step_s - hidden_s))
    decode = StepWork(batch=64, sampled=64, growth=64, context=64_000)
    assert fused.ramp(decode) == plain.ramp(decode)
