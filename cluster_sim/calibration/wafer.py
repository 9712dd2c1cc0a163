"""The four fitted constants of a wafer: which public rows count, the fit, and how far it carries to models it has not seen."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from statistics import median
from typing import Any

from cluster_sim.hardware import Device
from cluster_sim.model import Model
from cluster_sim.physics.placement import wafers_needed
from cluster_sim.physics.wafer import region_side
from cluster_sim.reading import catalog_entry

HOP_ESTIMATE_S = 5.1e-6
"""From wafer to wafer by arithmetic: 5 us for a network of the SwarmX kind, and 16 kB of activations at 150 GB/s."""
HOP_WEIGHT = 0.02
"""How much the estimate is trusted: a hop six times as long counts like a row of weight 1 that is off by 10 %."""
TOLERANCE = 0.05
"""Relative error at which a row begins to count linearly, no longer by its square."""

_START = (8.0, 5.0, 100.0, 5.0)  # us, collectives, us, us

# The models of the rows of WaferLLM that ran whole or were scaled up from some of their layers: name here, layers.
_ON_WSE2 = {"LLaMA3-8B": ("llama-3.1-8b", 32), "LLaMA2-13B": ("llama-2-13b", 40), "CodeLlama-34B": ("codellama-34b", 48), "Qwen2-72B": ("qwen2-72b", 80)}
# WaferLLM runs its WSE-3 programs at this clock; no clock of the WSE-2 is published beside the rows.
_WSE2_CLOCK_HZ = 1.1e9
_ON_CS3 = {
    "Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "Llama-3.1-70B-Instruct": "llama-3.3-70b",
    "Llama-3.3-70B-Instruct": "llama-3.3-70b",
    "gpt-oss-120b": "gpt-oss-120b",
    "Qwen3-32B": "qwen3-32b",
}
QWEN3_32B: dict[str, Any] = {
    "name": "Qwen3 32B",
    "layers": 64,
    "hidden": 5120,
    "heads": 64,
    "kv_heads": 8,
    "head_dim": 128,
    "ffn": 25600,
    "vocabulary": 151936,
    "max_context": 40960,
}
"""A measured model that the catalog does not have, in keys of `Model`. Source: config.json of Qwen/Qwen3-32B on Hugging Face."""


@dataclass(frozen=True, slots=True)
class Speed:
    """A measured speed of one sequence alone on wafers."""

    model: str
    layers: int
    side: float
    """Of one layer's region [cores]."""
    wafers: int
    clock_hz: float
    tokens_per_s: float
    served: bool
    """Whether a host loop was in it: an API as against a program on the wafer."""
    weight: float = 1.0
    """0 for rows that are predicted and never fitted."""


@dataclass(frozen=True, slots=True)
class WaferFit:
    """The constants of `hardware.Wafer`, and how far predictions with them are off."""

    core_s: float
    collectives: float
    token_s: float
    wafer_hop_s: float
    errors: tuple[float, ...] = ()
    """Predicted over measured speed, less one, of each row as it came."""
    left_out: tuple[tuple[str, float], ...] = ()
    """By model: the median size of its rows' errors when the constants are fitted to all other models."""

    @property
    def left_out_error(self) -> float:
        """The median of `left_out` over the models."""
        return median(error for _, error in self.left_out)


def seconds_a_token(row: Speed, core_s: float, collectives: float, token_s: float, wafer_hop_s: float) -> float:
    """Seconds of one token on the row's wafers [s]: `physics.wafer.token_s`, the host's loop only where the row was served."""
    layer_s = core_s + collectives * 2.0 * row.side / row.clock_hz
    return row.served * token_s + row.layers * layer_s + (row.wafers - 1) * wafer_hop_s


def fit(rows: Sequence[Speed]) -> WaferFit:
    """The constants that fit `rows`, their errors, and the errors of every model when it is left out.

    Least squares of the logarithm of speed with non-negative constants; errors beyond `TOLERANCE` count linearly, so that a
    row which contradicts all others pulls with a bounded force. Few models cross wafers, so the rows hardly tell the hop from
    the host's loop: a weak residual draws it to `HOP_ESTIMATE_S`. Without that, the one model on four wafers, whose plain
    speeds date from the launch, sets it to about 80 us, and a model of one wafer that is left out is missed by a factor of two.

    A layer's time in the cores is the same for every model here, which flatters wide layers: see `left_out`.

    Raises ValueError for fewer than four rows with a weight.
    """
    if sum(row.weight > 0.0 for row in rows) < len(_START):
        raise ValueError(f"wanted at least {len(_START)} rows to fit as many constants")
    constants = _constants(rows)
    models = dict.fromkeys(row.model for row in rows)
    return WaferFit(
        *constants,
        errors=tuple(_error(row, constants) for row in rows),
        left_out=tuple((model, _left_out(model, rows)) for model in models) if len(models) > 1 else (),
    )


