"""Machines that are data alone: each runs, and none is faster than its memories."""

from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.node import Node
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import catalog_entry, catalog_names, yaml_text
from tests.machines import device, engine, model

NODES = {name: Node.model_validate(catalog_entry("nodes", name)) for name in catalog_names("nodes")}


DATA_SHEETS = sorted(
    name
    for name in catalog_names("devices")
    if not Device.model_validate(catalog_entry("devices", name)).measured
)


def common(tmp_path: Path, name: str, **changes: Any) -> Scenario:
    """Llama 3.1 8B in 8 bit over one whole node, thirty requests."""
    node = NODES[name]
    tensor = gcd(8, node.devices)
    groups = node.devices // tensor
    layers = 32
    plan: dict[str, Any] = {
        "tensor_parallel": tensor,
        "pipeline_parallel": next(each for each in range(layers, 0, -1) if groups % each == 0),
        "weights": "fp8",
        "engine": engine(memory_fraction=0.9),
    }
    if node.device.wafer is not None:
        plan = {"weights": "bf16", "engine": "cerebras"}
    data = {
        "name": "common",
        "seed": 1,
        "model": "llama-3.1-8b",
        "workload": {
            "arrivals": {"process": "poisson", "rate": "20 /s", "requests": 30},
            "prompt_tokens": {"distribution": "uniform", "low": 50, "high": 700},
            "output_tokens": {"distribution": "uniform", "low": 2, "high": 60},
        },
        "cluster": {"pools": [{"name": "pool", "node": name, "replica": plan}]},
    }
    path = tmp_path / "common.yaml"
    path.write_text(yaml_text(data | changes))
    return cluster_sim.load_scenario(path)


@pytest.mark.parametrize("name", NODES)
def test_every_node_of_the_catalog_serves_the_common_traffic(tmp_path: Path, name: str) -> None:
    results = cluster_sim.simulate(common(tmp_path, name))
    summary = results.summary()
    assert (summary["completed"], summary["failed"], summary["rejected"]) == (30, 0, 0)
    assert summary["kv_capacity_tokens"] > 760  # the longest request at least
    for column in ("compute_utilisation", "bandwidth_utilisation"):
        assert all(0.0 < used < 1.0 for used in results.devices[column].to_pylist()), column


@pytest.mark.parametrize("name", NODES)
def test_on_every_node_a_stretch_is_its_steps(tmp_path: Path, name: str) -> None:
    finish_s = [
        cluster_sim.simulate(common(tmp_path, name, stepping=stepping))
        .requests["finish_s"]
        .to_numpy()
        for stepping in ("stretch", "step")
    ]
    assert finish_s[0] == approx(finish_s[1], rel=1e-9)


def test_with_two_memories_and_speculation_a_stretch_is_its_steps(tmp_path: Path) -> None:
    plan = {
        "tensor_parallel": 8,
        "weights": "fp8",
        "engine": engine(memory_fraction=0.9),
        "speculation": {"draft_tokens": 3, "acceptance": 0.7, "draft_cost": 0.1},
    }
    pool = {
        "name": "pool",
        "node": catalog_entry("nodes", "hybrid-sram-hbm-64") | {"devices": 8},
        "replica": plan,
    }
    finish_s = [
        cluster_sim.simulate(
            common(tmp_path, "hybrid-sram-hbm-64", stepping=stepping, cluster={"pools": [pool]})
        )
        .requests["finish_s"]
        .to_numpy()
        for stepping in ("stretch", "step")
    ]
    assert finish_s[0] == approx(finish_s[1], rel=1e-9)


def test_every_device_of_the_catalog_is_in_a_node() -> None:
    assert {node.device.name for node in NODES.values()} == {
        device(name).name for name in catalog_names("devices")
    }


def test_a_device_without_measured_kernels_is_warned_of_and_others_are_not(tmp_path: Path) -> None:
    assert {"tpu-v7", "groq-lpu", "mi300x", "rubin", "hybrid-sram-hbm"} <= set(DATA_SHEETS)
    for name, node in NODES.items():
        warnings = [
            text
            for text in common(tmp_path, name).warnings()
            if "no times of test engine" not in text  # an engine that no device knows
        ]
        is_partly = node.device.predecessor is not None and node.device.has_own_kernels
        expected = [
            f"{node.device.name}: "
            + (
                "only some kernels were measured. Its other step times are "
                if is_partly
                else "no kernels were measured. Its step times are "
            )
            + ("those of " if node.device.kernels else "a roofline of the data sheet")
        ]
        assert [warning[: len(expected[0])] for warning in warnings] == (
            [] if node.device.measured else expected
        )


