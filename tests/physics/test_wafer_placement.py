"""Placement of layers on wafers: nothing overlaps, everything fits, neighbours stay neighbours, and
wafers are cut as well as can be.
"""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from pytest import approx

from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model
from cluster_sim.physics.model_parts import parts_of
from cluster_sim.physics.placement import place_on_wafers
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_placement import cuts, regions_of, wafers_needed
from cluster_sim.physics.wafer_regions import Region, WaferPlan
from cluster_sim.schema import catalog_entry, catalog_names
from tests.machines import model

WSE3 = Device.model_validate(catalog_entry("devices", "wse-3"))
FEW = ("llama-3.1-8b", "llama-3.3-70b", "deepseek-r1", "gpt-oss-120b", "gemma-3-27b", "deepseek-v4-flash", "qwen3-next-80b", "nemotron-3-nano")  # fmt: skip
MODELS = [
    pytest.param(name, marks=[] if name in FEW else pytest.mark.slow)
    for name in sorted(catalog_names("models"))
]
"""Models of the catalog; all but some of each kind are slow."""


def placed(name: str, **plan: object) -> tuple[Region, ...]:
    described = model(name)
    wafers = wafers_needed(described, WSE3, described.native)
    return regions_of(
        described,
        WSE3,
        WaferPlan(**{"wafers": wafers, "weights": described.native, "sequences": 16} | plan),
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MODELS)
def test_every_part_lies_somewhere_once_and_in_order(name: str) -> None:
    regions = placed(name)
    assert [part for region in regions for part in region.parts] == list(
        parts_of(model(name), model(name).native, "bf16", 16)
    )
    assert all(
        before.wafer <= after.wafer <= before.wafer + 1 for before, after in pairwise(regions)
    )


@pytest.mark.parametrize("name", MODELS)
def test_regions_of_a_wafer_neither_overlap_nor_leave_cores_out(name: str) -> None:
    grids: dict[int, np.ndarray] = {}
    for region in placed(name):
        grid = grids.setdefault(region.wafer, np.zeros((1172, 762), dtype=int))
        grid[
            region.row : region.row + region.height, region.column : region.column + region.width
        ] += 1
    assert all((grid == 1).all() for grid in grids.values())


@pytest.mark.parametrize("name", MODELS)
def test_weights_windows_and_kv_of_every_region_fit_its_sram(name: str) -> None:
    plan = WaferPlan(
        wafers_needed(model(name), WSE3, model(name).native), model(name).native, sequences=16
    )
    tokens = place_on_wafers(model(name), WSE3, plan).kv_tokens
    assert tokens > 0
    for region in placed(name):
        held = (
            region.weight_bytes
            + sum(part.fixed_bytes for part in region.parts)
            + tokens * region.kv_token_bytes
        )
        assert held <= 0.95 * region.cores * 44e9 / (762 * 1172) * (1 + 1e-9)


def touch(one: Region, other: Region) -> bool:
    """Whether the rectangles share an edge or a corner."""
    across = max(one.column, other.column) - min(one.column + one.width, other.column + other.width)
    along = max(one.row, other.row) - min(one.row + one.height, other.row + other.height)
    return across <= 0 and along <= 0


@pytest.mark.parametrize("name", MODELS)
def test_neighbours_in_the_model_are_neighbours_on_the_wafer(name: str) -> None:
    assert all(
        touch(before, after)
        for before, after in pairwise(placed(name))
        if before.wafer == after.wafer
    )


def test_layers_of_8b_get_regions_near_to_squares() -> None:
    layers = [region for region in placed("llama-3.1-8b") if region.parts[0].is_layer]
    # a 32nd of what the embeddings leave of 893,064 cores: about 163 a side
    assert np.mean([region.width + region.height for region in layers]) == approx(2 * 163, rel=0.02)
    assert all(0.6 < region.width / region.height < 1.7 for region in layers)


def test_llama_models_take_their_published_number_of_wafers() -> None:
    """8B one, 70B in 16 bit four; 405B about 19 to 22 (Cerebras, November 2024), 18 to 23 counted
    as right.
    """
    assert wafers_needed(model("llama-3.1-8b"), WSE3, "bf16") == 1
    assert wafers_needed(model("llama-3.3-70b"), WSE3, "bf16") == 4
    assert 18 <= wafers_needed(model("llama-3.1-405b"), WSE3, "bf16") <= 23


def test_70b_is_cut_where_the_embeddings_leave_less_to_layers() -> None:
    regions = placed("llama-3.3-70b")
    assert cuts(regions) == [
        "layer 20",
        "layer 41",
        "layer 62",
    ]  # 19 and the embedding, 21, 21, 19 and the head


def test_the_fullest_wafer_sets_the_kv_cache_capacity_of_70b() -> None:
    # 21 layers of 1.711 GB leave 5.87 of 41.8 GB, over 21 x 4,096 B: 68,200 tokens; all SRAM
    # together would hold 79,600.
    tokens = place_on_wafers(model("llama-3.3-70b"), WSE3, WaferPlan(4)).kv_tokens
    assert tokens == approx(68.2e3, rel=0.04)
    assert tokens <= 68_300
    # whole rows and columns cost the rest: where layers take turns on all cores, nothing
    assert place_on_wafers(
        model("llama-3.3-70b"), WSE3, WaferPlan(4, layout="whole")
    ).kv_tokens == approx(68.2e3, rel=0.002)


