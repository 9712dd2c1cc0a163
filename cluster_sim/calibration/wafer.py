"""The fitted constants of wafers: which public rows count, the fits, and how far they carry to
models that they have not seen.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from statistics import median
from typing import Any

from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model
from cluster_sim.physics.model_parts import parts_of
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.transformer import causal_pairs, window_pairs
from cluster_sim.physics.wafer import ACTIVATION_BYTES, WaferSteps, between_s
from cluster_sim.physics.wafer_placement import WaferPlan, cuts, regions_of, wafers_needed
from cluster_sim.schema import catalog_entry

LATER_COMPUTE = 1.0
"""Share of the dense peak that decoding is taken to reach in releases after the launch: its limit.
Their speeds ask for more, as they would where drafts are checked, of which their rows say nothing;
their prompts are no faster than at the launch."""
TOLERANCE = 0.05
"""Relative error at which a row begins to count linearly, no longer by its square."""
LAUNCH = "2024-08"
"""Date of the first release, whose speeds are labelled as without speculation."""

_START = (5.0, 6.0, 2.0, 100.0)  # us, collectives, FLOP a cycle and core, us
_CONTEXT = 500  # tokens in the cache, where a row does not say
_IO_BYTES_PER_S = 150e9

# The models of WaferLLM, and those that only measurements have, in keys of `Model`. Sources:
# config.json on Hugging Face.
QWEN3_32B: dict[str, Any] = {
    "name": "Qwen3 32B", "layers": 64, "hidden": 5120, "heads": 64, "kv_heads": 8, "head_dim": 128, "ffn": 25600, "vocabulary": 151936, "max_context": 40960,
}  # fmt: skip
"""A measured model that the catalog does not have, in keys of `Model`. Source: config.json of
Qwen/Qwen3-32B on Hugging Face."""
_SHAPES: dict[str, dict[str, Any]] = {
    "qwen3-32b": QWEN3_32B,
    "llama-2-13b": {"name": "Llama 2 13B", "layers": 40, "hidden": 5120, "heads": 40, "kv_heads": 40, "head_dim": 128, "ffn": 13824, "vocabulary": 32000, "max_context": 4096},
    "codellama-34b": {"name": "CodeLlama 34B", "layers": 48, "hidden": 8192, "heads": 64, "kv_heads": 8, "head_dim": 128, "ffn": 22016, "vocabulary": 32000, "max_context": 16384},
    "qwen2-72b": {"name": "Qwen2 72B", "layers": 80, "hidden": 8192, "heads": 64, "kv_heads": 8, "head_dim": 128, "ffn": 29568, "vocabulary": 152064, "max_context": 131072},
}  # fmt: skip
_NAMES = {
    "LLaMA3-8B": "llama-3.1-8b",
    "LLaMA2-13B": "llama-2-13b",
    "CodeLlama-34B": "codellama-34b",
    "Qwen2-72B": "qwen2-72b",
    "Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "Llama-3.1-70B-Instruct": "llama-3.3-70b",
    "Llama-3.3-70B-Instruct": "llama-3.3-70b",
    "gpt-oss-120b": "gpt-oss-120b",
    "Qwen3-32B": "qwen3-32b",
}


@dataclass(frozen=True, slots=True)
class Speed:
    """A measured speed of one sequence alone on wafers, and what a token passes on its way."""

    model: str
    layers: int
    ways: float
    """Widths and heights of all layers' regions together [hops]."""
    core_flop: float
    """Of one token, summed over the layers and the head, each by the cores that share it."""
    core_peak: float
    """FLOP a cycle of a core at its dense peak."""
    beside_s: float
    """Between regions and wafers."""
    clock_hz: float
    tokens_per_s: float
    served: bool
    """Whether a host loop was in it: an API as against a program on the wafer."""
    later: bool = False
    """Whether a release after the launch served it."""
    weight: float = 1.0
    """0 for rows that are predicted and never fitted."""


