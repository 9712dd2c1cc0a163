"""Regions of cores on wafers, and the plan of a replica on wafers."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.precision import Precision
from cluster_sim.physics.model_parts import ModelPart

WaferLayout = Literal["regions", "whole"]
"""regions: each part has its own cores; whole: the parts of a wafer take turns on all of its cores.
"""


@dataclass(frozen=True, slots=True)
class Region:
    """Rectangle of cores of one wafer, with the parts that it holds."""

    parts: tuple[ModelPart, ...]
    wafer: int
    column: int
    row: int
    width: int
    height: int
    sram_bytes: float
    """SRAM of the region's sound cores for weights and KV cache [B]."""

    @property
    def cores(self) -> int:
        """Number of cores, defective ones included."""
        return self.width * self.height

    @property
    def weight_bytes(self) -> float:
        """Size of the weights of all parts [B]."""
        return sum(part.weight_bytes for part in self.parts)

    @property
    def kv_token_bytes(self) -> float:
        """KV cache per token in all parts [B]."""
        return sum(part.kv_token_bytes for part in self.parts)

    @property
    def kv_bytes(self) -> float:
        """KV cache capacity [B]: SRAM left by weights and windows; negative if they do not fit."""
        return self.sram_bytes - self.weight_bytes - sum(part.fixed_bytes for part in self.parts)

    @property
    def kv_tokens(self) -> float:
        """KV cache capacity [tokens].

        It is infinite if the region keeps no KV cache, and negative if the weights do not fit.
        """
        if self.kv_bytes < 0.0 or not self.kv_token_bytes:
            return -1.0 if self.kv_bytes < 0.0 else inf
        return self.kv_bytes / self.kv_token_bytes

    def distance(self, other: Region) -> float:
        """Return the hops between the centres of this region and another one on the same wafer."""
        across = abs(self.column + self.width / 2 - other.column - other.width / 2)
        return across + abs(self.row + self.height / 2 - other.row - other.height / 2)


@dataclass(frozen=True, slots=True)
class WaferPlan:
    """Plan of one replica on wafers."""

    wafers: int
    weights: Precision = "bf16"
    kv_cache: Precision = "bf16"
    layout: WaferLayout = "regions"
    streamed: bool = False
    """Whether the weights are streamed, layer after layer. Every wafer then uses all its cores for
    its own sequences."""
    sequences: int = 0
    """Maximum number of sequences, for which layers with a window keep theirs."""
    reserved_rows: int = 0
    """Number of rows of each wafer's grid that are reserved for other purposes."""
    defective: float = 0.0
    """Share of the cores that only forward messages [1]."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Cores of a wafer that a plan may use."""

    columns: int
    rows: int
    core_bytes: float
    """Mean SRAM of a core for weights and KV cache, reduced by the share of defective cores [B]."""

    @property
    def sram_bytes(self) -> float:
        """SRAM of all cores [B]."""
        return self.columns * self.rows * self.core_bytes


def grid_of(device: Device, plan: WaferPlan) -> Grid:
    """Return the cores of each wafer that `plan` uses, with their SRAM for weights and KV cache."""
    wafer = device.wafer
    assert wafer is not None
    core_bytes = device.memory.capacity_bytes / (wafer.columns * wafer.rows)
    return Grid(
        wafer.columns,
        max(wafer.rows - plan.reserved_rows, 1),
        core_bytes * wafer.memory_fill * (1.0 - plan.defective),
    )
