"""Experts and their exchange in one kernel, against the published times of DeepGEMM."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.physics.fused_experts import fused_experts_s
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.gpu_layers import EXCHANGE
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork
from tests.machines import device, model
from tests.scenarios import unchecked_scenario

PLAN = ReplicaLayout(
    data_parallel=8, expert_parallel=8, weights="fp4", kv_cache="fp8", fused_experts=True
)


@pytest.mark.parametrize(
    ("name", "tokens", "measured_us"),
    [
        ("deepseek-v4-flash", 1, 57),
        ("deepseek-v4-flash", 512, 147),
        ("deepseek-v4-flash", 8192, 1283),
        ("deepseek-v4-flash", 32768, 4856),
        ("deepseek-v4-pro", 1, 108),
        ("deepseek-v4-pro", 512, 370),
        ("deepseek-v4-pro", 8192, 2819),
        ("deepseek-v4-pro", 32768, 10655),
    ],
)
def test_times_are_within_15_percent_of_those_published(
    name: str, tokens: int, measured_us: float
) -> None:
    """DeepGEMM, pull request 316: eight B200, microseconds by tokens per device."""
    b200 = device("b200-sxm")
    routing_s = b200.overhead("").expert_layer_s
    seconds = fused_experts_s(model(name), b200, PLAN, 8 * tokens) - routing_s
    assert seconds * 1e6 == pytest.approx(measured_us, rel=0.15)


def test_the_longer_one_of_computing_and_exchange_counts() -> None:
    """Links of 1 GB/s: 4.41 of 8 devices hold experts of a token, 7/8 of them elsewhere; a copy
    takes 3 + 1/32 bytes per value there and back."""
    b200 = device("b200-sxm")
    assert b200.kernels is not None
    fit = b200.kernels.fused_experts["mxfp4"]
    slow = fit.model_copy(update={"link_bandwidth_bytes_per_s": 1e9})
    kernels = b200.kernels.model_copy(update={"fused_experts": {"mxfp4": slow}})
    flash = model("deepseek-v4-flash")
    seconds = fused_experts_s(flash, b200.model_copy(update={"kernels": kernels}), PLAN, 8 * 32768)
    assert seconds == pytest.approx(32768 * 4.43 * 7 / 8 * 4096 * 3.03 / 1e9, rel=0.02)


def test_a_step_with_fused_experts_has_no_exchange_of_its_own() -> None:
    steps = GpuSteps(model("deepseek-v4-flash"), device("b200-sxm"), PLAN)
    work = StepWork(batch=512, sampled=512, growth=512, context=512 * 1000)
    assert steps.parts(work)[EXCHANGE] == 0.0
    plain = GpuSteps(
        model("deepseek-v4-flash"), device("b200-sxm"), PLAN._replace(fused_experts=False)
    )
    assert plain.parts(work)[EXCHANGE] > 0.0


def faults(node: str = "dgx-b200", weights: str = "fp4", **plan: Any) -> list[str]:
    keys = {
        "data_parallel": 8,
        "expert_parallel": 8,
        "weights": weights,
        "engine": {"like": "sglang", "fused_experts": True},
    }
    pools = [{"name": "a", "node": node, "replica": keys | plan}]
    scenario = unchecked_scenario(model="deepseek-v4-flash", cluster={"pools": pools})
    return [
        text
        for trail, text in faults_of(scenario)
        if set(trail) & {"fused_experts", "expert_exchange", "overlap"}
    ]


def test_fused_experts_run_on_devices_that_have_such_a_kernel() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"node": "dgx-h200"}, "has no such kernels; expected false, or kernels.fused_experts"),
        ({"weights": "fp8"}, "has such kernels for weights in mxfp4 alone; expected false"),
        ({"tensor_parallel": 8, "data_parallel": 1}, "expected data_parallel and expert_parallel"),
        ({"overlap": "two_batch"}, "fused_experts overlaps the exchange by itself"),
        (
            {"engine": {"like": "sglang", "fused_experts": True, "expert_exchange": "deepep_normal"}},
            "got deepep_normal; fused_experts has its own exchange; expected none of both",
        ),
    ],
)  # fmt: skip
def test_fused_experts_without_such_a_kernel_are_refused(keys: Any, fault: str) -> None:
    (found,) = faults(**keys)
    assert fault in found
