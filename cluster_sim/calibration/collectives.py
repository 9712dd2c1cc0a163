"""Constants of collectives, fitted to measured ones and tested on sizes outside of the fit."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration import operators
from cluster_sim.calibration.columns import numbers
from cluster_sim.calibration.constants import Bounds
from cluster_sim.hardware.collective_fits import CollectiveFit, CollectiveKind, OneShotFit
from cluster_sim.hardware.device import Device
from cluster_sim.physics.collectives import collectives_s, moved_bytes
from cluster_sim.typing import Array

KINDS: tuple[CollectiveKind, ...] = get_args(CollectiveKind)
COLUMNS = ("op", "ranks", "size_bytes", "latency_ms")
"""Columns of a table of collectives."""
MEASURED_COLUMNS = ("dataset", "model", "hardware", "framework", "n_devices", "value", "notes")
"""Columns of a table of measurements."""
CUSTOM_COLUMNS = ("kernel_source", "num_gpus", "message_size", "latency", "engine", "version")
"""Columns of aiconfigurator's tables of custom all-reduces."""
FEWEST = 24
"""Minimum number of collectives of one kind for a fit of about a dozen constants."""
TOLERANCE = 0.03
"""Relative error above which a collective counts linearly instead of by its square; single runs
deviate by ten times as much."""

_STARTS, _STARTS_HELD = 10, 6
"""Number of starts per fit, and per fit in cross-validation."""
_ROUGH_STEPS, _GO_ON, _STEPS = 20, 2, 100
"""Number of steps from each start, number of starts that continue, and number of their steps."""
_SPREAD = 0.7
"""Standard deviation of the starts, in the logarithm of each constant."""
_OPERATORS: dict[tuple[str, str], CollectiveKind] = {
    ("custom_allreduce", "trtllm"): "all_reduce",
    ("custom_allreduce", "vllm"): "all_reduce_vllm",
    ("nccl_all_reduce", "nccl"): "nccl_all_reduce",
    ("nccl_all_gather", "nccl"): "all_gather",
    ("nccl_reduce_scatter", "nccl"): "reduce_scatter",
    ("nccl_alltoall", "nccl"): "all_to_all",
}
"""Kinds by the names of NVIDIA's collectors. Each engine has its own all-reduce kernel. Their times
differ by half, so a common fit would be wrong for both."""


_CUSTOM: dict[str, CollectiveKind] = {
    "trtllm": "all_reduce",
    "vllm": "all_reduce_vllm",
    "sglang": "all_reduce_sglang",
}
"""Kinds of custom all-reduces by engine."""


class MeasuredCollectives(NamedTuple):
    """Measured collectives of one kind, one per row."""

    ranks: Array
    """Numbers of ranks that took part."""
    size_bytes: Array
    """Sizes of the whole tensor [B]."""
    seconds: Array
    """Times [s]."""

    def where(self, mask: Array) -> MeasuredCollectives:
        """Return the rows where the mask is true."""
        return MeasuredCollectives(*(values[mask] for values in self))


_RING = {
    "start_s": Bounds(5e-6, 1e-7, 1e-3),
    "rank_s": Bounds(1e-6, 1e-10, 1e-4),
    "link_bandwidth_bytes_per_s": Bounds(4e11, 1e9, 2e12),
    "copy_bandwidth_bytes_per_s": Bounds(2e13, 1e11, 1e15),
    "climb_s": Bounds(1e-5, 1e-8, 1e-4),
    "climb_exponent": Bounds(0.5, 0.05, 0.9),
}
_NO_COPY = 1e14
"""Copy bandwidth above which the fit omits the copy [B/s]."""
_SWITCHED = {"in_switch": Bounds(1.2, 1.0, 2.0)}
_ONE_SHOT = {
    "start_s": Bounds(5e-6, 1e-7, 1e-3),
    "rank_s": Bounds(1e-7, 1e-10, 1e-4),
    "bandwidth_bytes_per_s": Bounds(3e11, 1e9, 1e13),
    "overlap": Bounds(1.5, 1.0, 8.0),
}


def collectives_table(measurements: pa.Table) -> pa.Table:
    """Return the collectives in a table of operators measured by NVIDIA's collectors.

    The result has the columns COLUMNS, `system` and `version`.
    """
    is_collective = pc.match_substring_regex(
        measurements["model"], "^operator:(custom_allreduce|nccl_)"
    )
    rows = measurements.filter(
        pc.and_(pc.equal(measurements["dataset"], "aic_operators"), is_collective)
    )
    names = [str(model).removeprefix("operator:").split()[0] for model in rows["model"].to_pylist()]
    frameworks = [str(framework).split()[0] for framework in rows["framework"].to_pylist()]
    return pa.table(
        {
            "op": [_OPERATORS.get(both) for both in zip(names, frameworks, strict=True)],
            "ranks": rows["n_devices"],
            "size_bytes": [int(str(note).split(" bytes")[0]) for note in rows["notes"].to_pylist()],
            "latency_ms": rows["value"],
            "system": [operators.system(hardware) for hardware in rows["hardware"].to_pylist()],
            "version": rows["framework"],
        }
    )


def in_own_form(table: pa.Table) -> pa.Table:
    """Return a table of aiconfigurator's custom all-reduces with the columns COLUMNS.

    Kernels outside of CUDA graphs are omitted if there are others, as engines capture decode steps.
    Elements have 2 B. Other tables are returned as they are.
    """
    if not set(CUSTOM_COLUMNS) <= set(table.column_names):
        return table
    rows = table.filter(pc.invert(pc.match_substring(table["kernel_source"], "_eager")))
    return pa.table(
        {
            "op": [_CUSTOM.get(str(engine)) for engine in rows["engine"].to_pylist()],
            "ranks": rows["num_gpus"],
            "size_bytes": pc.multiply(rows["message_size"], 2),
            "latency_ms": rows["latency"],
            "system": rows["system"],
            "version": pc.binary_join_element_wise(
                rows["engine"].cast(pa.string()), rows["version"].cast(pa.string()), " "
            ),
        }
    )


