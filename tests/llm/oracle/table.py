"""The table of what the library's own models hold, and how its rows are found."""

from __future__ import annotations

import csv
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("table.csv")


class Figures(NamedTuple):
    """Content of a model; the library's fault where it makes no model of a configuration."""

    parameters: int = 0
    """Number of parameters of the language model: embedding, head (once if tied), all layers."""
    active: int = 0
    """Number of them without the experts that a token does not visit."""
    context: int = 0
    """Longest context; 0 where the configuration class has none."""
    kv_values: int = 0
    """Number of values that a token adds to the cache of layers that see the whole context."""
    window_layers: int = 0
    """Number of layers with a window or a chunk."""
    window_tokens: str = ""
    """Length of the windows, several joined by +."""
    window_values: int = 0
    """Number of values of a token in the cache of those layers."""
    index_values: int = 0
    """Number of values that a token adds to the cache of index keys."""
    state_values: int = 0
    """Number of values of a sequence's states."""
    convolution_values: int = 0
    """Number of values that convolutions keep of a sequence."""
    fault: str = ""
    """Name of the exception, where the library makes no model."""


def digest(config: dict[str, Any]) -> str:
    """Return what tells that a row was counted of this very configuration."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:10]


def write(by: str, rows: dict[tuple[str, str, str], Figures]) -> None:
    """Write the table, with the versions of the libraries that counted. Zeros are left empty."""
    with FILE.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# {by}\n")
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("family", "case", "config", *Figures._fields))
        for key, figures in rows.items():
            out.writerow((*key, *(value or "" for value in figures)))


def versions() -> str:
    """Return the versions of the libraries that counted the rows."""
    if not FILE.exists():
        return ""
    with FILE.open(encoding="utf-8") as file:
        return file.readline().strip("# \n")


@cache
def read() -> dict[tuple[str, str, str], Figures]:
    """Return the rows by family, case and digest of the configuration."""
    if not FILE.exists():
        return {}
    with FILE.open(encoding="utf-8", newline="") as file:
        file.readline()
        rows = list(csv.DictReader(file))
    return {
        (row["family"], row["case"], row["config"]): Figures(
            **{
                name: row[name] if isinstance(default, str) else int(row[name] or 0)
                for name, default in Figures._field_defaults.items()
            }
        )
        for row in rows
    }


def figures(family: str, case: str, config: dict[str, Any]) -> Figures:
    """Return what the library's model of a configuration holds."""
    row = read().get((family, case, digest(config)))
    if row is None:
        raise LookupError(
            f"{family}, {case}: no row of this configuration in {FILE.name}; expected one: run benchmarks/count_parameters.py"
        )
    return row
