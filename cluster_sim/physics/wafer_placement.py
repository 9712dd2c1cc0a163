"""Where the layers of a model lie on wafers: rectangles of cores, in the order in which tokens pass
them.

Layers are cut into one run a wafer, so that the wafer with the least room for KV has as much as can
be. On a wafer each part gets cores by the SRAM that it needs, its weights and the KV of as many
tokens as every other layer of the wafer holds, in bands that are filled from left to right, then
from right to left: neighbours in the order of the layers are neighbours on the wafer.
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
from cluster_sim.physics.transformer import (
    decode_flop_per_key,
    kv_layer_bytes,
    prefill_flop_per_pair,
)

WaferLayout = Literal["regions", "whole"]

_HEAD_SLACK = 1.03
"""More cores than the weights of a part without KV fill: its rectangle is rounded to whole rows and
columns."""


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A piece of a model that lies in one place: the embedding, a layer, the output head. FLOP and
    bytes are of one token.
    """

    name: str
    weight_bytes: float
    kv_token_bytes: float = 0.0
    """Of a token that stays in its cache."""
    fixed_bytes: float = 0.0
    """Cache of its window, for all sequences."""
    flop: float = 0.0
    read_bytes: float = 0.0
    """Weights that a token meets."""
    key_flop: float = 0.0
    """Of a decoding query for one key."""
    pair_flop: float = 0.0
    """The same in prefill."""
    window: bool = False
    """Whether its keys are those of a window."""

    @property
    def is_layer(self) -> bool:
        """Whether it has attention."""
        return self.key_flop > 0.0


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
    """Of its sound cores, for weights and KV."""

    @property
    def cores(self) -> int:
        """Cores in it, those with defects included."""
        return self.width * self.height

    @property
    def weight_bytes(self) -> float:
        """Of all its parts."""
        return sum(part.weight_bytes for part in self.parts)

    @property
    def kv_token_bytes(self) -> float:
        """What a token takes in all its parts."""
        return sum(part.kv_token_bytes for part in self.parts)

    @property
    def room_bytes(self) -> float:
        """SRAM that weights and windows leave for KV; negative where they do not fit."""
        return self.sram_bytes - self.weight_bytes - sum(part.fixed_bytes for part in self.parts)

    @property
    def kv_tokens(self) -> float:
        """Tokens whose KV it has room for; without end where it keeps none; negative where the
        weights do not fit.
        """
        if self.room_bytes < 0.0 or not self.kv_token_bytes:
            return -1.0 if self.room_bytes < 0.0 else inf
        return self.room_bytes / self.kv_token_bytes

    def distance(self, other: Region) -> float:
        """Hops from its middle to that of another one of the same wafer."""
        across = abs(self.column + self.width / 2 - other.column - other.width / 2)
        return across + abs(self.row + self.height / 2 - other.row - other.height / 2)


@dataclass(frozen=True, slots=True)
class WaferPlan:
    """How one replica lies on wafers."""

    wafers: int
    weights: Precision = "bf16"
    kv_cache: Precision = "bf16"
    layout: WaferLayout = "regions"
    """regions: each part has cores of its own; whole: a wafer's parts take turns on all of them."""
    streamed: bool = False
    """The weights pass by, layer after layer, and every wafer works on sequences of its own with
    all its cores."""
    sequences: int = 0
    """At once, for which layers with a window keep theirs."""
    reserved_rows: int = 0
    """Of each wafer's grid, kept for other things."""
    defective: float = 0.0
    """Share of the cores that only pass on what comes."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The cores of a wafer that a plan may use."""

    columns: int
    rows: int
    core_bytes: float
    """SRAM of a core for weights and KV, the share of defective cores taken off."""

    @property
    def sram_bytes(self) -> float:
        """Of all of them."""
        return self.columns * self.rows * self.core_bytes


def grid_of(device: Device, plan: WaferPlan) -> Grid:
    """The cores of each wafer that `plan` uses, and what of their SRAM weights and KV may take."""
    wafer = device.wafer
    assert wafer is not None
    core_bytes = device.memory.capacity_bytes / (wafer.columns * wafer.rows)
    return Grid(
        wafer.columns,
        max(wafer.rows - plan.reserved_rows, 1),
        core_bytes * wafer.memory_fill * (1.0 - plan.defective),
    )


