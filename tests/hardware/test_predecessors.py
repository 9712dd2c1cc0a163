"""Devices that take over constants: rates by hand, and no successor that is slower by an estimate."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from pytest import approx

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.precision import Precision
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork
from cluster_sim.schema import catalog_data, catalog_figures, catalog_names
from tests.machines import device, model

TAKEN_OVER = tuple(
    (str(catalog_data("devices", name)["predecessor"]["value"]), name)
    for name in catalog_names("devices")
    if "predecessor" in catalog_data("devices", name)
)
"""Pairs of a device and its successor that takes over constants."""
ESTIMATED = (
    ("mi300x", "mi325x"), ("mi325x", "mi355x"), ("tpu-v5e", "tpu-v6e"), ("tpu-v6e", "tpu-v7"), ("b200-sxm", "rubin"), ("gb200", "rubin"),
)  # fmt: skip
"""Further pairs in which the successor rests on estimates."""
ENGINES = ("vLLM 0.22", "TensorRT-LLM 1.2", "SGLang 0.5", "compiled")
PRECISIONS: tuple[Precision, ...] = ("bf16", "fp8", "fp4")
MODELS = ("llama-3.3-70b", "gpt-oss-120b", "deepseek-r1")  # dense, experts, latent attention


def of_hardware(machine: Device) -> dict[str, float]:
    """Return the figures of a data sheet: bandwidths [B/s] and peaks [FLOP/s]."""
    assert machine.peer_bandwidth_bytes_per_s is not None
    return {
        "memory": machine.memory.bandwidth_bytes_per_s,
        "links": machine.peer_bandwidth_bytes_per_s,
        **{each: machine.peak.of(each)[1] for each in PRECISIONS},
    }


def is_fitted(name: str, engine: str) -> bool:
    """Return whether times of an engine were fitted to runs on the device itself."""
    key = device(name).overhead_name(engine)
    own = [f for f in catalog_figures("devices", name) if f.path.startswith(f"overheads.{key}.")]
    return any(figure.confidence != "low" for figure in own)


def step_s(machine: Device, work: StepWork, *, of: str, **layout: Any) -> float:
    """Return the duration of the first of some steps [s]."""
    return GpuSteps(model(of), machine, ReplicaLayout(kv_cache="bf16", **layout)).ramp(work)[0]


def test_the_machines_of_2025_and_2026_take_over_constants() -> None:
    wanted = {
        ("b200-sxm", "b300-sxm"), ("gb200", "gb300"), ("gb300", "rubin"), ("mi355x", "mi455x"), ("groq-lpu", "groq-3"),
    }  # fmt: skip
    assert wanted <= set(TAKEN_OVER)


@pytest.mark.parametrize(("earlier", "later"), [*TAKEN_OVER, *ESTIMATED])
def test_a_successor_is_better_in_everything(earlier: str, later: str) -> None:
    """The next test says nothing about other pairs."""
    old, new = of_hardware(device(earlier)), of_hardware(device(later))
    assert all(new[key] >= old[key] for key in old)


@pytest.mark.slow
@pytest.mark.parametrize("of", MODELS)
@pytest.mark.parametrize(("earlier", "later"), [*TAKEN_OVER, *ESTIMATED])
def test_no_better_device_is_slower_by_an_estimate(earlier: str, later: str, of: str) -> None:
    machines = (device(earlier), device(later))
    works = [StepWork(batch=n, growth=1, context=1000 * n) for n in (1, 32, 256)]
    works.append(StepWork(prompt_tokens=8192, sampled=1))
    compared = 0
    for engine, weights, tensor in product(ENGINES, PRECISIONS, (1, 8)):
        if is_fitted(later, engine):
            continue
        if any(machine.peak.of(weights)[0] != weights for machine in machines):
            continue
        if "llama" not in of and any(
            machine.overhead(engine).measured_experts is not None for machine in machines
        ):
            continue  # measured kernels of experts are no estimates
        layout = {"tensor_parallel": tensor, "weights": weights, "engine": engine}
        for work in works:
            old_s, new_s = (step_s(machine, work, of=of, **layout) for machine in machines)
            assert new_s <= old_s * (1 + 1e-9), (engine, weights, tensor, work)
            compared += 1
    assert compared >= 16


SHEET: dict[str, Any] = {
    "name": "next", "predecessor": "b200-sxm",
    "memory": {"capacity": "300 GB", "bandwidth": "15.344 TB/s"},  # twice 7.672
    "peak": {"bf16": "9 PFLOP/s", "fp8": "13.5 PFLOP/s", "fp4": "9 PFLOP/s"},  # times 4, 3 and 1
    "peer_bandwidth": "1350 GB/s",  # 1.5 times 900
}  # fmt: skip


def test_rates_grow_with_the_data_sheet_and_times_stay() -> None:
    old, new = device("b200-sxm"), Device.model_validate(SHEET)
    assert old.kernels is not None and new.kernels is not None
    for precision, compute in (("bf16", 4.0), ("fp8_vllm", 3.0), ("fp4", 1.0)):
        was, is_now = old.kernels.gemm[precision], new.kernels.gemm[precision]
        assert is_now.compute_flop_per_s == approx(compute * was.compute_flop_per_s)
        assert is_now.bandwidth_bytes_per_s == approx(2 * was.bandwidth_bytes_per_s)
        assert (is_now.launch_s, is_now.split_s) == (was.launch_s, was.split_s)
    was_read, is_read = old.kernels.generation["fp8"], new.kernels.generation["fp8"]
    assert is_read.bandwidth_bytes_per_s == approx(2 * was_read.bandwidth_bytes_per_s)
    assert is_read.start_s == was_read.start_s
    was_sum, is_sum = old.collectives.all_reduce, new.collectives.all_reduce
    assert was_sum is not None and is_sum is not None
    assert is_sum.link_bandwidth_bytes_per_s == approx(1.5 * was_sum.link_bandwidth_bytes_per_s)
    assert is_sum.start_s == was_sum.start_s
    assert (new.overheads, new.efficiency) == (old.overheads, old.efficiency)


def test_constants_of_its_own_stay_and_its_share_of_the_peak_counts() -> None:
    """A device that reaches half the share of its fp8 peak gains half as much."""
    old = device("b200-sxm")
    assert old.efficiency is not None and old.kernels is not None
    share = old.efficiency.compute.of("fp8")
    efficiency = old.efficiency.model_dump(mode="json", by_alias=True)
    efficiency["compute"] |= {"fp8": share / 2}
    own = {"vLLM": {"step": "1 us", "layer": "2 us"}}
    new = Device.model_validate(SHEET | {"efficiency": efficiency, "overheads": own})
    assert new.kernels is not None
    gained = new.kernels.gemm["fp8"].compute_flop_per_s
    assert gained == approx(1.5 * old.kernels.gemm["fp8"].compute_flop_per_s)
    assert new.overheads["vLLM"].step_s == 1e-6
    assert new.overheads["default"] == old.overheads["default"]


def test_a_device_that_is_written_out_and_read_again_is_the_same() -> None:
    new = Device.model_validate(SHEET)
    written = new.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert Device.model_validate(written) == new


def test_a_changed_bandwidth_changes_the_kernels_that_were_taken_over() -> None:
    """Rubin at 11 TB/s instead of 22 reads at half the rate."""
    rubin = catalog_data("devices", "rubin")
    slow = {"name": "slow", "predecessor": "gb300", "memory": {"capacity": "288 GB", "bandwidth": "11 TB/s"}}  # fmt: skip
    halved = Device.model_validate(
        slow | {"peak": {key: rubin["peak"][key]["value"] for key in PRECISIONS}}
    )
    whole = device("rubin")
    assert halved.kernels is not None and whole.kernels is not None
    rates = [each.kernels.gemm["bf16"].bandwidth_bytes_per_s for each in (halved, whole)]
    assert rates[0] == approx(rates[1] / 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predecessor": "b200"}, "predecessor: got 'b200'; expected a device of the catalog; did you mean"),
        ({"predecessor": "wse-3"}, "predecessor: got 'wse-3', a wafer; expected a GPU"),
    ],
)  # fmt: skip
def test_an_unfit_predecessor_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Device.model_validate(SHEET | changes)


def test_a_wafer_takes_nothing_over() -> None:
    wafer = catalog_data("devices", "wse-3")
    plain = device("wse-3").model_dump(mode="json", by_alias=True, exclude_none=True)
    with pytest.raises(ValueError, match="got 'predecessor' beside 'wafer'"):
        Device.model_validate(plain | {"predecessor": "wse-2"})
    assert "predecessor" not in wafer