@pytest.mark.parametrize("name", DATA_SHEETS)
def test_decoding_one_sequence_is_never_faster_than_reading_the_weights(name: str) -> None:
    """Llama 3.3 70B in 8 bit over eight: 69.5 GB of weights that a token meets, an eighth each."""
    machine = device(name)
    step_s, slope_s, _ = GpuSteps(
        model("llama-3.3-70b"),
        machine,
        ReplicaLayout(tensor_parallel=8, weights="fp8", kv_cache="fp8", engine="compiled"),
    ).ramp(StepWork(batch=1, growth=1, context=1000))
    assert step_s > 69.5e9 / 8 / machine.fast_memory.bandwidth_bytes_per_s
    _, slope_s, _ = GpuSteps(
        model("llama-3.3-70b"),
        machine,
        ReplicaLayout(tensor_parallel=8, weights="fp8", kv_cache="fp8", engine="compiled"),
    ).ramp(StepWork(batch=1, growth=1, context=10_000_000, growing=1))
    assert (
        slope_s >= 163_840 / 8 / machine.memory.bandwidth_bytes_per_s
    )  # of a key: 80 layers, 8 heads, key and value of 128 B


@pytest.mark.parametrize(
    ("name", "milliseconds"),
    [
        ("mi300x", 3.4),
        ("mi325x", 3.0),
        ("mi355x", 2.25),
        ("tpu-v5e", 22.0),
        ("tpu-v7", 2.44),
        ("rubin", 0.82),
    ],
)
def test_70b_in_16_bit_over_eight_devices_takes_at_least_its_published_bandwidth(
    name: str, milliseconds: float
) -> None:
    """139 GB over eight at 5.3, 6, 8, 0.819, 7.38 and 22 TB/s: 3.28, 2.9, 2.17, 21.2, 2.35 and 0.79 ms;
    nobody reaches 0.97 of it.
    """
    step_s, _, _ = GpuSteps(
        model("llama-3.3-70b"), device(name), ReplicaLayout(tensor_parallel=8, engine="compiled")
    ).ramp(StepWork(batch=1, growth=1))
    assert milliseconds < 1e3 * step_s < 5 * milliseconds + 5


def test_no_product_of_a_large_batch_beats_the_peak() -> None:
    """16,384 tokens of 70B over eight: 2 x 69.5 G FLOP each, less the head's 2.1 G weights."""
    for name in DATA_SHEETS:
        machine = device(name)
        step_s, _, _ = GpuSteps(
            model("llama-3.3-70b"), machine, ReplicaLayout(tensor_parallel=8, engine="compiled")
        ).ramp(StepWork(prompt_tokens=16_384, sampled=1))
        assert step_s > 2 * 16_384 * 68.4e9 / 8 / machine.peak.bf16_flop_per_s


@pytest.mark.parametrize(("weights", "fits"), [("bf16", False), ("fp8", True)])
def test_70b_lies_on_576_lpus_in_8_bit_and_not_in_16(
    tmp_path: Path, weights: str, fits: bool
) -> None:
    """141.1 GB over 576 chips are 0.245 GB each, and 0.122 GB in 8 bit, of 0.23 GB."""
    pool = {
        "name": "lpu",
        "node": "groq-rack",
        "nodes": 8,
        "replica": {
            "tensor_parallel": 8,
            "pipeline_parallel": 72,
            "weights": weights,
            "engine": "compiled",
        },
    }
    data = {"model": "llama-3.3-70b", "cluster": {"pools": [pool]}}
    if fits:
        scenario = common(tmp_path, "groq-rack", **data)
        assert resolve(scenario).deployments[0].replica_count == 1
        assert cluster_sim.simulate(scenario).summary()["completed"] == 30
    else:
        with pytest.raises(
            cluster_sim.ScenarioError,
            match=r"0\.245 GB on each of 576 devices of 0\.230 GB, 0\.0 GB left for the KV cache",
        ):
            common(tmp_path, "groq-rack", **data)


SRAM = {"capacity": "1 GB", "bandwidth": "100 GB/s"}


@pytest.mark.parametrize(
    ("memory", "sram", "said"),
    [
        (
            "80 GB",
            "8 GB",
            "the bf16 weights of Llama 3.1 8B do not fit: 16.1 GB on a device, whose memory for weights is 8.0 GB",
        ),
        (
            "8 MB",
            "32 GB",
            "no memory is left for the KV cache: a device has 0.008 GB beside its memory for weights, 0.010 GB of it reserved",
        ),
    ],
)
def test_a_placement_fault_names_the_memory_that_is_too_small(
    tmp_path: Path, memory: str, sram: str, said: str
) -> None:
    gpu = catalog_entry("devices", "hybrid-sram-hbm")
    gpu = gpu | {
        "memory": gpu["memory"] | {"capacity": memory},
        "weight_memory": gpu["weight_memory"] | {"capacity": sram},
    }
    node = catalog_entry("nodes", "hybrid-sram-hbm-64") | {"device": gpu, "devices": 1}
    plan = {"weights": "bf16", "engine": engine(reserved="10 MB")}
    with pytest.raises(cluster_sim.ScenarioError, match=said):
        common(
            tmp_path,
            "hybrid-sram-hbm-64",
            cluster={"pools": [{"name": "p", "node": node, "replica": plan}]},
        )


@pytest.mark.parametrize("name", ["weight_memory", "systolic"])
def test_a_wafer_has_neither_a_second_memory_nor_arrays(name: str) -> None:
    wafer = catalog_entry("devices", "wse-3")
    with pytest.raises(ValueError, match=f"got '{name}' beside 'wafer'"):
        Device.model_validate(
            wafer | {name: SRAM if name == "weight_memory" else {"rows": 1, "columns": 1}}
        )
