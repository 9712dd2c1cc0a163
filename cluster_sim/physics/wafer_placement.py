"""Placement of a model's layers on wafers: rectangles of cores, in the order of the tokens.

Layers are cut into one run per wafer, so that the wafer with the least KV cache capacity has as
much as can be. On a wafer each part gets cores by the SRAM that it needs: its weights, and the KV
of as many tokens as every other layer of the wafer holds. The parts lie in bands that are filled
from left to right, then from right to left, so that neighbours in the order of the layers are
neighbours on the wafer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise
from math import ceil, inf
from typing import Literal

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.model_parts import ModelPart, parts_of
from cluster_sim.physics.wafer_runs import cut, filled_runs

WaferLayout = Literal["regions", "whole"]
"""regions: each part has cores of its own; whole: a wafer's parts take turns on all of them."""

_HEAD_SLACK = 1.03
"""Factor on the cores of a part without KV: its rectangle is rounded to whole rows and columns."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of cores of one wafer, and the parts that lie in it."""

    parts: tuple[ModelPart, ...]
    wafer: int
    column: int
    row: int
    width: int
    height: int
    sram_bytes: float
    """SRAM of its sound cores for weights and KV [B]."""

    @property
    def cores(self) -> int:
        """Number of its cores, those with defects included."""
        return self.width * self.height

    @property
    def weight_bytes(self) -> float:
        """Size of the weights of all its parts [B]."""
        return sum(part.weight_bytes for part in self.parts)

    @property
    def kv_token_bytes(self) -> float:
        """KV cache of a token in all its parts [B]."""
        return sum(part.kv_token_bytes for part in self.parts)

    @property
    def kv_bytes(self) -> float:
        """SRAM that weights and windows leave for KV [B]; negative where they do not fit."""
        return self.sram_bytes - self.weight_bytes - sum(part.fixed_bytes for part in self.parts)

    @property
    def kv_tokens(self) -> float:
        """Number of tokens whose KV fits.

        It is infinite where the region keeps no KV, and negative where the weights do not fit.
        """
        if self.kv_bytes < 0.0 or not self.kv_token_bytes:
            return -1.0 if self.kv_bytes < 0.0 else inf
        return self.kv_bytes / self.kv_token_bytes

    def distance(self, other: Region) -> float:
        """Return the hops from its middle to that of another region of the same wafer."""
        across = abs(self.column + self.width / 2 - other.column - other.width / 2)
        return across + abs(self.row + self.height / 2 - other.row - other.height / 2)


@dataclass(frozen=True, slots=True)
class WaferPlan:
    """How one replica lies on wafers."""

    wafers: int
    weights: Precision = "bf16"
    kv_cache: Precision = "bf16"
    layout: WaferLayout = "regions"
    streamed: bool = False
    """Whether the weights pass by, layer after layer. Every wafer then works on sequences of its
    own with all its cores."""
    sequences: int = 0
    """Number of sequences at once, for which layers with a window keep theirs."""
    reserved_rows: int = 0
    """Number of rows of each wafer's grid that are kept for other purposes."""
    defective: float = 0.0
    """Share of the cores that only pass on messages."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The cores of a wafer that a plan may use."""

    columns: int
    rows: int
    core_bytes: float
    """SRAM of a core for weights and KV, the share of defective cores taken off [B]."""

    @property
    def sram_bytes(self) -> float:
        """SRAM of all cores [B]."""
        return self.columns * self.rows * self.core_bytes


def grid_of(device: Device, plan: WaferPlan) -> Grid:
    """Return the cores of each wafer that `plan` uses, with their SRAM for weights and KV."""
    wafer = device.wafer
    assert wafer is not None
    core_bytes = device.memory.capacity_bytes / (wafer.columns * wafer.rows)
    return Grid(
        wafer.columns,
        max(wafer.rows - plan.reserved_rows, 1),
        core_bytes * wafer.memory_fill * (1.0 - plan.defective),
    )


def regions_of(model: Model, device: Device, plan: WaferPlan) -> tuple[Region, ...]:
    """Return the regions of one replica in the order in which a token passes them.

    Where the weights do not fit, they lie as if they did, and some region has negative `kv_bytes`.
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
    """Return the fewest wafers that hold whole layers, each filled up to `weight_fill`.

    A layer that is larger than a wafer counts as its share; it cannot be placed. Windows and states
    of `sequences` sequences fit beside the weights, up to `memory_fill`.
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
    """Return the first part on each wafer but the first: where tokens cross to the next one."""
    return [
        after.parts[0].name for before, after in pairwise(regions) if before.wafer != after.wafer
    ]


@lru_cache(maxsize=64)
def _placed(parts: tuple[ModelPart, ...], plan: WaferPlan, grid: Grid) -> tuple[Region, ...]:
    if plan.streamed:
        # Two layers are there at a time, the one that is worked on and the one that comes in.
        buffer = 2.0 * max(part.weight_bytes for part in parts)
        kept = tuple(replace(part, weight_bytes=buffer / len(parts)) for part in parts)
        return (_whole(kept, 0, grid),)
    runs = cut(parts, plan.wafers, grid.sram_bytes)
    if plan.layout == "whole":
        return tuple(_whole(run, wafer, grid) for wafer, run in enumerate(runs))
    return tuple(region for wafer, run in enumerate(runs) for region in _laid_out(run, wafer, grid))


def _whole(parts: tuple[ModelPart, ...], wafer: int, grid: Grid) -> Region:
    """Return the parts on all cores of a wafer, where they take turns."""
    return Region(parts, wafer, 0, 0, grid.columns, grid.rows, grid.sram_bytes)


def _laid_out(parts: tuple[ModelPart, ...], wafer: int, grid: Grid) -> list[Region]:
    """Return the regions of the parts on one wafer.

    The number of bands is the one with which all parts fit and messages have the shortest paths.
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
        default=[_whole(parts, wafer, grid)],  # more parts than places: they take turns
        key=lambda regions: (
            any(region.kv_bytes < 0.0 for region in regions),
            sum(region.width + region.height for region in regions),
        ),
    )


def _banded(
    parts: tuple[ModelPart, ...], areas: Sequence[float], wafer: int, grid: Grid, bands: int
) -> Iterator[Region]:
    """Yield the regions in so many bands, or nothing where a region would have no core.

    Each part is in the band where the middle of its area falls.
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
    """Return whole places that divide `length` about as `weights` do, both ends included.

    Each part gets one at least where the length allows it.

    >>> _shared(10, [1.0, 1.0, 2.0])
    [0, 2, 5, 10]
    """
    total, ends = sum(weights), [0]
    for left, end in zip(range(len(weights) - 1, -1, -1), accumulate(weights), strict=True):
        nearest = max(round(length * end / total), ends[-1] + 1)
        ends.append(max(min(nearest, length - left), ends[-1]))
    return ends