def _left_out(model: str, rows: Sequence[Speed]) -> float:
    constants = _constants([row for row in rows if row.model != model])
    return median(abs(_error(row, constants)) for row in rows if row.model == model)


def _error(row: Speed, constants: Sequence[float]) -> float:
    return 1.0 / seconds_a_token(row, *constants) / row.tokens_per_s - 1.0


def _constants(rows: Sequence[Speed]) -> tuple[float, float, float, float]:
    from scipy.optimize import least_squares  # slow to import, and wanted here only

    def si(found: Sequence[float]) -> tuple[float, float, float, float]:
        return found[0] * 1e-6, found[1], found[2] * 1e-6, found[3] * 1e-6

    def residuals(found: Sequence[float]) -> list[float]:
        constants = si(found)
        of_rows = [row.weight * log(seconds_a_token(row, *constants) * row.tokens_per_s) for row in rows if row.weight]
        return [*of_rows, HOP_WEIGHT * (constants[3] / HOP_ESTIMATE_S - 1.0)]

    solved = least_squares(residuals, _START, bounds=(0.0, float("inf")), loss="soft_l1", f_scale=TOLERANCE, x_scale=_START, xtol=1e-10, ftol=1e-10)
    return si([float(value) for value in solved.x])


def rows_of(measurements: Path, device: Device) -> list[Speed]:
    """The rows to fit, from the public table `measurements` (csv.gz); `device` gives the grid, clock and fill of a CS-3's wafer.

    WaferLLM on the WSE-2 (decode, batch 1, a program without a host loop; one layer spreads over the cores given): weight 1.
    Models that were scaled up from some of their layers were never run: weight 0, predicted only.

    CS-3, output speed of one user: rows labelled as speculative are out. So are claims of the vendor that say nothing of
    speculation, since they exceed what the same API reports of itself by up to 2 (Qwen3-32B 2,600 against 1,301 tok/s,
    gpt-oss-120b 3,000 against 1,285 to 1,991). Times that the API reports of a request weigh 1, half of that where the answer was
    too short for a rate; what others measured, and claims that exclude speculation, 1/2 at medium confidence, 1/4 at low.
    How many wafers serve a model is public for 8B and 70B only: as many as its weights need, at the precision they came in.

    Raises OSError where the file cannot be read, ValueError where a row's model is not known here.
    """
    assert device.wafer is not None
    rows = []
    with gzip.open(measurements, mode="rt", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            on_wafer = row["dataset"] == "waferllm" and row["framework"] == "WaferLLM"
            if on_wafer and row["metric"] == "decode_throughput_per_request":
                rows.append(_on_wse2(row))
            elif row["dataset"] == "cerebras_cs3" and row["metric"] == "per_user_output_speed" and (weight := _weight(row)):
                rows.append(_on_cs3(row, device, weight))
    return rows


def _weight(row: dict[str, str]) -> float:
    label = row["spec_decoding"]
    if label.startswith("yes") or (label == "unknown" and row["kind"].startswith("vendor claim")):
        return 0.0
    if "completion_time" in row["kind"]:
        return 0.5 if "too short" in row["notes"] else 1.0
    return 0.25 if row["confidence"] == "low" else 0.5


def _on_wse2(row: dict[str, str]) -> Speed:
    if row["model"] not in _ON_WSE2:
        raise ValueError(f"no layers known of model '{row['model']}'")
    model, layers = _ON_WSE2[row["model"]]
    side = int(row["parallelism"].partition("x")[0])  # "420x420 cores"
    weight = 0.0 if "subset of layers" in row["notes"] else 1.0
    return Speed(model, layers, side, 1, _WSE2_CLOCK_HZ, float(row["value"]), served=False, weight=weight)


def _on_cs3(row: dict[str, str], device: Device, weight: float) -> Speed:
    assert device.wafer is not None
    if row["model"] not in _ON_CS3:
        raise ValueError(f"no shape known of model '{row['model']}'")
    name = _ON_CS3[row["model"]]
    model = Model.model_validate(QWEN3_32B if name == "qwen3-32b" else catalog_entry("models", name))
    wafers = wafers_needed(model, device, model.native)
    side = region_side(device.wafer, wafers, model.layers)
    return Speed(name, model.layers, side, wafers, device.wafer.clock_hz, float(row["value"]), served=True, weight=weight)
