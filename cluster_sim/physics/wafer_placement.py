"""Placement of a model's layers on wafers: rectangles of cores, in the order of the tokens.

The layers are cut into one run per wafer such that the smallest KV cache capacity of a wafer is as
large as possible. On a wafer each part gets cores by the SRAM that it needs: for its weights, and
for the KV cache of the same number of tokens as every other layer of the wafer. The parts lie in
bands that are filled from left to right and from right to left in turns, so that consecutive layers
are neighbours on the wafer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, pairwise
from math import ceil

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.model_parts import ModelPart, parts_of
from cluster_sim.physics.wafer_regions import Grid, Region, WaferPlan, grid_of
from cluster_sim.physics.wafer_runs import cut, filled_runs

_HEAD_SLACK = 1.03
"""Factor on the cores of a part without KV cache: its rectangle is rounded to whole rows and
columns."""


def regions_of(model: Model, device: Device, plan: WaferPlan) -> tuple[Region, ...]:
    """Return the regions of one replica in the order in which a token passes them.

    If the weights do not fit, they are placed as if they did, and a region has negative `kv_bytes`.

    Parameters
    ----------
    model
        Shape of the model.
    device
        Wafer that the replica runs on.
    plan
        Plan of the replica.

    Returns
    -------
    tuple of Region
        Regions with their parts.

    Examples
    --------
    Llama 3.1 8B on one wafer: embedding, 32 layers and head.

    >>> from cluster_sim.schema import catalog_entry
    >>> wse3 = Device.model_validate(catalog_entry("devices", "wse-3"))
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.1-8b"))
    >>> len(regions_of(llama, wse3, WaferPlan(1)))
    34
    """
    return _placed(
        parts_of(model, plan.weights, plan.kv_cache, plan.sequences), plan, grid_of(device, plan)
    )


def wafers_needed(
    model: Model,
    device: Device,
    weights: Precision,
    kv_cache: Precision = "bf16",
    sequences: int = 0,
) -> int:
    """Return the minimum number of wafers that hold whole layers, each filled up to `weight_fill`.

    A layer that is larger than a wafer cannot be placed; it counts by its size. Windows and states
    of `sequences` sequences fit beside the weights, up to `memory_fill`.

    Parameters
    ----------
    model
        Shape of the model.
    device
        Wafer.
    weights, kv_cache
        Stored precisions.
    sequences
        Number of sequences that keep a window or a state.

    Returns
    -------
    int
        Number of wafers.

    Examples
    --------
    70 billion weights in 16 bit on wafers of 44 GB, of which weights fill 88 %:

    >>> from cluster_sim.schema import catalog_entry
    >>> wse3 = Device.model_validate(catalog_entry("devices", "wse-3"))
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))
    >>> wafers_needed(llama, wse3, "bf16")
    4
    """
    assert device.wafer is not None
    limit = device.wafer.weight_fill * device.memory.capacity_bytes
    parts = parts_of(model, weights, kv_cache, sequences)
    sizes = [part.weight_bytes for part in parts]
    if max(sizes) > limit:
        return ceil(sum(sizes) / limit)
    wafers = len(filled_runs(sizes, limit))
    if not any(part.fixed_bytes for part in parts):
        return wafers
    kept = [part.weight_bytes + part.fixed_bytes for part in parts]
    limit = device.wafer.memory_fill * device.memory.capacity_bytes
    return max(wafers, len(filled_runs(kept, limit)))


def cuts(regions: Sequence[Region]) -> list[str]:
    """Return the name of the first part on each wafer but the first; tokens cross there.

    Parameters
    ----------
    regions
        Regions in the order in which a token passes them.

    Returns
    -------
    list of str
        Names of parts.

    Examples
    --------
    >>> parts = [ModelPart(f"layer {number}", 1.0) for number in (1, 2, 3)]
    >>> wafers = zip(parts, (0, 0, 1))
    >>> cuts([Region((part,), wafer, 0, 0, 1, 1, 0.0) for part, wafer in wafers])
    ['layer 3']
    """
    return [
        after.parts[0].name for before, after in pairwise(regions) if before.wafer != after.wafer
    ]


@lru_cache(maxsize=64)
def _placed(parts: tuple[ModelPart, ...], plan: WaferPlan, grid: Grid) -> tuple[Region, ...]:
    if plan.streamed:
        # Two layers are present at a time: the one that computes and the one that arrives.
        buffer = 2.0 * max(part.weight_bytes for part in parts)
        kept = tuple(replace(part, weight_bytes=buffer / len(parts)) for part in parts)
        return (_whole(kept, 0, grid),)
    runs = cut(parts, plan.wafers, grid.sram_bytes)
    if plan.layout == "whole":
        return tuple(_whole(run, wafer, grid) for wafer, run in enumerate(runs))
    return tuple(region for wafer, run in enumerate(runs) for region in _laid_out(run, wafer, grid))


def _whole(parts: tuple[ModelPart, ...], wafer: int, grid: Grid) -> Region:
    """Return one region with all parts on all cores of a wafer, where they take turns."""
    return Region(parts, wafer, 0, 0, grid.columns, grid.rows, grid.sram_bytes)


def _laid_out(parts: tuple[ModelPart, ...], wafer: int, grid: Grid) -> list[Region]:
    """Return the regions of the parts on one wafer.

    The number of bands is the one with the shortest message paths among those with which all parts
    fit.
    """
    kept = [part.weight_bytes + part.fixed_bytes for part in parts]
    token_bytes = sum(part.kv_token_bytes for part in parts)
    needs = [
        size if part.kv_token_bytes else _HEAD_SLACK * size
        for part, size in zip(parts, kept, strict=True)
    ]
    tokens = max(grid.sram_bytes - sum(needs), 0.0) / token_bytes if token_bytes else 0.0
    areas = [need + tokens * part.kv_token_bytes for part, need in zip(parts, needs, strict=True)]
    tried = (
        list(_banded(parts, areas, wafer, grid, bands))
        for bands in range(1, min(len(parts), grid.rows) + 1)
    )
    return min(
        (regions for regions in tried if regions),
        default=[_whole(parts, wafer, grid)],  # more parts than cores: they take turns
        key=lambda regions: (
            any(region.kv_bytes < 0.0 for region in regions),
            sum(region.width + region.height for region in regions),
        ),
    )


def _banded(
    parts: tuple[ModelPart, ...], areas: Sequence[float], wafer: int, grid: Grid, bands: int
) -> Iterator[Region]:
    """Yield the regions in a number of bands, or nothing if a region would have no core.

    Each part is in the band that contains the middle of its area.
    """
    total = sum(areas)
    ends = list(accumulate(areas))
    members: dict[int, list[int]] = {}
    for place, (end, area) in enumerate(zip(ends, areas, strict=True)):
        members.setdefault(min(int((end - area / 2) / total * bands), bands - 1), []).append(place)
    rows = _shared(grid.rows, [sum(areas[place] for place in band) for band in members.values()])
    placed = []
    for number, (band, (top, bottom)) in enumerate(
        zip(members.values(), pairwise(rows), strict=True)
    ):
        columns = _shared(grid.columns, [areas[place] for place in band])
        for place, (left, right) in zip(band, pairwise(columns), strict=True):
            column = grid.columns - right if number % 2 else left
            sram_bytes = (right - left) * (bottom - top) * grid.core_bytes
            placed.append(
                Region((parts[place],), wafer, column, top, right - left, bottom - top, sram_bytes)
            )
    if all(region.cores for region in placed):
        yield from placed


def _shared(length: int, weights: Sequence[float]) -> list[int]:
    """Return whole positions that divide `length` about as `weights` do, both ends included.

    Each part gets at least one position if the length allows that.

    >>> _shared(10, [1.0, 1.0, 2.0])
    [0, 2, 5, 10]
    """
    total, ends = sum(weights), [0]
    for left, end in zip(range(len(weights) - 1, -1, -1), accumulate(weights), strict=True):
        nearest = max(round(length * end / total), ends[-1] + 1)
        ends.append(max(min(nearest, length - left), ends[-1]))
    return ends
