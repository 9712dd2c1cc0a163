"""Measure kernels of Llama models on the GPU of this machine, for `cluster-sim calibrate`.

    python benchmarks/device/measure.py --out DIR [--minutes 8] [--system h200_sxm]
    python benchmarks/device/compare.py DIR/*.csv --device h200-sxm

The first command needs only PyTorch and an NVIDIA GPU. The second needs cluster-sim and no GPU. The
first writes these tables:

* gemm.csv: products in bf16, and in fp8 with one scale per tensor if the GPU has fp8
  (`torch._scaled_mm`). Inputs have fp8 already. Engines quantise inputs in a separate kernel, whose
  time is included in tables that were collected from engines.
* attention.csv: decode and prefill attention by every installed library: FlashInfer (decode only,
  also with an fp8 KV cache), FlashAttention 3 and 2, and the flash and cuDNN kernels of PyTorch. KV
  caches are contiguous; those of FlashInfer have pages of 16 tokens.
* traffic.csv: reads, writes and copies of memory, and reads while one to four other streams copy.
  `copied_bytes` is the number of bytes that the other streams moved over the bus during the read.

A time is the median over replays of a CUDA graph of many launches, measured by events, per launch.
Launches alternate between buffers of several times the size of the L2 cache, so that weights and KV
caches come from memory. Reads beside copies run without a graph, since each takes long. `spread` is
the distance from the 10th to the 90th percentile over the median. Power, temperature and clock are
medians of the board's sensors. Inputs are random, since zeros draw less power and run faster.
`version` begins with the attention library, so that `cluster-sim calibrate --collector` can select
one.

Each row is written as soon as it is measured. A run ends within `--minutes`; another run with the
same `--out` continues it. Kernels that the machine cannot run are skipped; the reason is printed to
stderr and written to skipped.csv. Exit codes: 0 done; 2 no PyTorch or no GPU.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path

from machine import CannotError, Machine, Timing
from shapes import Kernel, kernels

RECENT = 20  # recent measurements; the time left must suffice for the longest of them

_BOARD = ("power_w", "power_limit_w", "temperature_c", "sm_clock_mhz")
_MEASURED = ("latency_ms", "spread", *_BOARD)
_ORIGIN = ("system", "version")
_ATTENTION = (
    "op",
    "batch_size",
    "isl",
    "step",
    "num_heads",
    "num_key_value_heads",
    "head_dim",
    "window_size",
    "kv_cache_dtype",
)
IDENTITIES = {
    "gemm": ("op", "gemm_dtype", "m", "n", "k"),
    "attention": _ATTENTION,
    "traffic": ("op", "bytes", "streams"),
}
COLUMNS = {table: (*identity, *_MEASURED, *_ORIGIN) for table, identity in IDENTITIES.items()} | {
    "traffic": (*IDENTITIES["traffic"], "copied_bytes", *_MEASURED, *_ORIGIN),
    "skipped": ("kind", "reason"),
}


class Tables:
    """CSV files of a folder; each row is written immediately, and only once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._have: dict[str, set[tuple[str, ...]]] = {
            table: self._read(table) for table in COLUMNS
        }

    def __contains__(self, row: tuple[str, Mapping[str, object]]) -> bool:
        table, cells = row
        return self._key(table, cells) in self._have[table]

    def add(self, table: str, cells: Mapping[str, object]) -> None:
        """Append a row unless the table has a row with this kernel, system and version."""
        if (table, cells) in self:
            return
        path = self._path(table)
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS[table])
            if fresh:
                writer.writeheader()
            writer.writerow(cells)
        self._have[table].add(self._key(table, cells))

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.csv"

    def _key(self, table: str, cells: Mapping[str, object]) -> tuple[str, ...]:
        columns = (*IDENTITIES[table], *_ORIGIN) if table in IDENTITIES else COLUMNS[table]
        return tuple(str(cells[column]) for column in columns)

    def _read(self, table: str) -> set[tuple[str, ...]]:
        path = self._path(table)
        if not path.exists():
            return set()
        text = path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:  # a run was ended in the middle of a line
            path.write_bytes(whole)
        if not whole:
            path.unlink()
            return set()
        with path.open(newline="") as file:
            return {self._key(table, row) for row in csv.DictReader(file)}


def measure(
    machine: Machine,
    system: str,
    tables: Tables,
    until_s: float,
    clock: Callable[[], float],
    say: Callable[[str], None],
) -> int:
    """Measure kernels until all are done or `clock` is near `until_s` [s].

    Returns
    -------
    int
        Number of kernels that are left.
    """
    planned = kernels(machine.memory_bytes, machine.libraries)
    took_s: deque[float] = deque(maxlen=RECENT)
    rows, reasons = Counter[str](), set[tuple[str, str]]()
    for index, kernel in enumerate(planned):
        origin = {"system": system, "version": machine.version(kernel.library)}
        if (kernel.table, kernel.columns() | origin) in tables:
            continue
        began_s = clock()
        if began_s + max(took_s, default=0.0) >= until_s:
            say(
                f"the time is up: {len(planned) - index} of {len(planned)} kernels are left; "
                "run again with the same --out to continue"
            )
            return len(planned) - index
        try:
            timing = machine.timed(kernel)
        except CannotError as error:
            reason = (kernel.kind, str(error))
            if reason not in reasons:
                reasons.add(reason)
                say(f"skipped {kernel.kind}: {error}")
                tables.add("skipped", dict(zip(COLUMNS["skipped"], reason, strict=True)))
            continue
        took_s.append(clock() - began_s)
        tables.add(kernel.table, kernel.columns() | origin | _cells(kernel, timing))
        rows[kernel.kind] += 1
        if rows.total() % 100 == 0:
            say(f"{rows.total()} kernels, {until_s - clock():.0f} s left")
    say(
        "done: "
        + (
            ", ".join(f"{count} {kind}" for kind, count in rows.items())
            or "no kernel was left to measure"
        )
    )
    return 0


def _cells(kernel: Kernel, timing: Timing) -> dict[str, object]:
    cells: dict[str, object] = {
        "latency_ms": f"{1e3 * timing.seconds:.6g}",
        "spread": f"{timing.spread:.3g}",
    }
    cells |= {
        name: "" if value is None else f"{value:g}"
        for name, value in zip(_BOARD, timing.board, strict=True)
    }
    if kernel.table == "traffic":
        cells["copied_bytes"] = f"{timing.copied_bytes:.0f}"
    return cells


def main() -> int:
    """Measure on the GPU of this machine; return the exit code."""
    began_s = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="write the tables to this folder"
    )
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="end the run after this time [min]; default 8"
    )
    parser.add_argument(
        "--system",
        metavar="NAME",
        help="write this name to the column system; default: the GPU's name",
    )
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        print(
            "measure.py: PyTorch is not installed; install it to measure kernels",
            file=sys.stderr,
        )
        return 2
    if not torch.cuda.is_available():
        print("measure.py: PyTorch finds no NVIDIA GPU", file=sys.stderr)
        return 2
    from torch_machine import TorchMachine

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    machine = TorchMachine()
    say(machine.describe())
    system = arguments.system or machine.system
    measure(
        machine,
        system,
        Tables(arguments.out),
        began_s + 60.0 * arguments.minutes,
        time.monotonic,
        say,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