def measured(table: pa.Table, kind: CollectiveKind) -> MeasuredCollectives:
    """Return the collectives of `kind` in a table with the columns COLUMNS.

    Groups of one device and empty tensors are omitted.
    """
    real = pc.and_(pc.greater_equal(table["ranks"], 2), pc.greater(table["size_bytes"], 0))
    rows = table.filter(pc.and_(pc.equal(table["op"], kind), real))
    ranks, size_bytes, latency_ms = (numbers(rows, name) for name in COLUMNS[1:])
    return MeasuredCollectives(ranks, size_bytes, latency_ms * 1e-3)


def fit_collective(
    kind: CollectiveKind, rows: MeasuredCollectives, seed: int = 0, starts: int = _STARTS
) -> CollectiveFit:
    """Return the constants that fit collectives of one kind, rounded to four digits.

    The method is robust least squares of the logarithm of time, from several starts. It takes about
    0.3 s on one core.

    Parameters
    ----------
    kind
        Kind of the collectives.
    rows
        Measured collectives.
    seed
        Seed of the starts; the same seed gives the same constants.
    starts
        Number of starts.

    Raises
    ------
    ValueError
        There are fewer collectives than constants, or times that are not positive.
    """
    from scipy.optimize import least_squares  # slow to import, and needed here only

    bounds = _bounds(kind)
    if len(rows.seconds) < len(bounds):
        raise ValueError(f"expected at least {len(bounds)} collectives to fit as many constants")
    if not (np.isfinite(rows.seconds) & (rows.seconds > 0.0)).all():
        raise ValueError("expected times above 0 s")
    rng, largest, log_s = np.random.default_rng(seed), int(rows.ranks.max()), np.log(rows.seconds)
    start, low, high = (
        np.log([getattr(bound, end) for bound in bounds]) for end in ("start", "low", "high")
    )

    def residuals(logs: Array) -> Array:
        fit = _made(kind, np.exp(logs).tolist(), largest)
        return np.log(collectives_s(fit, kind, rows.ranks, rows.size_bytes)) - log_s

    def solved(start: Array, steps: int) -> tuple[float, Array]:
        inside = np.clip(start, low + 1e-9, high - 1e-9)
        result = least_squares(
            residuals, inside, bounds=(low, high), loss="soft_l1", f_scale=TOLERANCE, max_nfev=steps
        )
        return float(result.cost), result.x

    tried = [start, *(start + rng.normal(0.0, _SPREAD, len(start)) for _ in range(starts - 1))]
    rough = sorted((solved(logs, _ROUGH_STEPS) for logs in tried), key=lambda end: end[0])
    _, best = min((solved(logs, _STEPS) for _, logs in rough[:_GO_ON]), key=lambda end: end[0])
    fit = _made(kind, [float(f"{value:.4g}") for value in np.exp(best)], largest)
    vanishes = (fit.copy_bandwidth_bytes_per_s or np.inf) > _NO_COPY
    return fit.model_copy(update={"copy_bandwidth_bytes_per_s": None}) if vanishes else fit


def cross_validate(
    kind: CollectiveKind, rows: MeasuredCollectives, folds: int = 8, seed: int = 0
) -> Array:
    """Return the time of each collective, predicted from a fit to other sizes [s].

    The sizes are assigned to `folds` parts in turn, so that neighbouring sizes are in different
    parts. A size is excluded for all numbers of ranks.
    """
    _, size = np.unique(rows.size_bytes, return_inverse=True)
    predicted_s = np.empty_like(rows.seconds)
    for fold in range(folds):
        held = size.reshape(-1) % folds == fold
        if held.any():
            fit = fit_collective(kind, rows.where(~held), seed, _STARTS_HELD)
            predicted_s[held] = collectives_s(fit, kind, rows.ranks[held], rows.size_bytes[held])
    return predicted_s


def naive_s(device: Device, kind: CollectiveKind, rows: MeasuredCollectives) -> Array:
    """Return the time of each collective according to the data sheet [s].

    It is the latency of a transfer inside the node, plus the bytes over the links at their
    bandwidth.
    """
    bandwidth = device.peer_bandwidth_bytes_per_s or np.inf
    return device.peer_latency_s + moved_bytes(kind, rows.ranks, rows.size_bytes) / bandwidth


def _bounds(kind: CollectiveKind) -> list[Bounds]:
    """Return the range of each constant of `kind`.

    Reduction in switches only affects all-reduces, and NCCL has no one-shot algorithm.
    """
    switched = _SWITCHED if "all_reduce" in kind else {}
    one_shot = _ONE_SHOT if kind.startswith("all_reduce") else {}
    return [*_RING.values(), *switched.values(), *one_shot.values()]


def _made(kind: CollectiveKind, values: list[float], largest: int) -> CollectiveFit:
    names = [*_RING, *_SWITCHED] if "all_reduce" in kind else [*_RING]
    own: dict[str, Any] = dict(zip(names, values, strict=False))
    extra: dict[str, Any] = dict(zip(_ONE_SHOT, values[len(names) :], strict=False))
    one_shot = OneShotFit.model_construct(**extra) if extra else None
    return CollectiveFit.model_construct(**own, largest=largest, one_shot=one_shot)