@dataclass(frozen=True, slots=True)
class WaferFit:
    """The constants of `hardware.Wafer`, and how far predictions with them are off."""

    core_s: float
    collectives: float
    flop_a_cycle: float
    """Of a core, on both generations of wafers: its share of the peak is `compute`."""
    token_s: float
    errors: tuple[float, ...] = ()
    """Predicted over measured speed, less one, of each row as it came."""
    left_out: tuple[tuple[str, float], ...] = ()
    """By model: the median size of its rows' errors when the constants are fitted to all other
    models."""

    @property
    def left_out_error(self) -> float:
        """The median of `left_out` over the models."""
        return median(error for _, error in self.left_out)


def model_named(name: str) -> Model:
    """The model of a measured row, by the name in the table. Raises ValueError where its shape is
    not known here.
    """
    if name not in _NAMES:
        raise ValueError(f"no shape known of model '{name}'")
    return Model.model_validate(_SHAPES.get(_NAMES[name]) or catalog_entry("models", _NAMES[name]))


def seconds_a_token(
    row: Speed, core_s: float, collectives: float, flop_a_cycle: float, token_s: float
) -> float:
    """Seconds of one token on the row's wafers [s]: as `physics.wafer`, the host's loop only where
    the row was served.
    """
    reached = LATER_COMPUTE * row.core_peak if row.later else flop_a_cycle
    return (
        row.served * token_s
        + row.layers * core_s
        + (collectives * row.ways + row.core_flop / reached) / row.clock_hz
        + row.beside_s
    )


def fit(rows: Sequence[Speed]) -> WaferFit:
    """The constants that fit `rows`, their errors, and the errors of every model when it is left
    out.

    Least squares of the logarithm of speed with non-negative constants; errors beyond `TOLERANCE`
    count linearly, so that a row which contradicts all others pulls with a bounded force.
    WaferLLM's programs and the service at its launch share all constants, those of later releases
    all but the arithmetic: see `LATER_COMPUTE`.

    Raises ValueError for fewer than four rows with a weight.
    """
    if sum(row.weight > 0.0 for row in rows) < len(_START):
        raise ValueError(f"wanted at least {len(_START)} rows to fit as many constants")
    constants = _constants(rows)
    models = dict.fromkeys(row.model for row in rows)
    return WaferFit(
        *constants,
        errors=tuple(_error(row, constants) for row in rows),
        left_out=tuple((model, _left_out(model, rows)) for model in models)
        if len(models) > 1
        else (),
    )


def _left_out(model: str, rows: Sequence[Speed]) -> float:
    constants = _constants([row for row in rows if row.model != model])
    return median(abs(_error(row, constants)) for row in rows if row.model == model)


def _error(row: Speed, constants: Sequence[float]) -> float:
    return 1.0 / seconds_a_token(row, *constants) / row.tokens_per_s - 1.0


def _constants(rows: Sequence[Speed]) -> tuple[float, float, float, float]:
    from scipy.optimize import least_squares  # slow to import, and wanted here only

    def si(found: Sequence[float]) -> tuple[float, float, float, float]:
        return found[0] * 1e-6, found[1], found[2], found[3] * 1e-6

    def residuals(found: Sequence[float]) -> list[float]:
        constants = si(found)
        return [
            row.weight * log(seconds_a_token(row, *constants) * row.tokens_per_s)
            for row in rows
            if row.weight
        ]

    bounds = ((0.0, 0.0, 1e-6, 0.0), float("inf"))
    solved = least_squares(
        residuals,
        _START,
        bounds=bounds,
        loss="soft_l1",
        f_scale=TOLERANCE,
        x_scale=_START,
        xtol=1e-10,
        ftol=1e-10,
    )
    return si([float(value) for value in solved.x])


