"""Compare measured kernels with a device's kernel model and with the naive roofline.

    python benchmarks/device/compare.py TABLE... --device h200-sxm [--engine vllm]

The tables are those of measure.py, or any tables that `cluster-sim calibrate` reads. An error is
predicted / measured - 1. The output has the median and the 90th percentile of absolute errors, and
the bias: the median of signed errors. The roofline is the larger of FLOP over peak compute and bytes
over peak bandwidth. The kernel model has no constants for plain memory traffic, so only the roofline
is compared. There the bytes that other streams copy count as traffic, so the bias is the cost of
simultaneous reads and copies. The catalog's attention constants of H200 are for the kernels of vLLM,
on Hopper FlashAttention 3; its fp8 products include quantisation of inputs. Exit codes: 0 done; 2 the
input is at fault.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cluster_sim.calibration import attention, gemm
from cluster_sim.calibration.errors import Errors
from cluster_sim.calibration.kernel_tables import read_kernels
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.device import Device, device_named
from cluster_sim.hardware.kernel_fits import KernelFits, fit_of_engine
from cluster_sim.hardware.precision import Precision
from cluster_sim.physics.gemm import gemms_s, laid_out

Array = NDArray[np.float64]

PRECISIONS: dict[str, tuple[Precision, float]] = {
    "bfloat16": ("bf16", 2.0),
    "bf16": ("bf16", 2.0),
    "fp8": ("fp8", 1.0),
    "nvfp4": ("fp4", 0.5625),
}


class Compared(NamedTuple):
    """Times of kernels of one kind [s]: measured, by the model (None without one), by the roofline."""

    kind: str
    measured_s: Array
    model_s: Array | None
    naive_s: Array


def compared(
    path: Path, device: Device, system: str | None = None, engine: str = ""
) -> Iterator[Compared]:
    """Yield the times of each kind of kernel in a table.

    Raises
    ------
    ScenarioError
        The file is no table of measured kernels.
    """
    if path.is_file() and path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = csv.DictReader(file)
            if "copied_bytes" in (rows.fieldnames or ()):
                yield from _traffic(list(rows), device)
                return
    fits = device.kernels or KernelFits()
    for table in read_kernels(path, system):
        if "gemm_dtype" in table.column_names:
            yield from _gemms(table, device, fits, engine)
        elif "batch_size" in table.column_names:
            yield from _attention(table, device, fits, engine)


def _gemms(table: pa.Table, device: Device, fits: KernelFits, engine: str) -> Iterator[Compared]:
    for dtype in sorted(set(table["gemm_dtype"].to_pylist()) & set(PRECISIONS)):
        precision, element_bytes = PRECISIONS[dtype]
        rows = table.filter(pc.equal(table["gemm_dtype"], dtype))
        m, n, k = (_numbers(rows, name) for name in ("m", "n", "k"))
        products = gemm.Products(m, n, k, 1e-3 * _numbers(rows, "latency_ms"))
        silicon = gemm.Silicon(
            element_bytes, device.peak.of(precision)[1], device.memory.bandwidth_bytes_per_s, 1
        )
        fit = fit_of_engine(fits.gemm, precision, engine)
        model_s = (
            None
            if fit is None
            else gemms_s(fit, laid_out(m, n, k, fit.element_bytes, fit.processors))
        )
        yield Compared(
            f"GEMM {precision}", products.seconds, model_s, gemm.naive_s(products, silicon)
        )


def _attention(
    table: pa.Table, device: Device, fits: KernelFits, engine: str
) -> Iterator[Compared]:
    if "version" not in table.column_names:
        table = table.append_column("version", pa.array([""] * len(table)))
    kinds = zip(
        *(table[name].to_pylist() for name in ("op", "version", "kv_cache_dtype")), strict=True
    )
    rows_of = defaultdict(list)
    for row, (op, version, dtype) in enumerate(kinds):
        rows_of[op, str(version).partition(" ")[0], dtype].append(row)
    for (op, library, dtype), rows in sorted(rows_of.items()):
        kernels = attention.attention_kernels(table.take(rows))
        model_s = None
        if op == "generation_attention":
            naive_s = attention.naive_generation(device, kernels)
            if (decode := fit_of_engine(fits.generation, PRECISIONS[dtype][0], engine)) is not None:
                model_s = attention.predict_generation(decode, kernels)
        else:
            naive_s = attention.naive_context(device, kernels)
            if (prefill := fit_of_engine(fits.context, PRECISIONS[dtype][0], engine)) is not None:
                model_s = attention.predict_context(prefill, kernels)
        yield Compared(
            " ".join(filter(None, (op.replace("_", " "), library, dtype))),
            kernels.seconds,
            model_s,
            naive_s,
        )


def _traffic(rows: Sequence[dict[str, str]], device: Device) -> Iterator[Compared]:
    kind_of = [
        row["op"] if row["streams"] == "0" else f"read beside {row['streams']} copying"
        for row in rows
    ]
    for kind in sorted(Counter(kind_of)):
        measured_s, moved = zip(
            *(
                (1e-3 * float(row["latency_ms"]), float(row["bytes"]) + float(row["copied_bytes"]))
                for row, its in zip(rows, kind_of, strict=True)
                if its == kind
            ),
            strict=True,
        )
        yield Compared(
            kind, np.array(measured_s), None, np.array(moved) / device.memory.bandwidth_bytes_per_s
        )


def _numbers(rows: pa.Table, column: str) -> Array:
    return np.asarray(rows[column].to_numpy(), dtype=float)


def line(kernels: Compared) -> str:
    """Return a row of the printed table."""
    model, naive = (
        _cells(predicted_s, kernels.measured_s)
        for predicted_s in (kernels.model_s, kernels.naive_s)
    )
    return f"{kernels.kind:<46} {len(kernels.measured_s):>6} {model}  {naive}"


def _cells(predicted_s: Array | None, measured_s: Array) -> str:
    if predicted_s is None:
        return f"{'-':>8} {'-':>8} {'-':>8}"
    median, p90 = Errors.of(predicted_s, measured_s)
    return f"{median:>8.1%} {p90:>8.1%} {float(np.median(predicted_s / measured_s)) - 1.0:>+8.1%}"


def main() -> int:
    """Print the errors of all tables; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", type=Path, metavar="TABLE")
    parser.add_argument(
        "--device",
        required=True,
        metavar="NAME",
        help="compare with this device of the catalog, or of this device file",
    )
    parser.add_argument(
        "--system",
        metavar="NAME",
        help="use rows of this system; default: the device's name",
    )
    parser.add_argument(
        "--engine",
        default="",
        metavar="NAME",
        help="use the kernels of this engine in the device file, such as vllm",
    )
    arguments = parser.parse_args()
    try:
        device = device_named(arguments.device)
        system = arguments.system or Path(arguments.device).stem.replace("-", "_")
        lines = [
            line(one)
            for path in arguments.tables
            if path.name != "skipped.csv"
            for one in compared(path, device, system, arguments.engine)
        ]
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{device.name:<46} {'':>6} {'model':>26}  {'roofline':>26}")
    print(
        f"{'kernels':<46} {'rows':>6} " + "  ".join([f"{'median':>8} {'p90':>8} {'bias':>8}"] * 2)
    )
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
