"""A table of measured kernels -> a device's kernel constants, and how well they predict kernels they were not fitted to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration import attention, collectives, gemm
from cluster_sim.calibration.errors import Errors
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware import Collectives, Device, Precision
from cluster_sim.hardware import Kernels as KernelFits

_GEMM_COLUMNS = ("gemm_dtype", "m", "n", "k", "latency_ms")
_ATTENTION_COLUMNS = (
    "op", "batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim", "window_size", "kv_cache_dtype", "latency_ms",
)  # fmt: skip
# What the tables call a precision, as we do, and the bytes of one weight.
_DTYPES: dict[str, tuple[Precision, float]] = {
    "bfloat16": ("bf16", 2.0),
    "bf16": ("bf16", 2.0),
    "fp8": ("fp8", 1.0),
    "nvfp4": ("fp4", 0.5625),
    "fp4": ("fp4", 0.5625),
}
_FEWEST = 100  # kernels of one kind, for five folds of a dozen constants


@dataclass(frozen=True)
class Calibrated:
    """One kind of kernel: what it was fitted on, and errors by cross-validation over shapes beside the naive roofline's."""

    kind: str
    rows: int
    errors: Errors
    naive: Errors
    """Of peak bandwidth and peak FLOP/s, whichever is slower; of a collective, latency and bandwidth of the links."""


def read_kernels(path: Path, system: str | None = None, collector: str = "") -> pa.Table:
    """The kernels in a Parquet or CSV file with the columns of aiconfigurator's tables: of `system`, where the file has several, and
    of the collector whose `version` begins so. Of a table of measurements with a `dataset` column, the collectives.

    Raises ScenarioError for a file that cannot be read, lacks columns, or holds no such rows.
    """
    import pyarrow.csv
    import pyarrow.parquet

    if not path.is_file():
        raise ScenarioError.at(str(path), "no such file")
    try:
        table = pyarrow.csv.read_csv(path) if path.suffix in (".csv", ".gz") else pyarrow.parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as fault:
        raise ScenarioError.at(str(path), f"is no table of kernels: {str(fault).splitlines()[0]}") from fault
    if {"dataset", "model", "framework", "notes"} <= set(table.column_names):
        table = collectives.collectives_table(table)
    wanted = collectives.COLUMNS if "size_bytes" in table.column_names else _GEMM_COLUMNS if "gemm_dtype" in table.column_names else _ATTENTION_COLUMNS
    if missing := [name for name in wanted if name not in table.column_names]:
        raise ScenarioError.at(str(path), f"has no column {', '.join(missing)}; wanted {_one_of()}")
    for name in ("latency_ms", "ranks", "size_bytes"):
        if name in table.column_names and not (pa.types.is_integer(kind := table.schema.field(name).type) or pa.types.is_floating(kind)):
            raise ScenarioError.at(str(path), f"column {name}: came {kind}; wanted numbers")
    if "system" in table.column_names:
        systems = sorted(str(name) for name in pc.unique(table["system"]).to_pylist())
        if system not in systems and len(systems) > 1:
            raise ScenarioError.at(str(path), f"holds kernels of {', '.join(systems)}; name one with --system")
        if system in systems:
            table = table.filter(pc.equal(table["system"], system))
    if collector and "version" in table.column_names:
        table = table.filter(pc.starts_with(table["version"], pattern=collector))
    table = table.filter(pc.greater(table["latency_ms"], 0.0))
    if not len(table):
        raise ScenarioError.at(str(path), "holds no kernels with a time above 0")
    return table


def _one_of() -> str:
    return ", or ".join(", ".join(columns) for columns in (_GEMM_COLUMNS, _ATTENTION_COLUMNS, collectives.COLUMNS))


def calibrate(table: pa.Table, device: Device, processors: int) -> Iterator[tuple[Calibrated, KernelFits | Collectives]]:
    """Each kind of kernel in the table with its errors and its fit, one after the other: they take up to half a minute each.

    Kinds with fewer than a hundred kernels (two dozen collectives), and precisions that the device does not have, are passed over.
    A collective comes once for each number of ranks, always with the fit to all of them.
    """
    if "size_bytes" in table.column_names:
        yield from _collectives(table, device)
        return
    if "gemm_dtype" in table.column_names:
        for dtype, (precision, element_bytes) in _DTYPES.items():
            rows = table.filter(pc.equal(table["gemm_dtype"], dtype))
            if len(rows) >= _FEWEST and device.peak.of(precision)[0] == precision:
                yield _gemm(rows, device, precision, element_bytes, processors)
        return
    for op in ("generation_attention", "context_attention"):
        rows = table.filter(pc.equal(table["op"], op))
        if len(rows) < _FEWEST:
            continue
        kernels = attention.attention_kernels(rows)
        if op == "generation_attention":
            errors, naive_s = attention.cross_validate_generation(kernels), attention.naive_generation(device, kernels)
            fits = KernelFits(generation=attention.fit_generation(kernels))
        else:
            errors, naive_s = attention.cross_validate_context(kernels), attention.naive_context(device, kernels)
            fits = KernelFits(context=attention.fit_context(kernels))
        yield Calibrated(op.replace("_", " "), len(kernels), errors, Errors.of(naive_s, kernels.seconds)), fits


def _gemm(rows: pa.Table, device: Device, precision: Precision, element_bytes: float, processors: int) -> tuple[Calibrated, KernelFits]:
    m, n, k = (np.asarray(rows[name].to_numpy(), dtype=float) for name in ("m", "n", "k"))
    seconds = np.asarray(rows["latency_ms"].to_numpy(), dtype=float) * 1e-3
    _, peak = device.peak.of(precision)
    bandwidth = device.memory.bandwidth_bytes_per_s
    about = (element_bytes, peak, bandwidth, processors)
    errors = gemm.cross_validate(m, n, k, seconds, *about)
    naive_s = np.maximum((element_bytes * n * k + 2 * m * (n + k)) / bandwidth, 2 * m * n * k / peak)
    fits = KernelFits(gemm={precision: gemm.fit_gemm(m, n, k, seconds, *about)})
    return Calibrated(f"GEMM {precision}", len(rows), errors, Errors.of(naive_s, seconds)), fits


def _collectives(table: pa.Table, device: Device) -> Iterator[tuple[Calibrated, Collectives]]:
    for kind in collectives.KINDS:
        rows = collectives.measured(table, kind)
        if len(rows.seconds) < collectives.FEWEST:
            continue
        fits = Collectives(**{kind: collectives.fit_collective(kind, rows)})
        predicted_s, naive_s = collectives.cross_validate(kind, rows), collectives.naive_s(device, kind, rows)
        for ranks in np.unique(rows.ranks):
            of = rows.ranks == ranks
            errors = (Errors.of(seconds[of], rows.seconds[of]) for seconds in (predicted_s, naive_s))
            yield Calibrated(f"{kind} of {ranks:.0f}", int(of.sum()), *errors), fits


def with_kernels(device: Device, found: list[KernelFits | Collectives]) -> dict[str, Any]:
    """The device as a file writes it, its kernels and collectives those that were found, and the others it had."""
    kernels, between = device.kernels, device.collectives
    for fits in found:
        if isinstance(fits, Collectives):
            between = between.model_copy(update={kind: getattr(fits, kind) for kind in fits.model_fields_set})
        else:
            had = kernels or KernelFits()
            kernels = KernelFits(gemm=had.gemm | fits.gemm, generation=fits.generation or had.generation, context=fits.context or had.context)
    return device.model_copy(update={"kernels": kernels, "collectives": between}).model_dump(mode="json", by_alias=True, exclude_none=True)