def rows_of(measurements: Path, older: Device, device: Device) -> list[Speed]:
    """The rows to fit, from the public table `measurements` (csv.gz); of the wafers of a CS-2
    (`older`) and a CS-3.

    WaferLLM on the WSE-2 (decode, batch 1, a program without a host loop; one layer spreads over
    the cores given): weight 1, and 1/2 where some of the layers were run for all.

    CS-3, output speed of one user: rows labelled as speculative are out. So are claims of the
    vendor that say nothing of speculation, since they exceed what the same API reports of itself by
    up to 2 (Qwen3-32B 2,600 against 1,301 tok/s, gpt-oss-120b 3,000 against 1,285 to 1,991). Times
    that the API reports of a request weigh 1, half of that where the answer was too short for a
    rate; what others measured, and claims that exclude speculation, 1/2 at medium confidence, 1/4
    at low. How many wafers serve a model is public for 8B and 70B only: as many as its weights
    need, at the precision they came in.

    Raises OSError where the file cannot be read, ValueError where a row's model is not known here.
    """
    rows = []
    for row in _read(measurements):
        if row["framework"] == "WaferLLM" and row["metric"] == "decode_throughput_per_request":
            rows.append(_on_wse2(row, older))
        elif (
            row["dataset"] == "cerebras_cs3"
            and row["metric"] == "per_user_output_speed"
            and (weight := _weight(row))
        ):
            rows.append(_on_cs3(row, device, weight))
    return rows


def _read(measurements: Path) -> Iterator[dict[str, str]]:
    with gzip.open(measurements, mode="rt", newline="", encoding="utf-8") as file:
        yield from (
            row for row in csv.DictReader(file) if row["dataset"] in ("waferllm", "cerebras_cs3")
        )


def _weight(row: dict[str, str]) -> float:
    label = row["spec_decoding"]
    if label.startswith("yes") or (label == "unknown" and row["kind"].startswith("vendor claim")):
        return 0.0
    if "completion_time" in row["kind"]:
        return 0.5 if "too short" in row["notes"] else 1.0
    return 0.25 if row["confidence"] == "low" else 0.5


def _core_peak(device: Device) -> float:
    assert device.wafer is not None
    return (
        device.peak.bf16_flop_per_s
        / (device.wafer.columns * device.wafer.rows)
        / device.wafer.clock_hz
    )


def _on_wse2(row: dict[str, str], device: Device) -> Speed:
    assert device.wafer is not None
    model, side = model_named(row["model"]), _side(row)
    flop = sum(
        part.flop + float(row["isl"]) * part.key_flop
        for part in parts_of(model, "bf16", "bf16")
        if part.is_layer
    )
    weight = 0.5 if "subset of layers" in row["notes"] else 1.0
    ways = model.layers * 2.0 * side
    return Speed(
        _NAMES[row["model"]],
        model.layers,
        ways,
        flop / side**2,
        _core_peak(device),
        0.0,
        device.wafer.clock_hz,
        float(row["value"]),
        False,
        weight=weight,
    )


def _side(row: dict[str, str]) -> int:
    return int(row["parallelism"].partition("x")[0])  # "420x420 cores"


def _on_cs3(row: dict[str, str], device: Device, weight: float) -> Speed:
    wafer, model = device.wafer, model_named(row["model"])
    assert wafer is not None
    regions = regions_of(
        model, device, WaferPlan(wafers_needed(model, device, model.native), model.native)
    )
    context = float(row["isl"]) + float(row["osl"]) / 2 if row["isl"] else _CONTEXT
    ways = work = beside_s = 0.0
    for region, after in zip(regions, [*regions[1:], None], strict=True):
        (part,) = region.parts
        work += (part.flop + (0.0 if part.window else context * part.key_flop)) / region.cores
        if part.is_layer:
            ways += region.width + region.height
        elif part.flop:
            beside_s += (region.width + region.height) / wafer.clock_hz
        beside_s += between_s(region, after, wafer) if after else 0.0
    beside_s += len(cuts(regions)) * (
        wafer.wafer_hop_s + ACTIVATION_BYTES * model.hidden / _IO_BYTES_PER_S
    )
    later = not row["date"].startswith(LAUNCH)
    return Speed(
        _NAMES[row["model"]],
        model.layers,
        ways,
        work,
        _core_peak(device),
        beside_s,
        wafer.clock_hz,
        float(row["value"]),
        True,
        later=later,
        weight=weight,
    )