@pytest.mark.parametrize("wafers", [2, 3, 4])
@pytest.mark.parametrize("experts", [False, True])
def test_no_other_cut_has_more_kv_cache_capacity(wafers: int, experts: bool) -> None:
    described = model("deepseek-r1" if experts else "mistral-large-2")
    small = described.model_copy(
        update={"layers": 9}
    )  # three dense layers and six with experts, or nine alike
    device = WSE3.model_copy(
        update={
            "memory": WSE3.memory.model_copy(
                update={"capacity_bytes": 1.5 * small.weight_bytes("fp8") / wafers}
            )
        }
    )
    parts, sram = parts_of(small, "fp8", "bf16"), 0.95 * device.memory.capacity_bytes

    def tokens(run: tuple[int, ...]) -> float:
        own = [parts[place] for place in range(*run)]
        kv = sum(part.kv_token_bytes for part in own)
        left = sram - sum(part.weight_bytes for part in own)
        return left / kv if kv and left >= 0.0 else -1.0 if left < 0.0 else float("inf")

    best = max(
        min(tokens(run) for run in pairwise((0, *ends, len(parts))))
        for ends in combinations(range(1, len(parts)), wafers - 1)
    )
    found = place_on_wafers(small, device, WaferPlan(wafers, "fp8", layout="whole")).kv_tokens
    assert found == approx(max(best, 0.0), rel=1e-4, abs=1.0)


@pytest.mark.parametrize("name", ["gemma-4-31b", "gemma-3-27b", "llama-4-scout"])
def test_the_fewest_wafers_hold_windows_of_all_sequences_too(name: str) -> None:
    """Windows of 128 sequences, beside weights that need fewer wafers by themselves."""
    described = model(name)
    wafers = wafers_needed(described, WSE3, described.native, "bf16", 128)
    assert wafers > wafers_needed(described, WSE3, described.native)
    regions = regions_of(described, WSE3, WaferPlan(wafers, described.native, sequences=128))
    assert all(region.kv_bytes >= 0.0 for region in regions)


@pytest.mark.parametrize("wafers", [5, 12, 24])
@pytest.mark.parametrize("sequences", [16, 128, 512])
def test_alternating_layers_with_much_and_little_kv_leave_capacity(
    wafers: int, sequences: int
) -> None:
    """Pairs of layers that just fill a wafer stay together: 155 GB on wafers of 42 GB."""
    flash = Model.model_validate(catalog_entry("models", "deepseek-v4-flash"))
    plan = WaferPlan(wafers, flash.native, sequences=sequences)
    regions = regions_of(flash, WSE3, plan)
    assert all(region.kv_bytes > 0.0 for region in regions)
    assert max(region.wafer for region in regions) == wafers - 1


def test_too_few_wafers_have_no_kv_cache_capacity() -> None:
    assert place_on_wafers(model("llama-3.3-70b"), WSE3, WaferPlan(3)).kv_tokens == 0


def test_reserved_rows_stay_empty_and_reduce_the_capacity() -> None:
    regions = placed("llama-3.1-8b", reserved_rows=72)
    assert max(region.row + region.height for region in regions) == 1100
    whole, less = (
        place_on_wafers(model("llama-3.1-8b"), WSE3, WaferPlan(1, reserved_rows=rows)).kv_tokens
        for rows in (0, 72)
    )
    assert whole - less == approx(0.95 * 44e9 * 72 / 1172 / 131_072, rel=0.1)


def test_defective_cores_reduce_capacity_and_arithmetic_but_no_paths() -> None:
    sound, worse = (
        WaferSteps(model("llama-3.1-8b"), WSE3, WaferPlan(1, layout="whole", defective=share))
        for share in (0.0, 0.1)
    )
    assert worse.regions[0].sram_bytes == approx(0.9 * sound.regions[0].sram_bytes)
    # 15 GFLOP at 13.24 % of 15.6 PFLOP/s take 7.27 us, with nine tenths of the cores 8.08
    assert worse.latency_s - sound.latency_s == approx(
        15.01e9 / (0.1324 * 15.6e15) * (1 / 0.9 - 1), rel=0.01
    )


def test_windows_are_set_aside_for_the_sequences_that_may_be_there() -> None:
    # gpt-oss: 18 layers keep 128 tokens of 2 x 8 x 64 values of 2 B: 4.7 MB per sequence
    few, many = (placed("gpt-oss-120b", sequences=sequences) for sequences in (0, 100))
    fixed = [
        sum(part.fixed_bytes for region in regions for part in region.parts)
        for regions in (few, many)
    ]
    assert fixed == [0.0, approx(100 * 18 * 128 * 2048)]
    windowed = [part for region in many for part in region.parts if part.key_flop.limited]
    assert len(windowed) == 18


def test_streamed_weights_leave_a_wafer_to_kv_but_for_two_layers() -> None:
    described = model("llama-3.3-70b")
    placement = place_on_wafers(described, WSE3, WaferPlan(3, streamed=True))
    buffer = 2 * 128256 * 8192 * 2.0  # the embedding is the largest part
    assert placement.kv_tokens == approx(3 * (0.95 * 44e9 - buffer) / 327_680, rel=1e-4)
