"""Time of engine steps on wafers, where tokens of different requests form a pipeline."""

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
from cluster_sim.physics.wafer_placement import regions_of
from cluster_sim.physics.wafer_regions import WaferPlan
from cluster_sim.typing import Line, Number


class WaferSteps:
    """Step times of one replica on wafers. Every sequence generates one token per step.

    Tokens follow each other through the regions, the stages of a pipeline. A step takes the latency
    of a token while the pipeline has free slots. With more tokens than slots the slowest stage
    limits the rate. Prompts pass the same stages token by token, after the decoding tokens, and
    fill the bubbles that those leave. Steps overlap: while the last token of a completed prompt
    moves on, the next tokens enter. If nothing else decodes, a step lasts until that token has left
    the pipeline.

    Decode may have better kernels than prefill (`decode_compute`). A plan that puts each layer on
    all cores computes prompts as matrices (`prompt`). With streamed weights a step takes at least
    the time in which all weights arrive.

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
        Bandwidth of the links of one wafer [B/s]. They carry tokens to the next wafer, and streamed
        weights.
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
        """Minimum length of a step with streamed weights: the time in which they arrive [s]."""

    @property
    def latency_s(self) -> float:
        """Time of one decoding token alone, without its keys [s]."""
        return self.decoding.latency_s

    @property
    def station_s(self) -> float:
        """Time of the slowest pipeline stage per decoding token, without its keys [s]."""
        return self.decoding.station_s

    @property
    def slots(self) -> float:
        """Number of sequences that can decode simultaneously without slowing each other down."""
        return self.decoding.latency_s / self.decoding.station_s

    def busy_s(self, work: StepWork, tokens_per_sequence: int = 1) -> Number:
        """Return the time in which the slowest stage is busy during a step [s].

        The counts of `work` may be arrays.
        """
        prompts = self.prompts
        return (
            self._decoding_busy_s(work, tokens_per_sequence)
            + prompts.station_s * work.prompt_tokens
            + prompts.station_key_s * work.pairs
            + prompts.station_window_key_s * work.window_pairs
        )

    def mean_busy_s(self, work: StepWork, tokens_per_sequence: int = 1) -> Line:
        """Return the time in which a stage is busy during steps, averaged over the cores [s].

        It is a line over the steps. Over the length of the step, it is the share of the stages that
        hold work. The counts of `work` may be arrays.
        """
        flow, prompts, each = self.decoding, self.prompts, tokens_per_sequence
        first_s = (
            flow.mean_s * (each * work.batch)
            + flow.mean_key_s * (each * work.context)
            + flow.mean_window_key_s * (each * work.windowed)
            + prompts.mean_s * work.prompt_tokens
            + prompts.mean_key_s * work.pairs
            + prompts.mean_window_key_s * work.window_pairs
        )
        slope_s = each * (flow.mean_key_s * work.growth + flow.mean_window_key_s * work.growing)
        return first_s, slope_s + prompts.mean_key_s * work.pairs_growth

    def parts(self, work: StepWork) -> dict[str, float]:
        """Return the shares of a step's time per activity."""
        step_s = self._steps(work, 1, self._stream(work)).first_s
        if self.load_s >= step_s:
            return {"streamed weights": 1.0}
        is_full = False
        if work.batch:
            beside_s = self._decode(work).first_s
            is_full = self._decoding_busy_s(work, 1) >= beside_s
        else:  # the last token of a prompt passes the pipeline alone, other chunks do not wait
            beside_s = self.prompts.latency_s if work.sampled else 0.0
        return {
            "slowest pipeline stage" if is_full else "latency of the pipeline": beside_s / step_s,
            "prompts": 1.0 - beside_s / step_s,
        }

    def ramp(self, work: StepWork) -> Ramp:
        """Return the lengths of steps that begin with `work`, see `GpuSteps.ramp` [s]."""
        if work.prompt_tokens:
            return self._steps(work, 1, self._stream(work))
        return self._decode(work)

    def verify(self, work: StepWork, tokens_per_sequence: int) -> Ramp:
        """Return the lengths of steps that verify `tokens_per_sequence` tokens per sequence [s].

        The tokens of one sequence follow each other through the stages, as tokens of all sequences
        do.
        """
        return self._steps(work, tokens_per_sequence, self._stream(work))

    def draft(self, work: StepWork, tokens_per_sequence: int) -> Ramp:
        """Return the lengths of passes that draft one token per sequence [s].

        The stages generate a token as those of any other model.
        """
        return self.verify(work, tokens_per_sequence)

    def _decode(self, work: StepWork) -> Ramp:
        """Return the lengths of steps that only decode, without the prompts of `work` [s]."""
        return self._steps(work, 1, None)

    def _stream(self, work: StepWork) -> Ramp:
        """Return the times in which prompts keep the slowest stage busy [s]."""
        prompts = self.prompts
        return Ramp(
            prompts.station_s * work.prompt_tokens
            + prompts.station_key_s * work.pairs
            + prompts.station_window_key_s * work.window_pairs,
            prompts.station_key_s * work.pairs_growth,
        )

    def _decoding_busy_s(self, work: StepWork, tokens_per_sequence: int) -> Number:
        """Return the time in which decode keeps the slowest stage busy [s]."""
        flow, each = self.decoding, tokens_per_sequence
        return (
            flow.station_s * (each * work.batch)
            + flow.station_key_s * (each * work.context)
            + flow.station_window_key_s * (each * work.windowed)
        )

    def _steps(self, work: StepWork, tokens_per_sequence: int, stream: Ramp | None) -> Ramp:
        """Return the lengths of steps with decoding sequences and a stream of prompts [s]."""
        flow, each, batch = self.decoding, tokens_per_sequence, work.batch
        busy = Ramp(
            self._decoding_busy_s(work, each),
            each * (flow.station_key_s * work.growth + flow.station_window_key_s * work.growing),
        )
        if stream is not None:
            busy = busy.plus(stream)
        if stream is not None and work.sampled > batch == 0:
            ramp = busy.delayed(self.prompts.latency_s)
        elif batch:  # the last token of a sequence enters after its other tokens
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
    """Return the program of decode, for which an engine may have better kernels."""
    compute = wafer.decode_compute.get(engine.lower(), wafer.compute)
    return Program(wafer.core_s, wafer.collectives, compute)


def _prompt_program(wafer: Wafer, plan: WaferPlan) -> Program:
    """Return the program of prefill, which uses matrices if each layer lies on all cores."""
    if wafer.prompt is not None and (plan.layout == "whole" or plan.streamed):
        return Program(wafer.prompt.core_s, wafer.prompt.collectives, wafer.prompt.compute)
    return Program(wafer.core_s, wafer.collectives, wafer.compute)
