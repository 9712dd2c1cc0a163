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

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.wafer import Wafer
from cluster_sim.llm.model import Model
from cluster_sim.physics.model_parts import ModelPart
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.wafer_placement import Region, WaferPlan, regions_of
from cluster_sim.typing import Number

ACTIVATION_BYTES = 2.0
"""Of a value that goes from one layer to the next: 16 bit."""


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

    def busy_s(self, work: StepWork, tokens_per_sequence: int = 1) -> Number:
        """Return the seconds of a step in which the slowest station is at work.

        The counts of `work` may be arrays.
        """
        prompts = self.prompts
        return (
            self._decoding_busy_s(work, tokens_per_sequence)
            + prompts.station_s * work.prompt_tokens
            + prompts.station_key_s * work.pairs
            + prompts.station_window_key_s * work.window_pairs
        )

    def parts(self, work: StepWork) -> dict[str, float]:
        """Return the share of a step's time by what it is spent on."""
        step_s = self._steps(work, 1, self._stream(work)).first_s
        if self.load_s >= step_s:
            return {"streamed weights": 1.0}
        decode_s = self._decode(work).first_s if work.batch else self.latency_s
        is_full = self._decoding_busy_s(work, 1) >= decode_s
        return {
            "slowest station" if is_full else "latency of the pipeline": decode_s / step_s,
            "prompts": 1.0 - decode_s / step_s,
        }

    def ramp(self, work: StepWork) -> Ramp:
        """Return the lengths of steps that begin with `work`, see GpuSteps.ramp."""
        if work.prompt_tokens:
            return self._steps(work, 1, self._stream(work))
        return self._decode(work)

    def verify(self, work: StepWork, tokens_per_sequence: int) -> Ramp:
        """Return the lengths of steps that check `tokens_per_sequence` tokens of every sequence.

        The tokens of a sequence follow each other through the stations, as those of all sequences
        do.
        """
        return self._steps(work, tokens_per_sequence, self._stream(work))

    def _decode(self, work: StepWork) -> Ramp:
        """Return the lengths of steps that only decode, whatever prompts `work` holds."""
        return self._steps(work, 1, None)

    def _stream(self, work: StepWork) -> Ramp:
        """Return for how long prompts keep the slowest station at work."""
        prompts = self.prompts
        return Ramp(
            prompts.station_s * work.prompt_tokens
            + prompts.station_key_s * work.pairs
            + prompts.station_window_key_s * work.window_pairs,
            prompts.station_key_s * work.pairs_growth,
        )

    def _decoding_busy_s(self, work: StepWork, tokens_per_sequence: int) -> Number:
        """Return for how long decoding keeps the slowest station at work [s]."""
        flow, each = self.decoding, tokens_per_sequence
        return (
            flow.station_s * (each * work.batch)
            + flow.station_key_s * (each * work.context)
            + flow.station_window_key_s * (each * work.windowed)
        )

    def _steps(self, work: StepWork, tokens_per_sequence: int, stream: Ramp | None) -> Ramp:
        """Return the lengths of steps of decoding sequences and of the prompts' stream."""
        flow, each, batch = self.decoding, tokens_per_sequence, work.batch
        busy = Ramp(
            self._decoding_busy_s(work, each),
            each * (flow.station_key_s * work.growth + flow.station_window_key_s * work.growing),
        )
        if stream is not None:
            busy = busy.plus(stream)
        if stream is not None and work.sampled > batch == 0:
            ramp = busy.delayed(self.prompts.latency_s)
        elif batch:  # the last token of a sequence enters behind the others of the same
            passing = Ramp(
                flow.latency_s
                + (each - 1) * flow.station_s
                + (flow.key_s * work.context + flow.window_key_s * work.windowed) / batch,
                (flow.key_s * work.growth + flow.window_key_s * work.growing) / batch,
            )
            ramp = passing.overlapped(busy, 1.0)
        else:
            ramp = busy
        return ramp.at_least(self.load_s) if self.load_s else ramp
