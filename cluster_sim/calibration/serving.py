"""Serving runs -> what an engine makes of a device's kernels in whole steps: overlap of launches,
relative times, host overheads.

Fitted on closed-loop runs, for which closed formulas do without simulating. Time per output token:
with C clients the batch is C, and while a request decodes its O tokens each of the others is
prefilled once. Time to first token: the server's overhead, the rest of the step under way, the step
that reads the prompt, and waiting for other prompts; a tenth of the requests, the first of each
client, come all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork


@dataclass(frozen=True)
class ServingRow:
    """One measured closed-loop run."""

    configuration: str
    """Runs of one configuration, at several concurrencies and releases, are left out together in
    cross-validation."""
    model: Model
    tensor_parallel: int
    weights: Precision
    kv_cache: Precision
    engine: str
    """As the engine profile is called."""
    concurrency: int
    prompt_tokens: float
    """Mean."""
    output_tokens: float
    """Mean."""
    max_batched_tokens: int
    tpot_s: float
    """Measured time per output token."""
    ttft_s: float | None = None
    """Measured time to first token, where the engine does not hold requests back."""


@dataclass(frozen=True)
class ServingFit:
    """A device with fitted constants, and how well they fit."""

    device: Device
    tpot_errors: np.ndarray
    """Signed relative error of each row, in the order given."""
    ttft_errors: np.ndarray
    """The same; NaN where it was not measured."""


def times_s(steps: GpuSteps, row: ServingRow, request_s: float) -> tuple[float, float]:
    """(time per output token, time to first token) in a closed loop with a full batch [s], see the
    top of this file.
    """
    clients, prompt, output = row.concurrency, row.prompt_tokens, row.output_tokens
    mean_context = prompt + output / 2
    window = row.model.window.tokens if row.model.window else 0
    context, windowed = round(clients * mean_context), round(clients * min(mean_context, window))
    decoding = StepWork(batch=clients, growth=clients, context=context, windowed=windowed)
    decode_s = steps.ramp(decoding).first_s
    pairs = round(prompt * prompt / 2)
    window_pairs = round(prompt * min(prompt / 2, window))
    mixed = replace(
        decoding,
        prompt_tokens=round(prompt),
        sampled=clients + 1,
        pairs=pairs,
        window_pairs=window_pairs,
    )
    mixed_s = steps.ramp(mixed).first_s
    token_s = decode_s + (clients - 1) / output * (mixed_s - decode_s)
    # One after the other: prompts arrive as answers end, and a queue of deterministic service forms
    # before the engine.
    busy = min(clients / (output * token_s) * mixed_s, 0.9)
    alone_s = decode_s / 2 + mixed_s + busy / (2 * (1 - busy)) * mixed_s
    # All at once: as many prompts a step as its budget holds; the mean request waits for half of
    # them.
    at_once = max(min(row.max_batched_tokens / prompt, clients), 1e-9)
    full = StepWork(
        prompt_tokens=round(at_once * prompt),
        sampled=max(round(at_once), 1),
        pairs=round(at_once * pairs),
        window_pairs=round(at_once * window_pairs),
    )
    together_s = (clients / at_once + 1) / 2 * steps.ramp(full).first_s
    return token_s, request_s + 0.9 * alone_s + 0.1 * together_s


def fit_serving(device: Device, rows: Sequence[ServingRow]) -> ServingFit:
    """The device with the efficiencies and overheads that its runs say, starting from those it has.

    Robust least squares on the logarithm of time (soft l1, scale 4 %), every constant within its
    bounds and drawn weakly, by one per cent a factor of e, to where it started, so that what the
    rows do not tell stays. Deterministic. Raises ValueError for a wafer or without rows.
    """
    from scipy.optimize import least_squares

    if device.efficiency is None or not rows:
        raise ValueError("wanted a GPU and at least one run")
    names, start, low, high = _constants(device, rows)

    def residuals(logs: np.ndarray) -> np.ndarray:
        changed = _with(device, dict(zip(names, np.exp(logs).tolist(), strict=True)))
        tpot, ttft = _log_errors(changed, rows)
        return np.concatenate([tpot, _TTFT_WEIGHT * ttft[~np.isnan(ttft)], 0.01 * (logs - start)])

    fitted = least_squares(
        residuals, start, bounds=(low, high), loss="soft_l1", f_scale=0.04, diff_step=1e-3
    )
    changed = _with(device, dict(zip(names, np.exp(fitted.x).tolist(), strict=True)))
    return ServingFit(changed, *map(np.expm1, _log_errors(changed, rows)))


def leave_one_configuration_out(
    device: Device, rows: Sequence[ServingRow]
) -> tuple[np.ndarray, np.ndarray]:
    """Signed relative errors of each row, TPOT and TTFT, predicted by a fit to the rows of all
    other configurations.
    """
    errors = np.empty((2, len(rows)))
    begin = fit_serving(
        device, rows
    ).device  # only where to start from: each fit moves on from there
    for configuration in sorted({row.configuration for row in rows}):
        held = np.array([row.configuration == configuration for row in rows])
        rest = [row for row in rows if row.configuration != configuration]
        fitted = fit_serving(begin, rest).device if rest else device
        errors[:, held] = np.expm1(
            _log_errors(fitted, [row for row in rows if row.configuration == configuration])
        )
    return errors[0], errors[1]


def errors_of(device: Device, rows: Sequence[ServingRow]) -> tuple[np.ndarray, np.ndarray]:
    """Signed relative errors of each row as the device stands, TPOT and TTFT."""
    tpot, ttft = _log_errors(device, rows)
    return np.expm1(tpot), np.expm1(ttft)


def _log_errors(device: Device, rows: Sequence[ServingRow]) -> tuple[np.ndarray, np.ndarray]:
    steps: dict[tuple[str, int, str, str, str], GpuSteps] = {}
    tpot, ttft = [], []
    for row in rows:
        key = (row.model.name, row.tensor_parallel, row.weights, row.kv_cache, row.engine)
        if key not in steps:
            layout = ReplicaLayout(
                tensor_parallel=row.tensor_parallel,
                weights=row.weights,
                kv_cache=row.kv_cache,
                engine=row.engine,
            )
            steps[key] = GpuSteps(row.model, device, layout)
        token_s, first_s = times_s(steps[key], row, device.overhead(row.engine).request_s)
        tpot.append(log(token_s / row.tpot_s))
        ttft.append(log(first_s / row.ttft_s) if row.ttft_s is not None else float("nan"))
    return np.array(tpot), np.array(ttft)


_TTFT_WEIGHT = 0.4  # measured again, TTFT varies more than twice as much as TPOT

# Bounds of the constants by their kind. Shares of a peak; times of an engine's kernels relative to
# those measured alone;
# host times of a step, of a sequence in it, of a layer launched kernel by kernel, of a request
# before it is scheduled.
_SHARE, _RELATIVE, _ATTENTION, _COLLECTIVE, _OVERLAP = (
    (0.02, 1.0),
    (0.5, 2.0),
    (0.95, 2.0),
    (0.5, 4.0),
    (0.05, 0.95),
)
_STEP_S, _SEQUENCE_S, _LAYER_S, _EXPERT_LAYER_S = (
    (2e-5, 2e-3),
    (1e-8, 1e-5),
    (2e-6, 6e-5),
    (1e-6, 6e-5),
)
_EAGER_LAYER_S, _REQUEST_S = (5e-5, 1e-3), (1e-3, 1e-1)


def _constants(
    device: Device, rows: Sequence[ServingRow]
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Names of the constants that the rows can tell, and the logarithms of where they start and of
    their bounds.
    """
    eta = device.efficiency
    assert eta is not None
    wanted: list[tuple[str, float, tuple[float, float]]] = []
    if device.kernels is None:
        wanted.append(("kv_bandwidth", eta.kv_bandwidth, _SHARE))
        for precision in sorted({row.weights for row in rows if row.model.experts is None}):
            wanted.append(
                (f"weight_bandwidth.{precision}", eta.weight_bandwidth.of(precision), _SHARE)
            )
            wanted.append((f"compute.{precision}", eta.compute.of(precision), _SHARE))
    experts = any(row.model.experts is not None for row in rows)
    if experts:
        wanted += [
            ("expert_bandwidth", eta.expert_bandwidth, _SHARE),
            ("expert_compute", eta.expert_compute, _SHARE),
        ]
    for engine in sorted({row.engine for row in rows}):
        overhead, runs = device.overhead(engine), [row for row in rows if row.engine == engine]
        wanted += [
            (f"{engine}.step_s", overhead.step_s, _STEP_S),
            (f"{engine}.sequence_s", overhead.sequence_s, _SEQUENCE_S),
            (f"{engine}.layer_s", overhead.layer_s, _LAYER_S),
            (f"{engine}.attention", overhead.attention, _ATTENTION),
            (f"{engine}.collective", overhead.collective, _COLLECTIVE),
        ]
        if device.kernels is not None:
            wanted.append((f"{engine}.launch_overlap", overhead.launch_overlap, _OVERLAP))
            for precision in sorted({row.weights for row in runs if row.model.experts is None}):
                wanted.append(
                    (f"{engine}.gemm.{precision}", overhead.gemm.of(precision), _RELATIVE)
                )
        if any(row.model.experts is not None for row in runs):
            wanted.append((f"{engine}.expert_layer_s", overhead.expert_layer_s, _EXPERT_LAYER_S))
            wanted.append((f"{engine}.experts", overhead.experts, (0.2, 5.0)))
        if any(row.ttft_s is not None for row in runs):
            wanted.append((f"{engine}.request_s", overhead.request_s, _REQUEST_S))
            wanted.append((f"{engine}.eager_layer_s", overhead.eager_layer_s, _EAGER_LAYER_S))
    names, values, bounds = zip(*wanted, strict=True)
    low, high = np.log(np.array(bounds)).T
    start = np.clip(np.log(np.maximum(values, 1e-12)), low + 1e-6, high - 1e-6)
    return list(names), start, low, high


def _with(device: Device, constants: dict[str, float]) -> Device:
    """The device with some of its constants replaced."""
    eta = device.efficiency
    assert eta is not None
    overheads = dict(device.overheads)
    changes: dict[str, Any] = {}
    for name, value in constants.items():
        match name.split("."):
            case [single]:
                changes[single] = value
            case ["weight_bandwidth" | "compute" as group, precision]:
                changes[group] = changes.get(group, getattr(eta, group)).model_copy(
                    update={precision: value}
                )
            case [engine, *rest]:
                overhead = overheads.get(engine, overheads["default"])
                changed = {
                    rest[0]: value
                    if len(rest) == 1
                    else overhead.gemm.model_copy(update={rest[1]: value})
                }
                overheads[engine] = overhead.model_copy(update=changed)
    return device.model_copy(
        update={"efficiency": eta.model_copy(update=changes), "overheads": overheads}
    )