def parts_of(
    model: Model, weights: Precision, kv_cache: Precision, sequences: int = 0
) -> tuple[ModelPart, ...]:
    """The model's parts in the order in which a token passes them.

    `sequences` at once each keep a window in the layers that have one, which are spread evenly
    among the others. Tied embeddings are kept once, with the head. A token meets all weights of a
    dense layer, and of one with experts those that it is routed to.
    """
    embedding, attention, ffn = (
        model.bytes_per_parameter(weights, part) for part in ("embedding", "attention", "ffn")
    )
    table = model.vocabulary * model.hidden
    first = () if model.tied_embeddings else (ModelPart("embedding", table * embedding),)
    layers = []
    windows, cache_bytes = model.layers - model.full_layers, kv_layer_bytes(model, kv_cache)
    for number in range(model.layers):
        dense = model.experts is None or number < model.experts.dense_layers
        stored, met = model.ffn_parameters, model.ffn_parameters
        if model.experts is not None and not dense:
            stored = (model.experts.count + model.experts.shared) * model.expert_parameters
            met = (model.experts.top_k + model.experts.shared) * model.expert_parameters
        beside = 2 * model.hidden + (0 if dense else model.router_parameters)
        window = (number + 1) * windows // model.layers > number * windows // model.layers
        grows = (
            not window or not model.full_layers
        )  # a model of windows only still caches whole prompts in blocks
        layers.append(
            ModelPart(
                f"layer {number + 1}",
                model.attention_parameters * attention + stored * ffn + beside * embedding,
                kv_token_bytes=cache_bytes if grows else 0.0,
                fixed_bytes=0.0
                if grows or model.window is None
                else sequences * model.window.tokens * cache_bytes,
                flop=2.0
                * (model.attention_parameters + met + (0 if dense else model.router_parameters)),
                read_bytes=model.attention_parameters * attention + met * ffn,
                key_flop=decode_flop_per_key(model),
                pair_flop=prefill_flop_per_pair(model),
                window=window,
            )
        )
    head = ModelPart(
        "head", (table + model.hidden) * embedding, flop=2.0 * table, read_bytes=table * embedding
    )
    return (*first, *layers, head)


def regions_of(model: Model, device: Device, plan: WaferPlan) -> tuple[Region, ...]:
    """The regions of one replica in the order in which a token passes them.

    Where the weights do not fit they lie as if they did, and some region has less than no room.
    """
    return _placed(
        parts_of(model, plan.weights, plan.kv_cache, plan.sequences), plan, grid_of(device, plan)
    )


def wafers_needed(model: Model, device: Device, weights: Precision) -> int:
    """The fewest wafers that take whole layers one after another, each filled with weights up to
    `weight_fill`.

    A layer that is larger than a wafer counts as its share; it cannot be placed.
    """
    assert device.wafer is not None
    limit = device.wafer.weight_fill * device.memory.capacity_bytes
    sizes = [part.weight_bytes for part in parts_of(model, weights, "bf16")]
    if max(sizes) > limit:
        return ceil(sum(sizes) / limit)
    return len(_runs(sizes, limit))


def cuts(regions: Sequence[Region]) -> list[str]:
    """The first part on each wafer but the first: where tokens cross from one to the next."""
    return [
        after.parts[0].name for before, after in pairwise(regions) if before.wafer != after.wafer
    ]


@lru_cache(maxsize=64)
def _placed(parts: tuple[ModelPart, ...], plan: WaferPlan, grid: Grid) -> tuple[Region, ...]:
    if plan.streamed:
        # Two layers are there at a time, the one that is worked on and the one that comes in.
        buffer = 2.0 * max(part.weight_bytes for part in parts)
        kept = tuple(replace(part, weight_bytes=buffer / len(parts)) for part in parts)
        return (Region(kept, 0, 0, 0, grid.columns, grid.rows, grid.sram_bytes),)
    runs = _cut(parts, plan.wafers, grid.sram_bytes)
    if plan.layout == "whole":
        return tuple(
            Region(run, wafer, 0, 0, grid.columns, grid.rows, grid.sram_bytes)
            for wafer, run in enumerate(runs)
        )
    return tuple(region for wafer, run in enumerate(runs) for region in _laid_out(run, wafer, grid))