def prompt_times_of(measurements: Path, device: Device) -> list[tuple[str, float, float]]:
    """(model, measured, predicted without a host) seconds of the prompts whose times the CS-3's API
    reports of itself. Raises as `rows_of`.
    """
    times = []
    for row in _read(measurements):
        if row["dataset"] == "cerebras_cs3" and row["metric"] == "prefill_time":
            model, prompt = model_named(row["model"]), round(float(row["isl"]))
            plan = WaferPlan(wafers_needed(model, device, model.native), model.native)
            steps = WaferSteps(model, device, plan, "cerebras", _IO_BYTES_PER_S)
            window = model.window.tokens if model.window else 0
            work = StepWork(
                prompt_tokens=prompt,
                sampled=1,
                pairs=causal_pairs(prompt, 0),
                window_pairs=window_pairs(prompt, 0, window),
            )
            alone_s = steps.ramp(work).first_s
            times.append((_NAMES[row["model"]], float(row["value"]) / 1e3, alone_s))
    return times


def fit_request(times: Sequence[tuple[str, float, float]]) -> float:
    """Seconds that a prompt takes beside the pipeline: least squares of the logarithm over
    `prompt_times_of`.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda request_s: sum(
            log((alone_s + request_s) / measured_s) ** 2 for _, measured_s, alone_s in times
        ),
        bounds=(0.0, 0.01),
    )
    return float(found.x)


@dataclass(frozen=True, slots=True)
class PromptSpeed:
    """Measured prompt tokens a second of a program that reads prompts as matrices, each layer on
    all cores.
    """

    model: str
    layers: int
    side: int
    core_flop: float
    """Of one token, by the cores."""
    clock_hz: float
    tokens_per_s: float
    fitted: bool = True
    """Whether the whole model was run, not some of its layers."""

    def predicted(self, collectives: float, flop_a_cycle: float) -> float:
        """Tokens a second with these constants: collectives that are not hidden, and FLOP of a
        core.
        """
        return self.clock_hz / (
            self.layers * collectives * 2.0 * self.side + self.core_flop / flop_a_cycle
        )


def prompt_rows_of(measurements: Path, device: Device) -> list[PromptSpeed]:
    """WaferLLM's prompts of 4,096 tokens on the WSE-2, `device`. Raises as `rows_of`."""
    assert device.wafer is not None
    rows = []
    for row in _read(measurements):
        if row["framework"] == "WaferLLM" and row["metric"] == "prefill_throughput_per_request":
            model, side, tokens = model_named(row["model"]), _side(row), float(row["isl"])
            flop = sum(
                part.flop + (tokens + 1) / 2 * part.pair_flop
                for part in parts_of(model, "bf16", "bf16")
                if part.is_layer
            )
            whole = "subset of layers" not in row["notes"]
            rows.append(
                PromptSpeed(
                    _NAMES[row["model"]],
                    model.layers,
                    side,
                    flop / side**2,
                    device.wafer.clock_hz,
                    float(row["value"]),
                    whole,
                )
            )
    return rows


def fit_prompts(rows: Sequence[PromptSpeed]) -> tuple[float, float]:
    """(collectives, FLOP a cycle and core) of `PromptSpeed.predicted`, by least squares of the
    logarithm over the rows that are fitted.
    """
    from scipy.optimize import least_squares

    fitted = [row for row in rows if row.fitted]
    solved = least_squares(
        lambda found: [log(row.predicted(*found) / row.tokens_per_s) for row in fitted],
        (1.0, 2.0),
        bounds=((0.0, 1e-6), float("inf")),
    )
    return float(solved.x[0]), float(solved.x[1])
