"""A table of measured kernels -> a device's kernel constants, and how well they predict kernels they were not fitted to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration import attention, gemm
from cluster_sim.calibration.errors import Errors
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware import Device, Precision
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
    """One kind of kernel: what it was fitted on, and errors by five-fold cross-validation over shapes beside the naive roofline's."""

    kind: str
    rows: int
    errors: Errors
    naive: Errors
    """Of peak bandwidth and peak FLOP/s, whichever is slower."""


def read_kernels(path: Path, system: str | None = None, collector: str = "") -> pa.Table:
    """The kernels in a Parquet or CSV file with the columns of aiconfigurator's tables: of `system`, where the file has several, and
    of the collector whose `version` begins so.

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
    wanted = _GEMM_COLUMNS if "gemm_dtype" in table.column_names else _ATTENTION_COLUMNS
    if missing := [name for name in wanted if name not in table.column_names]:
        raise ScenarioError.at(str(path), f"has no column {', '.join(missing)}; wanted {', '.join(_GEMM_COLUMNS)}, or {', '.join(_ATTENTION_COLUMNS)}")
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


def calibrate(table: pa.Table, device: Device, processors: int) -> Iterator[tuple[Calibrated, KernelFits]]:
    """Each kind of kernel in the table with its errors and its fit, one after the other: they take up to half a minute each.

    Kinds with fewer than a hundred kernels, and precisions that the device does not have, are passed over.
    """
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


def with_kernels(device: Device, found: list[KernelFits]) -> dict[str, Any]:
    """The device as a file writes it, its kernels those that were found, and the others it had."""
    kernels = device.kernels or KernelFits()
    for fits in found:
        kernels = KernelFits(gemm=kernels.gemm | fits.gemm, generation=fits.generation or kernels.generation, context=fits.context or kernels.context)
    return device.model_copy(update={"kernels": kernels}).model_dump(mode="json", by_alias=True, exclude_none=True)
