"""Constants of a device that serving runs determine, with their bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cluster_sim.calibration.serving_runs import ServingRow
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.precision import Precision
from cluster_sim.physics.step_graphs import piece_s_of, piecewise_layer_s

_POINT = re.compile(r"\.(?!\d)")
"""Dots between the parts of a name; those of a release are followed by a digit."""
_SHARE = (0.02, 1.0)
"""Bounds of shares of a peak."""
_RELATIVE, _ATTENTION, _COLLECTIVE, _EXPERTS = (0.5, 2.0), (0.95, 2.0), (0.5, 4.0), (0.2, 5.0)
"""Bounds of times of an engine's kernels relative to kernels measured alone."""
_OVERLAP = (0.05, 0.95)
"""Bounds of the share of launches that is hidden."""
_STEP_S, _SEQUENCE_S = (2e-5, 2e-3), (1e-8, 1e-5)
"""Bounds of the host time per step, and per sequence of a step [s]."""
_LAYER_S, _EXPERT_LAYER_S, _EAGER_LAYER_S = (2e-6, 6e-5), (1e-6, 6e-5), (5e-5, 1e-3)
"""Bounds of the launch times of a layer, of experts, and of a layer without CUDA graphs [s]."""
_PIECEWISE_LAYER_S, _PIECE_S = (1e-5, 5e-4), (1e-7, 5e-5)
"""Bounds of the times of a layer in piecewise CUDA graphs: its minimum, and what pieces add [s]."""
_REQUEST_S, _ACCEPT_S, _PROMPT_TOKEN_S = (1e-3, 1e-1), (1e-5, 2e-2), (1e-8, 2e-5)
"""Bounds of the times of a request before it is scheduled: latency, front end, each token [s]."""


class Constant(NamedTuple):
    """Constant of a fit."""

    name: str
    """Name, such as `kv_bandwidth`, `compute.fp8`, `vLLM 0.15.step_s`, `vLLM.gemm.fp8`. Engines are
    named as in the device's `overheads`."""
    value: float
    """Present value of the device."""
    bounds: tuple[float, float]


def parts_of(name: str) -> list[str]:
    """Return the parts of the name of a constant; the release of an engine is part of its name.

    >>> parts_of("vLLM 0.15.gemm.fp8"), parts_of("compute.fp8")
    (['vLLM 0.15', 'gemm', 'fp8'], ['compute', 'fp8'])
    """
    return _POINT.split(name)


def is_of_engine(name: str) -> bool:
    """Return whether a constant belongs to one engine, not to the device."""
    first, *rest = parts_of(name)
    return bool(rest) and first not in ("weight_bandwidth", "compute", "collectives")


def constants_of(device: Device, rows: Sequence[ServingRow]) -> list[Constant]:
    """Return the constants of a GPU that the rows determine."""
    engines = sorted({device.overhead_name(row.engine) for row in rows})
    return [
        *_shares(device, rows),
        *(constant for engine in engines for constant in _overheads(device, engine, rows)),
    ]


def _shares(device: Device, rows: Sequence[ServingRow]) -> Iterator[Constant]:
    """Yield the shares of the device's peaks."""
    efficiency = device.efficiency
    assert efficiency is not None
    if device.kernels is None:
        yield Constant("kv_bandwidth", efficiency.kv_bandwidth, _SHARE)
        for precision in _dense_precisions(rows):
            bandwidth = efficiency.weight_bandwidth.of(precision)
            yield Constant(f"weight_bandwidth.{precision}", bandwidth, _SHARE)
            yield Constant(f"compute.{precision}", efficiency.compute.of(precision), _SHARE)
    if _have_experts(rows):
        yield Constant("expert_bandwidth", efficiency.expert_bandwidth, _SHARE)
        yield Constant("expert_compute", efficiency.expert_compute, _SHARE)


