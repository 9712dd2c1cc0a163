"""Kernels of Llama models measured on the GPU of this machine, as tables that `cluster-sim
calibrate` reads.

    python benchmarks/device/measure.py --out DIR [--minutes 8] [--system h200_sxm]
    python benchmarks/device/compare.py DIR/*.csv --device h200-sxm

The first needs PyTorch and an NVIDIA GPU and nothing else; the second needs cluster-sim and no GPU.
Measured are

* gemm.csv: products in bf16, and in fp8 with one scale a tensor where the GPU has it
  (`torch._scaled_mm`; inputs are in fp8 already. Engines quantise them first, in a kernel of its
  own that tables collected from engines count in);
* attention.csv: decode and prefill attention by every library that is there: FlashInfer (decode
  only, fp8 KV cache too), FlashAttention 3 and 2, and PyTorch's own flash and cuDNN kernels. KV
  caches lie in one piece, but FlashInfer's in pages of 16 tokens;
* traffic.csv: reading, writing and copying memory, and reading while one to four other streams
  copy: `copied_bytes` is what those moved over the bus in the time of the read.

A time is the median of replays of a CUDA graph of many launches, by events, divided by the
launches; launches take turns over buffers of several times the L2 cache, so that weights and KV
caches come from memory. (Reads beside copies run without a graph, as each takes long.) `spread` is
the distance of the tenth and ninetieth percentile over the median. Power, temperature and clock are
the medians of what the board told meanwhile. Inputs are random: zeros draw less power and run
faster. `version` begins with the attention's library, so that `cluster-sim calibrate --collector`
can choose one.

Rows are written as they are measured; a run ends by itself within `--minutes`, and another with the
same `--out` goes on from there. What the machine cannot do is skipped and said, with the reason, on
stderr and in skipped.csv. Exit codes: 0 done; 2 no PyTorch or no GPU.
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

RECENT = 20  # measurements; there must be time left for one as long as the longest of them

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
    """The CSV files of a folder, each row written at once and once."""

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
        """Appends a row, unless the table has one of the same kernel, system and version."""
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
    """Measures one kernel after the other until all are done or `clock` nears `until_s`; the number
    of kernels that are left.
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
                "run again with the same --out to go on"
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
            or "nothing was left to measure"
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
    began_s = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where the tables are, or go"
    )
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="the whole run, start included; default 8"
    )
    parser.add_argument(
        "--system",
        metavar="NAME",
        help="in the tables' column of that name; default: the GPU's name",
    )
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        print(
            "measure.py: PyTorch is not installed here; kernels are measured with it",
            file=sys.stderr,
        )
        return 2
    if not torch.cuda.is_available():
        print("measure.py: PyTorch sees no NVIDIA GPU here", file=sys.stderr)
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
