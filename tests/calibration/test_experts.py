"""Constants of routed experts: rows of the measurements, and constants found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pytest import approx

from cluster_sim.calibration.expert_rows import MeasuredExperts, Routing, load_of, measured_experts
from cluster_sim.calibration.expert_sources import FORMATS, KernelRule, rules_of
from cluster_sim.calibration.experts import Kind, calibrate_experts, fit_experts
from cluster_sim.calibration.fit_options import FitOptions
from cluster_sim.calibration.kernel_tables import read_kernels
from cluster_sim.hardware.device import device_named
from cluster_sim.hardware.expert_fit import ExpertFit
from cluster_sim.physics.grouped_products import TILE_ROWS, grouped_s

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "kernels_moe.parquet"
B200 = device_named("b200-sxm")


def row(**changes: object) -> dict[str, object]:
    """One measurement of a model with 256 experts on one device."""
    return {
        "engine": "trtllm",
        "moe_dtype": "fp8",
        "kernel_source": "moe_torch_flow_cutlass",
        "num_tokens": 64,
        "hidden_size": 4096,
        "inter_size": 2048,
        "topk": 8,
        "num_experts": 256,
        "moe_tp_size": 2,
        "moe_ep_size": 1,
        "distribution": "balanced",
        "latency_ms": 0.5,
    } | changes


def routing(tokens: int, groups: int = 1, *, limited: bool = False) -> Routing:
    return Routing(tokens, 256, 8, groups, limited)


def test_balanced_tokens_give_every_expert_the_same_rows() -> None:
    rows, active, *tiles = load_of(routing(64))
    assert (rows, active) == (512, 256)
    assert tiles == [256] * len(TILE_ROWS), "two rows per expert are one tile of any size"
    assert load_of(routing(4096, groups=8))[:2] == (4096, 32)
    assert load_of(routing(4096))[2:4] == (256 * 16, 256 * 8), "128 rows are 16 tiles of 8"


def test_one_balanced_token_has_an_expert_in_each_of_eight_groups() -> None:
    assert load_of(routing(1, groups=8))[:2] == (1, 1)
    assert load_of(routing(1))[:2] == (8, 8)


def test_a_router_that_limits_groups_sends_most_rows_to_the_first_experts() -> None:
    """Each token keeps four of its eight experts; the other four rows go to the lowest numbers."""
    rows, active, *_ = load_of(routing(256, limited=True))
    assert rows == 8 * 256
    assert active == 128, "only experts of the first four groups of 32"
    first = load_of(routing(256, groups=64, limited=True))
    assert first[0] > 3.9 * 256, "the first four experts have nearly all of the four rows"


def test_a_table_gives_the_sizes_on_one_device() -> None:
    table = pa.Table.from_pylist(
        [row(), row(moe_ep_size=4, moe_tp_size=1, hidden_size=2688, inter_size=1856)]
    )
    measured = measured_experts(table)
    assert measured.shape.inner.tolist() == [1024, 1856]
    assert measured.shape.slots.tolist() == [256, 64]
    assert measured.shape.matrices.tolist() == [3, 2], "Nemotron's experts have no gate"
    assert measured.load.copies.tolist() == [512, 512]
    assert measured.load.rows.tolist() == [512, 128]
    assert measured.seconds.tolist() == [approx(5e-4)] * 2


def test_a_substitute_is_the_usual_kernel_where_the_usual_one_was_not_measured() -> None:
    triton, flash = (
        ("sglang_fused_moe_triton", "bfloat16"),
        ("sglang_flashinfer_trtllm_moe", "bfloat16"),
    )
    both = rules_of("sglang", [triton, flash])
    assert (both[flash].kernel, both[triton].kernel) == ("", "triton")
    assert both[triton].used == "by_option"
    alone = rules_of("sglang", [triton])[triton]
    assert (alone.kernel, alone.used) == ("", "always")


def made_up(truth: ExpertFit, kernels: int = 600) -> MeasuredExperts:
    """Return times of a formula with known constants, with noise of 2 %."""
    rng = np.random.default_rng(3)
    table = pa.Table.from_pylist(
        [
            row(
                num_tokens=int(2 ** rng.uniform(0, 14)),
                hidden_size=int(rng.choice([2048, 4096, 7168])),
                inter_size=int(rng.choice([1024, 2048, 4096])),
                moe_tp_size=int(rng.choice([1, 2, 8])),
                moe_ep_size=int(rng.choice([1, 4, 16])),
            )
            for _ in range(kernels)
        ]
    )
    measured = measured_experts(table)
    seconds = grouped_s(truth, measured.shape, measured.load) * rng.normal(1.0, 0.02, kernels)
    return MeasuredExperts(measured.shape, measured.load, measured.model, measured.split, seconds)


def test_a_fit_recovers_the_constants_of_made_up_rows() -> None:
    truth = B200.kernels.experts["fp8"].model_copy(  # type: ignore[union-attr]
        update={
            "launch_s": 20e-6,
            "bandwidth_bytes_per_s": 6e12,
            "compute_flop_per_s": 3e15,
            "crowded": 1.2,
            "tile_overhead": 2000.0,
            "overlap": 2.0,
        }
    )
    rule = KernelRule("trtllm", "", (), "")
    kind = Kind(B200, 148, "a kernel", FORMATS["fp8"], rule)
    measured = made_up(truth)
    fit = fit_experts(kind, measured)
    assert fit.tiles == truth.tiles
    assert fit.launch_s == approx(20e-6, rel=0.12), "slots and groups share a part of it"
    assert fit.bandwidth_bytes_per_s == approx(6e12, rel=0.06)
    assert fit.compute_flop_per_s == approx(3e15, rel=0.1)
    assert fit.crowded == approx(1.2, rel=0.05)
    off = grouped_s(fit, measured.shape, measured.load) / measured.seconds - 1.0
    assert np.median(np.abs(off)) < 0.018, "noise of 2 % has a median of 1.35 %"


@pytest.mark.skipif(not DATA.is_file(), reason="the measured experts are not here: ../shared/data")
@pytest.mark.parametrize(
    ("engine", "dtype", "worst"),
    [("trtllm", "fp8_block", 0.05), ("sglang", "nvfp4", 0.08), ("vllm", "fp8_block", 0.065)],
)
def test_measured_experts_of_other_shapes_are_met(engine: str, dtype: str, worst: float) -> None:
    (table,) = read_kernels(DATA, "b200_sxm")
    chosen = pc.and_(pc.equal(table["engine"], engine), pc.equal(table["moe_dtype"], dtype))
    for calibrated in calibrate_experts(table.filter(chosen), B200, FitOptions(148)):
        assert calibrated.errors.median < worst, calibrated.kind
        assert calibrated.naive.median > 0.5, "a roofline of the peaks is far off"
