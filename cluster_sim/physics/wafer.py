"""Time of engine steps on wafers, through which tokens of different requests flow as a pipeline."""

from __future__ import annotations

from itertools import pairwise
from math import inf

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.wafer import Wafer
from cluster_sim.llm.model import Model
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.wafer_flow import Pipeline, Program, between_s
from cluster_sim.physics.wafer_placement import WaferPlan, regions_of
from cluster_sim.typing import Number


class WaferSteps:
    """Step times of one replica on wafers. In a step every sequence makes one token.

    Tokens follow each other through the regions, so a step takes a token's latency while the
    pipeline has free slots; with more tokens than slots the slowest station limits the rate.
    Prompts stream through the same stations, token by token, behind those that decode: where these
    leave bubbles, prompts fill them. Steps overlap: the last token of a prompt that was completed
    moves on while the next tokens enter. Only where nothing else decodes does a step last until it
    has left the pipeline.

    Decoding may have better kernels than prompts (`decode_compute`), and a plan that lays each
    layer over all cores prefills prompts as matrices (`prompt`). Where weights are streamed a step
    takes at least as long as all of them take to arrive.

    Parameters
    ----------
    model
        Shape of the model.
    device
        Wafer that the replica runs on.
    plan
        Placement on wafers.
    engine
        Name of the engine, for its kernels in decoding.
    io_bytes_per_s
        Bandwidth of the links of one wafer, over which tokens go to the next and streamed weights
        arrive [B/s].
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
        pipeline = Pipeline(regions, device, plan.defective, beside_s, copies)
        self.regions = regions
        self.decoding = pipeline.flow(_decode_program(wafer, engine))
        self.prompts = pipeline.flow(_prompt_program(wafer, plan), prompts=True)
        self.load_s = model.weight_bytes(plan.weights) / io_bytes_per_s if plan.streamed else 0.0
        """Time for which a step waits for streamed weights, at least [s]."""

    @property
    def latency_s(self) -> float:
        """Time of a decoding token alone, its keys left out [s]."""
        return self.decoding.latency_s

    @property
    def station_s(self) -> float:
        """Time of the slowest station for a decoding token without its keys [s]."""
        return self.decoding.station_s

    @property
    def slots(self) -> float:
        """Number of sequences that decode at once before they slow each other down."""
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


def _decode_program(wafer: Wafer, engine: str) -> Program:
    """Return the program of decoding, for which an engine may have better kernels."""
    compute = wafer.decode_compute.get(engine.lower(), wafer.compute)
    return Program(wafer.core_s, wafer.collectives, compute)


def _prompt_program(wafer: Wafer, plan: WaferPlan) -> Program:
    """Return the program of prompts, which are matrices where each layer lies on all cores."""
    if wafer.prompt is not None and (plan.layout == "whole" or plan.streamed):
        return Program(wafer.prompt.core_s, wafer.prompt.collectives, wafer.prompt.compute)
    return Program(wafer.core_s, wafer.collectives, wafer.compute)
