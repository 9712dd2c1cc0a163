"""Time of an engine step on wafers: layers in regions, tokens of different requests flowing through
as a pipeline.

A region is a station: it works on one token at a time. What a layer takes is its cores' time, the
collectives' way across its region at one hop a cycle, and the arithmetic of the weights and keys
that each core holds: the PLMR view of wafers (WaferLLM, OSDI 2025, arXiv 2502.04563), in which
parallelism is bought with latency that grows with distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.wafer import Wafer
from cluster_sim.llm.model import Model
from cluster_sim.physics.model_parts import ModelPart
from cluster_sim.physics.ramp import ALWAYS, larger_line, overlapped
from cluster_sim.physics.wafer_placement import Region, WaferPlan, regions_of

ACTIVATION_BYTES = 2.0
"""Of a value that goes from one layer to the next: 16 bit."""

Counts = Any  # int, float or an array of them


@dataclass(frozen=True, slots=True)
class Program:
    """What the program of a layer makes of the wafer."""

    core_s: float
    """Of a layer, distance and arithmetic left out."""
    collectives: float
    """Each crosses a region's width and height."""
    compute: float
    """Share of a core's dense peak."""


def part_s(
    part: ModelPart, region: Region, device: Device, program: Program, defective: float = 0.0
) -> float:
    """Seconds of one token in `part`, its keys left out: nothing in the embedding, a look-up; one
    collective in the head.

    The arithmetic of the part's weights spreads over the sound cores of its region, which compute
    and read their SRAM at once.
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
    """Seconds from one region to the next of the same wafer, a cycle a hop."""
    return before.distance(after) / wafer.clock_hz if before.wafer == after.wafer else 0.0


@dataclass(frozen=True, slots=True)
class TokenFlow:
    """How tokens of one kind pass the stations of a replica [s]; keys are those of one query."""

    latency_s: float
    """Of a token alone, through all of them."""
    station_s: float
    """Of the slowest one: the pace once all are busy."""
    key_s: float
    """More of the latency for each key in the layers that see the whole context."""
    window_key_s: float
    """The same for each key in a window."""
    station_key_s: float
    """More of the station for each key."""
    station_window_key_s: float


def flow_of(
    regions: Sequence[Region],
    device: Device,
    program: Program,
    defective: float,
    beside_s: float,
    copies: int = 1,
    prompts: bool = False,
) -> TokenFlow:
    """The flow of tokens through `regions`; `beside_s` is what a token takes between and outside of
    them.

    copies: wafers that each hold everything and share the tokens. The slowest station is taken to
    have the most keys too. Of a prompt only the last token goes on to the head, which therefore
    does not set its pace.
    """
    wafer = device.wafer
    assert wafer is not None
    rate = (
        program.compute
        * device.peak.bf16_flop_per_s
        * (1.0 - defective)
        / (wafer.columns * wafer.rows)
    )  # of a core

    def key_s(region: Region, window: bool) -> float:
        return sum(
            part.pair_flop if prompts else part.key_flop
            for part in region.parts
            if part.window == window
        ) / (rate * region.cores)

    passed = [
        sum(part_s(part, region, device, program, defective) for part in region.parts)
        for region in regions
    ]
    layers = [
        sum(
            part_s(part, region, device, program, defective)
            for part in region.parts
            if part.is_layer
        )
        for region in regions
    ]
    slowest_s = max(layers if prompts else passed)
    keys, window_keys = ([key_s(region, window) for region in regions] for window in (False, True))
    return TokenFlow(
        beside_s + sum(passed), slowest_s / copies, sum(keys), sum(window_keys), max(keys) / copies, max(window_keys) / copies,
    )  # fmt: skip


class WaferSteps:
    """Step times of one replica over wafers. In a step every sequence makes one token.

    Tokens follow each other through the regions, so a step takes a token's latency while the
    pipeline has places left; with more tokens than places the slowest station sets the pace.
    Prompts stream through the same stations, token by token, behind those that decode: where these
    leave bubbles, prompts fill them. Steps overlap: the last token of a prompt that was completed
    is on its way while the next tokens enter. Only where nothing else decodes does a step last
    until it has come out.

    Decoding may have better kernels than prompts (`decode_compute`), and a plan that lays each
    layer over all cores reads prompts as matrices (`prompt`). Where weights are streamed a step
    takes at least as long as all of them take to come.

    io_bytes_per_s: of the links of one wafer, over which tokens go to the next and streamed weights
    come.
    """

    def __init__(
        self,
        model: Model,
        device: Device,
        plan: WaferPlan,
        engine: str = "",
        io_bytes_per_s: float = inf,
    ) -> None:
        wafer = device.wafer
        assert wafer is not None
        regions = regions_of(model, device, plan)
        crossings = sum(before.wafer != after.wafer for before, after in pairwise(regions))
        hop_s = wafer.wafer_hop_s + ACTIVATION_BYTES * model.hidden / io_bytes_per_s
        beside_s = (
            wafer.token_s
            + crossings * hop_s
            + sum(between_s(before, after, wafer) for before, after in pairwise(regions))
        )
        copies = plan.wafers if plan.streamed else 1
        plain = Program(wafer.core_s, wafer.collectives, wafer.compute)
        decoding = Program(
            wafer.core_s, wafer.collectives, wafer.decode_compute.get(engine.lower(), wafer.compute)
        )
        as_matrix = wafer.prompt is not None and (plan.layout == "whole" or plan.streamed)
        prompts = (
            Program(wafer.prompt.core_s, wafer.prompt.collectives, wafer.prompt.compute)
            if as_matrix and wafer.prompt
            else plain
        )
        self.regions = regions
        self.decoding = flow_of(regions, device, decoding, plan.defective, beside_s, copies)
        self.prompts = flow_of(
            regions, device, prompts, plan.defective, beside_s, copies, prompts=True
        )
        self.load_s = model.weight_bytes(plan.weights) / io_bytes_per_s if plan.streamed else 0.0
        """For which a step waits for streamed weights, at least."""

    @property
    def latency_s(self) -> float:
        """Of a decoding token alone, its keys left out."""
        return self.decoding.latency_s

    @property
    def station_s(self) -> float:
        """Of the slowest station, for a decoding token without its keys."""
        return self.decoding.station_s

    @property
    def slots(self) -> float:
        """Places in the pipeline: sequences that decode at once before they slow each other down."""
        return self.decoding.latency_s / self.decoding.station_s

    def busy_s(
        self,
        tokens: Counts,
        context: Counts,
        windowed: Counts,
        prompt: Counts,
        pairs: Counts,
        windowed_pairs: Counts,
    ) -> Counts:
        """Seconds of a step in which the slowest station is at work; counts as of `mixed`, `tokens`
        those of decoding, or arrays of them.
        """
        one, many = self.decoding, self.prompts
        decoding_s = (
            one.station_s * tokens
            + one.station_key_s * context
            + one.station_window_key_s * windowed
        )
        return (
            decoding_s
            + many.station_s * prompt
            + many.station_key_s * pairs
            + many.station_window_key_s * windowed_pairs
        )

    def parts(
        self, batch: int, context: int, windowed: int, prompt: int, sampled: int, pairs: int
    ) -> dict[str, float]:
        """Share of a step's time by what it is spent on; counts as of `mixed`."""
        step_s = self.mixed(batch, context, windowed, 0, prompt, sampled, pairs, pairs, 0)[0]
        decode_s = self.decode(batch, context, windowed, 0)[0] if batch else self.latency_s
        if self.load_s >= step_s:
            return {"streamed weights": 1.0}
        full = self.busy_s(batch, context, windowed, 0, 0, 0) >= decode_s
        return {
            "slowest station" if full else "latency of the pipeline": decode_s / step_s,
            "prompts": 1.0 - decode_s / step_s,
        }

    def decode(
        self, batch: int, context: float, windowed: int, growing: int
    ) -> tuple[float, float, int]:
        """As GpuSteps.decode: (first_s, slope_s, steps for which that holds)."""
        return self._step(1, batch, context, windowed, batch, growing, 0.0, 0.0, drains=False)

    def mixed(
        self,
        batch: int,
        context: float,
        windowed: int,
        growing: int,
        prompt: int,
        sampled: int,
        pairs: int,
        windowed_pairs: int,
        pairs_growth: int,
    ) -> tuple[float, float, int]:
        """As GpuSteps.mixed."""
        stream_s, grows_s = (
            self.busy_s(0, 0, 0, prompt, pairs, windowed_pairs),
            self.prompts.station_key_s * pairs_growth,
        )
        return self._step(
            1,
            batch,
            context,
            windowed,
            batch,
            growing,
            stream_s,
            grows_s,
            drains=sampled > batch == 0,
        )

    def verify(
        self,
        each: int,
        batch: int,
        growth: float,
        context: float,
        prompt: int,
        sampled: int,
        pairs: int,
        pairs_growth: int,
    ) -> tuple[float, float, int]:
        """As GpuSteps.verify. The tokens of a sequence follow each other through the stations, as
        those of all sequences do.
        """
        stream_s, grows_s = (
            self.busy_s(0, 0, 0, prompt, pairs, 0),
            self.prompts.station_key_s * pairs_growth,
        )
        return self._step(
            each, batch, context, 0, growth, 0, stream_s, grows_s, drains=sampled > batch == 0
        )

    def _step(
        self,
        each: int,
        batch: int,
        context: float,
        windowed: int,
        growth: float,
        growing: int,
        stream_s: float,
        stream_slope_s: float,
        *,
        drains: bool,
    ) -> tuple[float, float, int]:
        """(first_s, slope_s, steps for which that holds) of `each` tokens of `batch` sequences and
        of prompts' stream.
        """
        flow = self.decoding
        busy_s = self.busy_s(each * batch, each * context, each * windowed, 0, 0, 0) + stream_s
        busy_slope_s = (
            each * (flow.station_key_s * growth + flow.station_window_key_s * growing)
            + stream_slope_s
        )
        way_s, way_slope_s = 0.0, 0.0
        if batch:  # the last token of a sequence enters behind the others of the same
            way_s = (
                flow.latency_s
                + (each - 1) * flow.station_s
                + (flow.key_s * context + flow.window_key_s * windowed) / batch
            )
            way_slope_s = (flow.key_s * growth + flow.window_key_s * growing) / batch
        if drains:
            first_s, slope_s, steps = busy_s + self.prompts.latency_s, busy_slope_s, ALWAYS
        else:
            first_s, slope_s, steps = overlapped((way_s, way_slope_s), (busy_s, busy_slope_s), 1.0)
        if self.load_s:
            first_s, slope_s, longer = larger_line(self.load_s, first_s, slope_s)
            steps = min(steps, longer)
        return first_s, slope_s, steps