def _cut(parts: Sequence[ModelPart], wafers: int, sram_bytes: float) -> list[tuple[ModelPart, ...]]:
    """Runs of parts, one a wafer, such that the KV of as many tokens as can be fits everywhere.

    For a number of tokens the fewest wafers are those of filling one after another; the number is
    found by halving.
    """

    def sizes(tokens: float) -> list[float]:
        return [
            part.weight_bytes + part.fixed_bytes + tokens * part.kv_token_bytes for part in parts
        ]

    least, most = 0.0, wafers * sram_bytes / (sum(part.kv_token_bytes for part in parts) or 1.0)
    if len(_runs(sizes(0.0), sram_bytes)) > wafers:  # they do not fit: as evenly as they can
        return [
            tuple(parts[place] for place in run)
            for run in _even_runs(sizes(0.0), wafers, sum(sizes(0.0)))
        ]
    for _ in range(60):
        middle = 0.5 * (least + most)
        least, most = (
            (middle, most) if len(_runs(sizes(middle), sram_bytes)) <= wafers else (least, middle)
        )
    return [
        tuple(parts[place] for place in run) for run in _even_runs(sizes(least), wafers, sram_bytes)
    ]


def _even_runs(sizes: Sequence[float], wafers: int, limit: float) -> list[list[int]]:
    """As `_runs`, which must find so many or fewer: each run ends near the mean of what is left,
    where the rest still fits.
    """
    found: list[list[int]] = []
    first, left = 0, sum(sizes)
    for wafer in range(wafers, 0, -1):
        mean, last, size = left / wafer, first, 0.0
        while last < len(sizes) and (last == first or size + sizes[last] <= limit):
            enough = size + 0.5 * sizes[last] > mean
            if last > first and enough and wafer > 1 and len(_runs(sizes[last:], limit)) < wafer:
                break
            size, last = size + sizes[last], last + 1
        if last > first:
            found.append(list(range(first, last)))
        first, left = last, left - size
    if first < len(sizes):  # of runs that never fit the last takes what is left
        found[-1] += range(first, len(sizes))
    return found


def _runs(sizes: Sequence[float], limit: float) -> list[list[int]]:
    """Places of consecutive sizes whose sums stay within `limit`; one that alone is larger stands
    alone.
    """
    found: list[list[int]] = []
    left = -1.0
    for place, size in enumerate(sizes):
        if size > left:
            found.append([])
            left = limit
        found[-1].append(place)
        left -= size
    return found


def _laid_out(parts: tuple[ModelPart, ...], wafer: int, grid: Grid) -> list[Region]:
    """Regions of the parts on one wafer: of the numbers of bands, the one with which all fit and
    messages have the shortest ways.
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
        default=[
            Region(parts, wafer, 0, 0, grid.columns, grid.rows, grid.sram_bytes)
        ],  # more parts than places: they take turns
        key=lambda regions: (
            any(one.room_bytes < 0.0 for one in regions),
            sum(one.width + one.height for one in regions),
        ),
    )


def _banded(
    parts: tuple[ModelPart, ...], areas: Sequence[float], wafer: int, grid: Grid, bands: int
) -> Iterator[Region]:
    """The regions in so many bands, each part in the one where the middle of its area falls; none
    where one would have no core.
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
        for place, (left, right) in zip(
            band, pairwise(_shared(grid.columns, [areas[place] for place in band])), strict=True
        ):
            column = grid.columns - right if number % 2 else left
            sram_bytes = (right - left) * (bottom - top) * grid.core_bytes
            placed.append(
                Region((parts[place],), wafer, column, top, right - left, bottom - top, sram_bytes)
            )
    if all(region.cores for region in placed):
        yield from placed


def _shared(length: int, weights: Sequence[float]) -> list[int]:
    """Whole places that divide `length` about as `weights` do, both ends included; each gets one at
    least where there are as many.
    """
    total, found = sum(weights), [0]
    for left, end in zip(range(len(weights) - 1, -1, -1), accumulate(weights), strict=True):
        found.append(
            max(min(max(round(length * end / total), found[-1] + 1), length - left), found[-1])
        )
    return found
