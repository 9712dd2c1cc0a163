"""Machines that are data alone: each runs, none is faster than its memories, and shapes and two
memories count as arithmetic says.
"""

from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.hardware.device import Device, Systolic
from cluster_sim.hardware.node import Node
from cluster_sim.llm.model import Model
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.kernels import LayerKernels
from cluster_sim.physics.placement import MemoryUse, place_on_gpus
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.systolic import cycles, utilisation
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import catalog_entry, catalog_names, yaml_text
from tests.machines import engine, small_gpu, tiny_model

NODES = {name: Node.model_validate(catalog_entry("nodes", name)) for name in catalog_names("nodes")}
DATA_SHEETS = sorted(
    name
    for name in catalog_names("devices")
    if not Device.model_validate(catalog_entry("devices", name)).measured
)


def device(name: str) -> Device:
    return Device.model_validate(catalog_entry("devices", name))


def model(name: str) -> Model:
    return Model.model_validate(catalog_entry("models", name))


# Every file of the catalog at work.


def common(tmp_path: Path, name: str, **changes: Any) -> Scenario:
    """Llama 3.1 8B in 8 bit over one whole node, thirty requests."""
    node = NODES[name]
    tensor = gcd(8, node.devices)
    plan: dict[str, Any] = {
        "tensor_parallel": tensor,
        "pipeline_parallel": node.devices // tensor,
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
        warnings = list(common(tmp_path, name).warnings())
        expected = [
            f"{node.device.name}: no kernels were measured; its step times are a roofline of the data sheet"
        ]
        assert [warning.partition(", and")[0] for warning in warnings] == (
            [] if node.device.measured else expected
        )


# Bounds by mental arithmetic.


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
    [("mi300x", 3.4), ("mi355x", 2.25), ("tpu-v5e", 22.0), ("tpu-v7", 2.44), ("rubin", 0.82)],
)
def test_70b_in_16_bit_over_eight_devices_takes_at_least_its_published_bandwidth(
    name: str, milliseconds: float
) -> None:
    """139 GB over eight at 5.3, 8, 0.819, 7.38 and 22 TB/s: 3.28, 2.17, 21.2, 2.35 and 0.79 ms;
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
            match=r"0\.245 GB on each of 576 devices of 0\.230 GB, 0\.0 GB left for KV",
        ):
            common(tmp_path, "groq-rack", **data)


# Systolic arrays.

MXU = Systolic(rows=128, columns=128)


def test_one_fold_takes_the_cycles_of_scale_sim() -> None:
    """Samajdar et al. 2020, equation 3: 2 R + C + T - 2."""
    assert cycles(Systolic(rows=8, columns=16), 100, 16, 8) == 2 * 8 + 16 + 100 - 2
    assert cycles(MXU, 1, 1, 1) == 2 * 128 + 128 + 1 - 2


def test_many_tokens_on_full_arrays_reach_the_peak_and_half_of_it_where_one_column_or_row_is_too_many() -> (
    None
):
    assert utilisation(MXU, 10_000_000, 256, 384) == approx(1.0, rel=1e-3)
    for n, k in ((129, 128), (128, 129)):
        assert utilisation(MXU, 10_000_000, n, k) == approx(129 / 256, rel=1e-3)


def test_one_token_waits_for_every_fold_to_be_loaded() -> None:
    """8192 x 8192 weights are 4096 folds of 128 cycles each: one multiply-add of 128 is used."""
    assert utilisation(MXU, 1, 8192, 8192) == approx(1 / 128, rel=1e-3)
    assert utilisation(MXU.model_copy(update={"load_cycles": 32}), 1, 8192, 8192) == approx(
        1 / 32, rel=5e-3
    )


def test_folds_are_dealt_out_to_arrays() -> None:
    """Five folds on four arrays: two after each other, and three arrays idle through the second."""
    four = Systolic(rows=128, columns=128, arrays=4)
    assert cycles(four, 1000, 5 * 128, 128) == cycles(MXU, 1000, 2 * 128, 128)
    assert utilisation(four, 10_000_000, 5 * 128, 128) == approx(5 / 8, rel=1e-3)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 8))
def test_more_of_anything_never_takes_fewer_cycles_and_the_peak_is_never_beaten(
    m: int, n: int, k: int, arrays: int
) -> None:
    unit = Systolic(rows=32, columns=64, arrays=arrays)
    assert cycles(unit, m, n, k) <= min(
        cycles(unit, m + 1, n, k), cycles(unit, m, n + 1, k), cycles(unit, m, n, k + 1)
    )
    assert 0.0 < utilisation(unit, m, n, k) <= 1.0


def test_a_product_on_arrays_takes_its_time_at_the_peak_over_its_utilisation() -> None:
    """The tiny model's head, 256 x 64 weights, a million tokens on 64 x 128: two folds, full; and
    on 64 x 192: half of the second empty.
    """
    plain = (
        LayerKernels(tiny_model(), small_gpu(), ReplicaLayout(engine="none"))
        .head()
        .seconds(1_000_000)
    )
    full, ragged = (
        LayerKernels(
            tiny_model(),
            small_gpu(systolic={"rows": 64, "columns": columns}),
            ReplicaLayout(engine="none"),
        )
        .head()
        .seconds(1_000_000)
        for columns in (128, 192)
    )
    assert full == approx(plain, rel=1e-3)
    assert ragged == approx(plain * 384 / 256, rel=1e-3)


def test_experts_on_arrays_wait_for_their_weights_as_other_products_do() -> None:
    """One token of one expert, 64 inputs and 2 x 32 outputs, on arrays of 64 x 64: 191 cycles of
    which one is used. Without arrays half a tile, here as much as the token itself, stays empty as
    well."""
    mixture = tiny_model(experts={"count": 2, "top_k": 1, "ffn": 32})
    fast = {"capacity": "10 GB", "bandwidth": "1 PB/s"}  # reading takes no time
    plain, arrays = (
        LayerKernels(
            mixture, small_gpu(memory=fast, **more), ReplicaLayout(engine="none")
        ).experts_s(1)
        for more in ({}, {"systolic": {"rows": 64, "columns": 64}})
    )
    assert arrays == approx(plain / 2 * (64 + 1 + 64 + 64 - 2), rel=1e-3)


# Two memories.

SRAM = {"capacity": "1 GB", "bandwidth": "100 GB/s"}


def hybrid(overlap: float, **changes: Any) -> Device:
    return small_gpu(weight_memory=SRAM | {"overlap": overlap}, **changes)


def test_weights_are_read_from_their_memory_and_kv_from_the_other() -> None:
    """A compute peak without end: what depends on the context takes as long as with one memory, all
    else a hundredth.
    """
    fast = {"bf16": "1000 PFLOP/s"}
    still = {"default": {"step": "0 s", "layer": "0 s"}}
    one, two = (GpuSteps(tiny_model(), gpu) for gpu in (small_gpu(peak=fast, overheads=still), hybrid(0.0, peak=fast, overheads=still)))  # fmt: skip
    assert two.ramp(StepWork(batch=1, growth=1, growing=1)).first_s == approx(
        one.ramp(StepWork(batch=1, growth=1, growing=1)).first_s / 100
    )
    assert two.ramp(StepWork(batch=1, growth=1, growing=1)).slope_s == approx(
        one.ramp(StepWork(batch=1, growth=1, growing=1)).slope_s
    )


@pytest.mark.parametrize("overlap", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("prompt", [0, 64])
def test_of_reading_kv_and_all_else_the_shorter_hides_by_the_overlap(
    overlap: float, prompt: int
) -> None:
    """The sum of both less the share of the lesser, step by step, on either side of where they are
    equal.
    """

    def step_s(steps: GpuSteps, context: int) -> tuple[float, float, int]:
        return (
            steps.ramp(
                StepWork(
                    batch=4, growth=4, context=context, prompt_tokens=prompt, sampled=5, pairs=2080
                )
            )
            if prompt
            else steps.ramp(StepWork(batch=4, growth=4, context=context))
        )

    still = {"default": {"step": "100 us", "layer": "20 us"}}
    apart, together = (
        GpuSteps(tiny_model(), hybrid(share, overheads=still)) for share in (0.0, overlap)
    )
    else_s = step_s(apart, 0)[0]
    for context in (0, 100, 2_000, 4_000, 8_000, 100_000):
        kv_s = step_s(apart, context)[0] - else_s
        first_s, slope_s, steps = step_s(together, context)
        assert first_s == approx(else_s + kv_s - overlap * min(else_s, kv_s))
        for later in {0, min(steps, 2) - 1, min(steps, 500) - 1}:
            assert first_s + later * slope_s == approx(step_s(together, context + 4 * later)[0])


seconds = st.one_of(st.just(0.0), st.floats(1e-9, 10.0))


@given(seconds, seconds, seconds, seconds, st.floats(0.0, 1.0), st.integers(0, 60))
def test_what_overlaps_is_one_line_for_as_long_as_it_says(
    one_s: float, one_slope: float, other_s: float, other_slope: float, share: float, later: int
) -> None:
    first_s, slope_s, steps = Ramp(one_s, one_slope).overlapped(Ramp(other_s, other_slope), share)
    assert steps >= 1
    later = min(later, steps - 1)
    one, other = one_s + later * one_slope, other_s + later * other_slope
    assert first_s + later * slope_s == approx(
        one + other - share * min(one, other), rel=1e-6, abs=1e-6
    )


def test_parts_of_a_step_with_two_memories_add_up_to_it() -> None:
    parts = GpuSteps(
        model("llama-3.3-70b"),
        device("hybrid-sram-hbm"),
        ReplicaLayout(
            tensor_parallel=8, pipeline_parallel=8, weights="fp8", kv_cache="fp8", engine="compiled"
        ),
    ).parts(
        StepWork(
            batch=64,
            context=640_000,
            prompt_tokens=512,
            sampled=65,
            pairs=131_328,
            window_pairs=131_328,
        )
    )
    assert sum(parts.values()) == approx(1.0)
    assert all(share >= 0.0 for share in parts.values())


def test_weights_of_their_own_memory_leave_all_of_the_other_to_kv_and_must_fit() -> None:
    """Tiny model in bf16: 106,816 weights of 2 B; a token takes 2 x 2 heads x 16 x 2 B in each of
    two layers, 256 B.
    """
    roomy, narrow = (small_gpu(memory={"capacity": "1 MB", "bandwidth": "1 GB/s"}, weight_memory={"capacity": size, "bandwidth": "1 GB/s"}) for size in ("300 kB", "200 kB"))  # fmt: skip
    room, none = (
        place_on_gpus(tiny_model(), gpu, ReplicaLayout(), MemoryUse(0.9, 0.0, 8))
        for gpu in (roomy, narrow)
    )
    assert room.weight_bytes == 2 * 106_816
    assert room.weight_free_bytes == approx(270_000 - 213_632)
    assert room.kv_tokens == 900_000 // 256
    assert none.kv_tokens == 0


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
            "no room for KV: a device has 0.008 GB beside its memory for weights, 0.010 GB of it reserved",
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


def test_a_model_that_drafts_takes_weight_memory_too() -> None:
    target, drafter = (
        place_on_gpus(
            tiny_model(layers=layers), hybrid(0.0), ReplicaLayout(), MemoryUse(1.0, 0.0, 8)
        )
        for layers in (4, 2)
    )
    both = target.beside(drafter)
    assert both.kv_bytes == target.kv_bytes
    assert both.weight_free_bytes == approx(1e9 - target.weight_bytes - drafter.weight_bytes)
    assert both.kv_token_bytes == target.kv_token_bytes + drafter.kv_token_bytes


@pytest.mark.parametrize("name", ["weight_memory", "systolic"])
def test_a_wafer_has_neither_a_second_memory_nor_arrays(name: str) -> None:
    wafer = catalog_entry("devices", "wse-3")
    with pytest.raises(ValueError, match=f"came '{name}' beside 'wafer'"):
        Device.model_validate(
            wafer | {name: SRAM if name == "weight_memory" else {"rows": 1, "columns": 1}}
        )
