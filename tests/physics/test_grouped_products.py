"""Routed experts from measured kernels: arithmetic by hand, limits, and the choice of a kernel."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from pytest import approx

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.expert_fit import ExpertFit, ExpertUse, Used, expert_fits, used_fits
from cluster_sim.llm.model import Model
from cluster_sim.physics.expert_kernels import ExpertKernels, experts_s
from cluster_sim.physics.grouped_products import (
    TILE_ROWS,
    ExpertRows,
    ExpertShape,
    expected_tiles,
    grouped_s,
)
from cluster_sim.physics.replica_layout import ReplicaLayout
from tests.machines import SMALL_GPU, TINY_MODEL

# 100 processors at 1 PFLOP/s and 1 TB/s, weights of 1 B, no cost but reading and computing
PLAIN: dict[str, Any] = {
    "kernel": "a kernel",
    "computed_in": "fp8",
    "processors": 100,
    "weight": "1 B",
    "launch": "10 us",
    "bandwidth": "1 TB/s",
    "compute": "1 PFLOP/s",
    "crowded": 1.0,
    "overlap": 12.0,
    "tile_overhead": 0.0,
} | dict.fromkeys(
    ("slot", "expert", "copy", "copy_inner", "token_hidden", "row_hidden", "row_inner", "tile"),
    "0 s",
)
SHAPE = ExpertShape(hidden=1000, inner=500, matrices=3, slots=100)


def fit(**changes: Any) -> ExpertFit:
    return ExpertFit.model_validate(PLAIN | changes)


def load(
    rows: float, active: float, tokens: float = 1.0, copies: float | None = None
) -> ExpertRows:
    copies = rows if copies is None else copies
    return ExpertRows(tokens, copies, rows, active, expected_tiles(rows, active))


def test_few_rows_take_the_time_of_reading_the_active_experts() -> None:
    """50 experts of 1.5 MB at 1 TB/s are 75 us; one row each is computed in a fraction of it."""
    assert grouped_s(fit(), SHAPE, load(50, 50)) == approx(10e-6 + 75e-6, rel=1e-3)


def test_many_rows_take_the_time_of_computing() -> None:
    """100 experts of 100,000 rows and 1.5 million weights at 2 FLOP: 30 ms and half tiles."""
    seconds = grouped_s(fit(), SHAPE, load(1e7, 100))
    assert seconds == approx(30e-3, rel=2e-3)
    assert seconds > 30e-3 + 10e-6


def test_without_rows_launch_and_slots_remain() -> None:
    """100 slots of 50 ns are 5 us; one tile of 8 x 128 per product is left over, 0.3 us."""
    idle = ExpertRows(0, 0, 0.0, 0.0, expected_tiles(0.0, 0.0))
    one_tile_s = 1500 * 8 * 128 * 2 * 100 / 1e15
    assert grouped_s(fit(slot="50 ns"), SHAPE, idle) == approx(15e-6 + one_tile_s)


def test_each_cost_counts_by_its_own_number() -> None:
    base_s = grouped_s(fit(), SHAPE, load(200, 20, tokens=50, copies=400))
    for cost, added_s in {
        "slot": 100e-9,
        "expert": 20e-9,
        "copy": 400e-9,
        "copy_inner": 400 * 500e-9,
        "token_hidden": 50 * 1000e-9,
        "row_hidden": 200 * 1000e-9,
        "row_inner": 200 * 500e-9,
    }.items():
        more_s = grouped_s(fit(**{cost: "1 ns"}), SHAPE, load(200, 20, tokens=50, copies=400))
        assert more_s - base_s == approx(added_s), cost


def test_several_groups_cost_a_further_start() -> None:
    kernel = fit(groups="3 us")
    alone_s, split_s = (grouped_s(kernel, SHAPE._replace(groups=n), load(50, 50)) for n in (1, 8))
    assert split_s - alone_s == approx(3e-6)


def test_reading_is_slower_by_a_factor_if_tokens_outnumber_the_slots() -> None:
    crowded = fit(crowded=1.5)
    few_s, many_s = (grouped_s(crowded, SHAPE, load(50, 50, tokens=n)) for n in (100, 101))
    assert (few_s, many_s) == (approx(85e-6, rel=1e-3), approx(10e-6 + 1.5 * 75e-6, rel=1e-3))


def test_a_few_tiles_take_as_long_as_one_on_each_processor() -> None:
    """One expert of 128 x 1,000 columns has 8 tiles: as long as 100, which is one wave."""
    alone = fit(bandwidth="100 TB/s", tile_overhead=1000.0)
    seconds = grouped_s(alone, ExpertShape(1000, 500, 3, 1), load(8, 1))
    # tiles of 8 rows: (1,000 + 500) inputs x (8 x 128 + 1,000) x 2 x 100 / 1 PFLOP/s
    assert seconds == approx(10e-6 + 1500 * 2024 * 200 / 1e15, rel=1e-2)


def test_tiles_by_copies_are_wasted_on_groups_with_few_of_the_rows() -> None:
    """128 copies per slot give tiles of 128, of which 4 rows per expert fill a thirtieth."""
    rows = load(400, 100, tokens=90, copies=12_800)
    best_s, by_copies_s = (
        grouped_s(fit(tiles=rule, bandwidth="100 TB/s"), SHAPE, rows)
        for rule in ("best", "by_copies")
    )
    assert (by_copies_s - 10e-6) / (best_s - 10e-6) == approx(128 / 8, rel=0.15)


def test_random_rows_fill_the_expected_number_of_tiles() -> None:
    drawn = np.random.default_rng(1).multinomial(12_800, np.full(100, 0.01), size=50)
    active = (drawn > 0).sum(axis=1).mean()
    for size, tiles in zip(TILE_ROWS, expected_tiles(12_800.0, active), strict=True):
        assert tiles == approx(
            np.ceil(drawn / size).sum(axis=1).mean(), rel=0.07 if size < 256 else 1e-9
        )


@pytest.mark.parametrize("rule", ["best", "by_copies"])
def test_numbers_and_arrays_give_the_same_times(rule: str) -> None:
    kernel = fit(tiles=rule, tile="1 us", expert="20 ns", overlap=2.0)
    loads = [load(8.0 * n, min(8.0 * n, 100.0), n) for n in (1, 7, 64, 5000)]
    arrays = ExpertRows(
        *(np.array(values) for values in list(zip(*loads, strict=True))[:4]),
        tuple(np.array(sizes) for sizes in zip(*(one.tiles for one in loads), strict=True)),
    )
    together = grouped_s(kernel, SHAPE, arrays)
    assert together.tolist() == approx([grouped_s(kernel, SHAPE, one) for one in loads], rel=1e-12)


def test_no_time_falls_when_tokens_are_added() -> None:
    kernel = fit(overlap=2.0, tile_overhead=500.0, copy="1 ns")
    times = [grouped_s(kernel, SHAPE, load(8.0 * n, min(8.0 * n, 100.0), n)) for n in range(1, 400)]
    assert (np.diff(times) > 0).all()


def test_an_engine_uses_its_own_kernels_or_those_for_all_engines() -> None:
    keys = ("fp8", "fp8.wide", "fp8_vllm", "fp8_block", "fp8_block.wide_vllm")
    fits = dict.fromkeys(keys, fit())
    assert list(expert_fits(fits, "fp8", "vLLM 0.24")) == ["fp8_vllm"]
    assert list(expert_fits(fits, "fp8", "SGLang")) == ["fp8", "fp8.wide"]
    assert list(expert_fits(fits, "fp8_block", "vLLM")) == ["fp8_block.wide_vllm"]
    assert list(expert_fits(fits, "fp8_block", "SGLang")) == ["fp8_block"]
    assert expert_fits(fits, "nvfp4", "vLLM") == {}


def test_kernels_are_used_for_the_layouts_and_models_that_they_are_for() -> None:
    uses = get_args(Used)
    fits = {use: fit(used=use, kernel=use) for use in uses}
    fits |= {"no gate": fit(gated=False, kernel="no gate")}

    def names(**use: Any) -> list[str]:
        return [one.kernel for one in used_fits(fits, ExpertUse(**use))]

    assert names() == ["always", "one_group"]
    assert names(groups=8, exchange="nccl_all_to_all") == ["always", "several_groups"]
    assert names(gated=False) == ["always", "one_group", "no gate"]
    assert names(beside_fp8=True) == ["beside_fp8"]
    assert names(groups=8, exchange="deepep_normal", beside_fp8=True) == ["deepep_normal"]
    assert "by_option" in uses, "no run uses it"


def test_with_tokens_of_its_own_a_device_visits_fewer_of_them() -> None:
    """One of eight experts in each of eight groups: a device gets a quarter of the tokens."""
    model = Model.model_validate(TINY_MODEL | {"experts": {"count": 8, "top_k": 2, "ffn": 64}})
    layout = ReplicaLayout(weights="fp8", data_parallel=8, expert_parallel=8)
    device = a_device(1.0, fp8={"copy": "1 us", "bandwidth": "1 PB/s"})
    tokens = 10**6
    all_s, own_s = (
        experts_s(model, device, layout, tokens, ExpertKernels.of(model, device, layout, kind))
        for kind in ("all_gather_reduce_scatter", "deepep_normal")
    )
    assert all_s == approx(2 * tokens * 1e-6, rel=0.01)
    assert own_s == approx(all_s / 4, rel=0.02)


def a_device(ratio: float | None, **fits: dict[str, Any]) -> Device:
    overhead = SMALL_GPU["overheads"]["default"] | {"expert_layer": "7 us"}
    overhead |= {} if ratio is None else {"measured_experts": ratio}
    kernels = {"kernels": {"experts": {key: PLAIN | changes for key, changes in fits.items()}}}
    return Device.model_validate(SMALL_GPU | {"overheads": {"default": overhead}} | kernels)


def test_experts_are_the_fastest_measured_kernel_times_the_ratio_of_the_engine() -> None:
    model = Model.model_validate(TINY_MODEL | {"experts": {"count": 8, "top_k": 2, "ffn": 64}})
    layout = ReplicaLayout(weights="fp8")
    fast, slow = {"launch": "10 us"}, {"launch": "1 ms"}
    for ratio in (1.0, 1.2):
        device = a_device(ratio, fp8=slow, **{"fp8.fast": fast})
        seconds = experts_s(model, device, layout, 4, ExpertKernels.of(model, device, layout))
        assert seconds == approx(7e-6 + ratio * 10e-6, rel=0.05)
    roofline = a_device(None, fp8=slow)
    assert ExpertKernels.of(model, roofline, layout).fits == ()
    elsewhere = a_device(1.0, bf16=slow)
    assert ExpertKernels.of(model, elsewhere, layout).fits == ()
    assert experts_s(model, roofline, layout, 4) == experts_s(model, elsewhere, layout, 4)
