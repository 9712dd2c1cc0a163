"""Measured speeds of single sequences on wafers, and the regions that their tokens pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster_sim.calibration.wafer_models import (
    IO_BYTES_PER_S,
    LAUNCH,
    catalog_name,
    is_whole,
    measured_rows,
    model_named,
    side,
)
from cluster_sim.hardware.device import Device
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.physics.model_parts import parts_of
from cluster_sim.physics.wafer_flow import between_s
from cluster_sim.physics.wafer_placement import cuts, regions_of, wafers_needed
from cluster_sim.physics.wafer_regions import WaferPlan

_CONTEXT = 500
"""Number of cached tokens, if a row does not give it."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured speed of a single sequence on wafers, and the regions that its tokens pass."""

    model: str
    layers: int
    span: float
    """Sum of the widths and heights of the regions of all layers [hops]."""
    core_flop: float
    """Arithmetic per token and core, over the layers and the head [FLOP]."""
    core_peak: float
    """Dense peak per core [FLOP per cycle]."""
    beside_s: float
    """Time between regions and wafers [s]."""
    clock_hz: float
    tokens_per_s: float
    served: bool
    """Whether the row includes a host loop: a measurement of an API instead of a program on the
    wafer."""
    later: bool = False
    """Whether a release after the launch served the row."""
    weight: float = 1.0
    """Weight in a fit; 0 for rows that are only predicted."""


def rows_of(measurements: Path, older: Device, device: Device) -> list[Speed]:
    """Return the rows to fit from the public table of measurements.

    WaferLLM on the WSE-2 (decode, batch 1, a program without a host loop, one layer on all given
    cores): the weight is 1, or 1/2 if only some of the layers ran.

    CS-3, output speed of one user:

    * Rows that are labelled as speculative are omitted. Claims of the vendor that do not mention
      speculation are omitted too, because they exceed what the same API reports by a factor of up
      to 2 (Qwen3-32B 2,600 against 1,301 tokens/s, gpt-oss-120b 3,000 against 1,285 to 1,991).
    * Times that the API reports per request have weight 1, or 1/2 if the answer was too short for a
      rate. Measurements by others, and claims that exclude speculation, have weight 1/2 at medium
      confidence and 1/4 at low confidence.
    * The number of wafers per model is public only for 8B and 70B: as many as the weights need, at
      their published precision.

    Parameters
    ----------
    measurements
        Path of the table (csv.gz).
    older
        Wafer of a CS-2.
    device
        Wafer of a CS-3.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The model of a row is unknown.
    """
    rows = []
    for row in measured_rows(measurements):
        if row["framework"] == "WaferLLM" and row["metric"] == "decode_throughput_per_request":
            rows.append(_on_wse2(row, older))
        elif (
            row["dataset"] == "cerebras_cs3"
            and row["metric"] == "per_user_output_speed"
            and (weight := _weight(row))
        ):
            rows.append(_on_cs3(row, device, weight))
    return rows


def _weight(row: Mapping[str, str]) -> float:
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


def _on_wse2(row: Mapping[str, str], device: Device) -> Speed:
    assert device.wafer is not None
    model, cores = model_named(row["model"]), side(row)
    flop = sum(
        part.flop + float(row["isl"]) * sum(part.key_flop)
        for part in parts_of(model, "bf16", "bf16")
        if part.is_layer
    )
    return Speed(
        model=catalog_name(row["model"]),
        layers=model.layers,
        span=model.layers * 2.0 * cores,
        core_flop=flop / cores**2,
        core_peak=_core_peak(device),
        beside_s=0.0,
        clock_hz=device.wafer.clock_hz,
        tokens_per_s=float(row["value"]),
        served=False,
        weight=1.0 if is_whole(row) else 0.5,
    )


def _on_cs3(row: Mapping[str, str], device: Device, weight: float) -> Speed:
    wafer, model = device.wafer, model_named(row["model"])
    assert wafer is not None
    regions = regions_of(
        model, device, WaferPlan(wafers_needed(model, device, model.native), model.native)
    )
    context = float(row["isl"]) + float(row["osl"]) / 2 if row["isl"] else _CONTEXT
    span = work = beside_s = 0.0
    for region, after in zip(regions, [*regions[1:], None], strict=True):
        (part,) = region.parts
        work += (part.flop + context * part.key_flop.context) / region.cores
        if part.is_layer:
            span += region.width + region.height
        elif part.flop:
            beside_s += (region.width + region.height) / wafer.clock_hz
        beside_s += between_s(region, after, wafer) if after else 0.0
    beside_s += len(cuts(regions)) * (
        wafer.wafer_hop_s + ACTIVATION_BYTES * model.hidden / IO_BYTES_PER_S
    )
    return Speed(
        model=catalog_name(row["model"]),
        layers=model.layers,
        span=span,
        core_flop=work,
        core_peak=_core_peak(device),
        beside_s=beside_s,
        clock_hz=wafer.clock_hz,
        tokens_per_s=float(row["value"]),
        served=True,
        later=not row["date"].startswith(LAUNCH),
        weight=weight,
    )
