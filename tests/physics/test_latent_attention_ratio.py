"""A ratio of latent attention changes layers with latent attention alone."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.hardware.device import Device
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork
from tests.machines import device, model


def slope_s(name: str, **changes: Any) -> float:
    """Growth of a step per step, of one sequence on eight MI300X."""
    mi300x = device("mi300x")
    times = mi300x.overheads["default"].model_copy(update=changes)
    machine: Device = mi300x.model_copy(update={"overheads": {"default": times}})
    layout = ReplicaLayout(tensor_parallel=8, weights="fp8", kv_cache="fp8")
    work = StepWork(batch=1, sampled=1, growth=1, context=1000, growing=1)
    return GpuSteps(model(name), machine, layout).ramp(work).slope_s


@pytest.mark.parametrize(("name", "ratio"), [("deepseek-r1", 4.0), ("llama-3.3-70b", 1.0)])
def test_latent_attention_has_a_ratio_of_its_own(name: str, ratio: float) -> None:
    assert slope_s(name, latent_attention=4.0) == approx(ratio * slope_s(name))


def test_latent_attention_has_the_ratio_of_all_attention_if_it_has_none_of_its_own() -> None:
    assert slope_s("deepseek-r1", attention=3.0) == approx(3.0 * slope_s("deepseek-r1"))
    assert slope_s("deepseek-r1", attention=3.0, latent_attention=1.0) == approx(
        slope_s("deepseek-r1")
    )