def _overheads(device: Device, engine: str, rows: Sequence[ServingRow]) -> Iterator[Constant]:
    """Yield the overheads of one engine on the device."""
    overhead = device.overhead(engine)
    runs = [row for row in rows if device.overhead_name(row.engine) == engine]
    yield Constant(f"{engine}.step_s", overhead.step_s, _STEP_S)
    yield Constant(f"{engine}.sequence_s", overhead.sequence_s, _SEQUENCE_S)
    yield Constant(f"{engine}.layer_s", overhead.layer_s, _LAYER_S)
    yield Constant(f"{engine}.attention", overhead.attention, _ATTENTION)
    yield Constant(f"{engine}.collective", overhead.collective, _COLLECTIVE)
    if device.kernels is not None:
        yield Constant(f"{engine}.launch_overlap", overhead.launch_overlap, _OVERLAP)
        for precision in _dense_precisions(runs):
            yield Constant(f"{engine}.gemm.{precision}", overhead.gemm.of(precision), _RELATIVE)
    if _have_experts(runs):
        yield Constant(f"{engine}.expert_layer_s", overhead.expert_layer_s, _EXPERT_LAYER_S)
        yield Constant(f"{engine}.experts", overhead.experts, _EXPERTS)
    if any(row.ttft_s is not None for row in runs):
        yield Constant(f"{engine}.request_s", overhead.request_s, _REQUEST_S)
        yield Constant(f"{engine}.accept_s", overhead.accept_s, _ACCEPT_S)
        yield Constant(f"{engine}.prompt_token_s", overhead.prompt_token_s, _PROMPT_TOKEN_S)
    in_pieces = [row for row in runs if row.graphs is not None and row.graphs.piece_tokens]
    if any(row.ttft_s is not None and row not in in_pieces for row in runs):
        yield Constant(f"{engine}.eager_layer_s", overhead.eager_layer_s, _EAGER_LAYER_S)
    if in_pieces:
        split_s = overhead.eager_split_layer_s
        if split_s is None:
            split_s = overhead.eager_layer_s
        yield Constant(f"{engine}.eager_split_layer_s", split_s, _EAGER_LAYER_S)
        layer_s, piece_s = piecewise_layer_s(overhead), piece_s_of(device, in_pieces[0].layout)
        yield Constant(f"{engine}.piecewise_layer_s", layer_s, _PIECEWISE_LAYER_S)
        yield Constant(f"{engine}.piece_s", piece_s, _PIECE_S)


def _dense_precisions(rows: Sequence[ServingRow]) -> list[Precision]:
    return sorted({row.weights for row in rows if row.model.experts is None})


def _have_experts(rows: Sequence[ServingRow]) -> bool:
    return any(row.model.experts is not None for row in rows)


def with_constants(device: Device, constants: Mapping[str, float]) -> Device:
    """Return the device with some constants replaced, by the names of `Constant`.

    A name such as `collectives.all_reduce.start_s` is that of a field of a collective.
    """
    efficiency = device.efficiency
    assert efficiency is not None
    overheads, collectives = dict(device.overheads), device.collectives
    shares: dict[str, Any] = {}
    for name, value in constants.items():
        match parts_of(name):
            case [single]:
                shares[single] = value
            case ["weight_bandwidth" | "compute" as group, precision]:
                by_precision = shares.get(group, getattr(efficiency, group))
                shares[group] = by_precision.model_copy(update={precision: value})
            case ["collectives", kind, field]:
                fit = getattr(collectives, kind).model_copy(update={field: value})
                collectives = collectives.model_copy(update={kind: fit})
            case [engine, field]:
                overhead = overheads.get(engine, overheads["default"])
                overheads[engine] = overhead.model_copy(update={field: value})
            case [engine, "gemm", precision]:
                overhead = overheads.get(engine, overheads["default"])
                gemm = overhead.gemm.model_copy(update={precision: value})
                overheads[engine] = overhead.model_copy(update={"gemm": gemm})
    changed = {
        "efficiency": efficiency.model_copy(update=shares),
        "overheads": overheads,
        "collectives": collectives,
    }
    return device.model_copy(update=changed)
