"""Flow of tokens through the regions of a wafer-scale replica, as through a pipeline.

A region is a stage of that pipeline: it processes one token at a time. The time of a layer has
three terms: a constant per layer, the collectives across its region at one hop per cycle, and the
arithmetic of the weights and keys of each core.

Source: the PLMR model of wafers (WaferLLM, OSDI 2025, arXiv 2502.04563), in which latency grows
with distance and so with parallelism.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.wafer import Wafer
from cluster_sim.physics.model_parts import ModelPart
from cluster_sim.physics.wafer_regions import Region


class Program(NamedTuple):
    """Constants of a program that computes layers on a wafer."""

    core_s: float
    """Time of a layer per token, without distance and arithmetic [s]."""
    collectives: float
    """Number of collectives per layer; each one crosses the width and the height of a region."""
    compute: float
    """Share of the dense peak that a core reaches [1]."""


@dataclass(frozen=True, slots=True)
class TokenFlow:
    """Times of tokens of one kind through the pipeline stages of a replica.

    Keys are those of one query.
    """

    latency_s: float
    """Time of one token alone through all stages [s]."""
    station_s: float
    """Time per token of the slowest stage [s]. It limits the rate once all stages are busy."""
    key_s: float
    """Additional latency per key in the layers that see the whole context [s]."""
    window_key_s: float
    """Additional latency per key in a window [s]."""
    station_key_s: float
    """Additional time of the slowest stage per key [s]."""
    station_window_key_s: float
    """Additional time of the slowest stage per key in a window [s]."""
    mean_s: float
    """Time per token of a stage, averaged over the cores of all stages [s]."""
    mean_key_s: float
    """Additional mean time of a stage per key [s]."""
    mean_window_key_s: float
    """Additional mean time of a stage per key in a window [s]."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Pipeline of the regions of a replica."""

    regions: Sequence[Region]
    device: Device
    defective: float
    """Share of the cores that only forward messages [1]."""
    beside_s: float
    """Time of a token between and outside of the regions [s]."""
    copies: int = 1
    """Number of wafers that each hold the whole model and share the tokens."""

    def flow(self, program: Program, *, prompts: bool = False) -> TokenFlow:
        """Return the flow of decoding tokens, or of prompt tokens.

        The slowest stage is assumed to hold the most keys too. Of a prompt only the last token
        reaches the head, so the head does not limit the rate of prompts.
        """
        regions, copies = self.regions, self.copies
        passed, layers = [], []
        for region in regions:
            times_s = [
                (part, part_s(part, region, self.device, program, self.defective))
                for part in region.parts
            ]
            passed.append(sum(seconds for _, seconds in times_s))
            layers.append(sum(seconds for part, seconds in times_s if part.is_layer))
        slowest_s = max(layers if prompts else passed)
        rate = self._core_flop_per_s(program)
        keys, window_keys = (
            [
                _key_flop(region, windows=windows, prompts=prompts) / (rate * region.cores)
                for region in regions
            ]
            for windows in (False, True)
        )
        means = [
            sum(region.cores * time for region, time in zip(regions, times, strict=True))
            / (sum(region.cores for region in regions) * copies)
            for times in (layers if prompts else passed, keys, window_keys)
        ]
        return TokenFlow(
            latency_s=self.beside_s + sum(passed),
            station_s=slowest_s / copies,
            key_s=sum(keys),
            window_key_s=sum(window_keys),
            station_key_s=max(keys) / copies,
            station_window_key_s=max(window_keys) / copies,
            mean_s=means[0],
            mean_key_s=means[1],
            mean_window_key_s=means[2],
        )

    def _core_flop_per_s(self, program: Program) -> float:
        """Return the compute rate per core, averaged over sound and defective cores [FLOP/s]."""
        wafer = self.device.wafer
        assert wafer is not None
        return (
            program.compute
            * self.device.peak.bf16_flop_per_s
            * (1.0 - self.defective)
            / (wafer.columns * wafer.rows)
        )


def _key_flop(region: Region, *, windows: bool, prompts: bool) -> float:
    flop = [part.pair_flop if prompts else part.key_flop for part in region.parts]
    return sum(one.limited if windows else one.context for one in flop)


def part_s(
    part: ModelPart, region: Region, device: Device, program: Program, defective: float = 0.0
) -> float:
    """Return the time of one token in a part of a model, without its keys [s].

        core_s + collectives (width + height) / clock + max(FLOP / compute, bytes / bandwidth)

    The time is 0 in the embedding, which is a look-up. The head has one collective and no `core_s`.
    The sound cores of the region share the arithmetic of the part's weights evenly; they compute
    and read their SRAM simultaneously.

    Parameters
    ----------
    part
        Part of the model.
    region
        Region that holds the part.
    device
        Wafer of the region.
    program
        Constants of the program.
    defective
        Share of the cores that only forward messages [1].
    """
    wafer = device.wafer
    assert wafer is not None
    if not part.flop:
        return 0.0
    core_s, collectives = (program.core_s, program.collectives) if part.is_layer else (0.0, 1.0)
    cores = region.cores * (1.0 - defective) / (wafer.columns * wafer.rows)  # as a share of all
    work_s = (
        max(
            part.flop / (program.compute * device.peak.bf16_flop_per_s),
            part.read_bytes / device.memory.bandwidth_bytes_per_s,
        )
        / cores
    )
    return core_s + collectives * (region.width + region.height) / wafer.clock_hz + work_s


def between_s(before: Region, after: Region, wafer: Wafer) -> float:
    """Return the time from one region to the next at one cycle per hop [s]; 0 between wafers.

    Parameters
    ----------
    before, after
        Consecutive regions.
    wafer
        Wafer of the regions.

    Returns
    -------
    float
        Time [s].

    Examples
    --------
    Ten hops between the centres, at 1 GHz:

    >>> from types import SimpleNamespace
    >>> left, right = (Region((), 0, column, 0, 10, 10, 0.0) for column in (0, 10))
    >>> between_s(left, right, SimpleNamespace(clock_hz=1e9))
    1e-08
    """
    return before.distance(after) / wafer.clock_hz if before.wafer == after.wafer else 0.0
