"""Constants of prefill on wafers, fitted to measured times and speeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import NamedTuple

from cluster_sim.calibration.wafer_models import (
    IO_BYTES_PER_S,
    catalog_name,
    is_whole,
    measured_rows,
    model_named,
    side,
)
from cluster_sim.hardware.device import Device
from cluster_sim.physics.limited_view import LimitedView, causal_pairs
from cluster_sim.physics.model_parts import parts_of
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_placement import wafers_needed
from cluster_sim.physics.wafer_regions import WaferPlan


class PromptTime(NamedTuple):
    """Time of one prompt that the API of a CS-3 reports."""

    model: str
    measured_s: float
    alone_s: float
    """Predicted time of the pipeline without a host [s]."""


def prompt_times_of(measurements: Path, device: Device) -> list[PromptTime]:
    """Return the prompts with times that the API of a CS-3 reports.

    Parameters
    ----------
    measurements
        Path of the table (csv.gz).
    device
        Wafer of a CS-3.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The model of a row is unknown.
    """
    times = []
    for row in measured_rows(measurements):
        if row["dataset"] == "cerebras_cs3" and row["metric"] == "prefill_time":
            model, prompt = model_named(row["model"]), round(float(row["isl"]))
            plan = WaferPlan(wafers_needed(model, device, model.native), model.native)
            steps = WaferSteps(model, device, plan, "cerebras", IO_BYTES_PER_S)
            work = StepWork(
                prompt_tokens=prompt,
                sampled=1,
                pairs=causal_pairs(prompt, 0),
                window_pairs=LimitedView.of(model).pairs(prompt, 0),
            )
            alone_s = steps.ramp(work).first_s
            measured_s = float(row["value"]) / 1e3
            times.append(PromptTime(catalog_name(row["model"]), measured_s, alone_s))
    return times


def fit_request(times: Sequence[PromptTime]) -> float:
    """Return the time of a prompt outside of the pipeline [s].

    The method is least squares of the logarithm of time.
    """
    from scipy.optimize import minimize_scalar

    solved = minimize_scalar(
        lambda request_s: sum(
            log((time.alone_s + request_s) / time.measured_s) ** 2 for time in times
        ),
        bounds=(0.0, 0.01),
    )
    return float(solved.x)


@dataclass(frozen=True, slots=True)
class PromptSpeed:
    """Measured speed of a program that computes prompts as matrices, each layer on all cores."""

    model: str
    layers: int
    side: int
    """Side of the square of cores."""
    core_flop: float
    """Arithmetic per token and core [FLOP]."""
    clock_hz: float
    tokens_per_s: float
    """Prompt tokens per second [tokens/s]."""
    fitted: bool = True
    """Whether the whole model was measured instead of some of its layers."""

    def predicted(self, collectives: float, flop_per_cycle: float) -> float:
        """Return the prompt tokens per second with these constants [tokens/s].

        Parameters
        ----------
        collectives
            Number of collectives per layer that are not overlapped.
        flop_per_cycle
            Compute rate per core [FLOP per cycle].
        """
        return self.clock_hz / (
            self.layers * collectives * 2.0 * self.side + self.core_flop / flop_per_cycle
        )


def prompt_rows_of(measurements: Path, device: Device) -> list[PromptSpeed]:
    """Return the measured speeds of WaferLLM with prompts of 4,096 tokens on the WSE-2.

    Parameters
    ----------
    measurements
        Path of the table (csv.gz).
    device
        Wafer of a CS-2.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The model of a row is unknown.
    """
    assert device.wafer is not None
    rows = []
    for row in measured_rows(measurements):
        if row["framework"] == "WaferLLM" and row["metric"] == "prefill_throughput_per_request":
            model, cores, tokens = model_named(row["model"]), side(row), float(row["isl"])
            flop = sum(
                part.flop + (tokens + 1) / 2 * sum(part.pair_flop)
                for part in parts_of(model, "bf16", "bf16")
                if part.is_layer
            )
            rows.append(
                PromptSpeed(
                    model=catalog_name(row["model"]),
                    layers=model.layers,
                    side=cores,
                    core_flop=flop / cores**2,
                    clock_hz=device.wafer.clock_hz,
                    tokens_per_s=float(row["value"]),
                    fitted=is_whole(row),
                )
            )
    return rows


def fit_prompts(rows: Sequence[PromptSpeed]) -> tuple[float, float]:
    """Return the collectives per layer and the FLOP per cycle and core that fit prompts.

    They are the arguments of `PromptSpeed.predicted`. The method is least squares of the logarithm
    over the rows that count for the fit.
    """
    from scipy.optimize import least_squares

    fitted = [row for row in rows if row.fitted]
    solved = least_squares(
        lambda values: [log(row.predicted(*values) / row.tokens_per_s) for row in fitted],
        (1.0, 2.0),
        bounds=((0.0, 1e-6), float("inf")),
    )
    return float(solved.x[0]), float(solved.x[1])
