"""What holds of every command on whatever file, and of every run that it lets through."""

from __future__ import annotations

import json
import math
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

PATIENCE_S = 10.0
"""CPU time after which a command hangs [s]."""
LIMITED = re.compile(r"ended early: the (time|memory) limit")
"""What a run says that reached its limit."""
_FRACTIONS = re.compile(r"(_fraction|_attainment|_utilisation|_share|_saturated)$")


class Hang(BaseException):
    """A command takes longer than anybody waits; nothing in the simulator catches this."""


@contextmanager
def patience(seconds: float = PATIENCE_S) -> Iterator[None]:
    """Raise Hang when the block takes more CPU time than this."""

    def give_up(signum: int, frame: object) -> None:
        raise Hang(f"more than {seconds:g} s of CPU time")

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def breaches_of_a_command(code: int, errors: str, files: Sequence[str]) -> Iterator[str]:
    """What a command did that it must not do: its exit code, and what it wrote to stderr."""
    if code not in (0, 1, 2):
        yield f"exit code {code}"
    if "Traceback (most recent call last)" in errors:
        yield "a traceback"
    if "the simulation failed" in errors:
        yield errors.strip()[-300:]
    if code == 1 and not LIMITED.search(errors) and "the simulation failed" not in errors:
        yield f"exit code 1 without a reason: {errors.strip()[-200:]}"
    if code == 2 and not any(name in errors for name in files):
        yield f"the message names none of {', '.join(files)}: {errors.strip()[-200:]}"


_OF_A_WHOLE_FILE = re.compile(
    r"cannot be read|is empty|has (no requests|texts)\b|got [\d,]+ MB out of|is (a|an|packed|encrypted|Parquet|gzip|zstd|xz|bz2|zip)\b|"
    r"is a zip of|has no (column|list|start_times|header|chunk)|has (\d+|a) (results|benchmarks|tables?)|has (lists|errors)|"
    r"has \d+ columns|is not a (report|trace|JSON object)|got a start|has format \w+|has no known format|without|nothing of which|unpack"
)
"""What a refusal says where no line of a trace is at fault."""


def breaches_of_a_place(errors: str, name: str) -> Iterator[str]:
    """What the refusal of a trace lacks: its line, its row, or that the whole file is at fault."""
    for line in errors.splitlines():
        place = re.search(
            rf"{re.escape(name)}(\([^)]*\))?(:\d+|, (row|request) \d+[^:]*)?: (.*)", line
        )
        if place and not place[2] and not _OF_A_WHOLE_FILE.match(place[4]):
            yield f"a refusal without a line: {line[-300:]}"


def breaches_of_a_run(folder: Path) -> Iterator[str]:
    """Laws that the results in a run folder break."""
    summary = json.loads((folder / "summary.json").read_text())
    yield from _strange_numbers(summary)
    table = pq.read_table(folder / "requests.parquet")
    columns = {name: table[name].to_numpy() for name in ("arrival_s", "admitted_s", "first_token_s", "finish_s")}  # fmt: skip
    status = np.array(table["status"].to_pylist())
    known = {"finished", "unfinished", "rejected", "failed"}
    if strange := set(status) - known:
        yield f"statuses {strange}"
    stands_for = _stands_for(folder)
    counted = np.array(table["counted"].to_pylist(), dtype=bool)
    finished = int(np.sum((status == "finished") & counted)) * stands_for
    if finished != summary["completed"]:
        yield f"{finished} finished requests, and {summary['completed']} in the summary"
    for earlier, later in zip(list(columns)[:-1], list(columns)[1:], strict=True):
        first, second = columns[earlier].astype(float), columns[later].astype(float)
        both = ~(np.isnan(first) | np.isnan(second))
        if np.any(second[both] < first[both] - 1e-9 * np.abs(first[both])):
            yield f"{later} before {earlier}"
    done = status == "finished"
    if done.any() and np.isnan(columns["finish_s"].astype(float)[done]).any():
        yield "a finished request without its time"


def _stands_for(folder: Path) -> int:
    found = re.search(r"^stands_for: (\d+)", (folder / "scenario.yaml").read_text(), re.M)
    return int(found[1]) if found else 1


def _strange_numbers(value: Any, path: str = "") -> Iterator[str]:
    """Numbers of a summary that are none, and fractions outside [0, 1]."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _strange_numbers(part, f"{path}.{key}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _strange_numbers(part, f"{path}[{index}]")
    elif isinstance(value, float) and _is_strange(value, path):
        yield f"summary{path} is {value}"


def _is_strange(value: float, path: str) -> bool:
    is_inside = not _FRACTIONS.search(path) or -1e-9 <= value <= 1.0 + 1e-9
    return not (math.isfinite(value) and is_inside)
