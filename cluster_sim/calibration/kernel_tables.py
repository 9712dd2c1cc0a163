"""Tables of measured kernels in files: products, attention, experts and collectives."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration import (
    collectives,
    exchange_tables,
    expert_rows,
    latent_kernels,
    operators,
    sparse_blocks,
    state_blocks,
)
from cluster_sim.errors import ScenarioError

_GEMM_COLUMNS = ("gemm_dtype", "m", "n", "k", "latency_ms")
_ATTENTION_COLUMNS = (
    "op",
    "batch_size",
    "isl",
    "step",
    "num_heads",
    "num_key_value_heads",
    "head_dim",
    "window_size",
    "kv_cache_dtype",
    "latency_ms",
)
_KINDS = {
    "size_bytes": collectives.COLUMNS,
    "exchange": exchange_tables.COLUMNS,
    "gemm_dtype": _GEMM_COLUMNS,
    "mla_dtype": latent_kernels.ATTENTION_COLUMNS,
    "bmm_dtype": latent_kernels.PRODUCT_COLUMNS,
    "phase": state_blocks.COLUMNS,
    "architecture": sparse_blocks.COLUMNS,
    "moe_dtype": expert_rows.COLUMNS,
    "op": _ATTENTION_COLUMNS,
}
"""Columns of each kind of table, by a column that only this kind has."""


def read_kernels(path: Path, system: str | None = None, collector: str = "") -> list[pa.Table]:
    """Return the kernels in a Parquet or CSV file, as one table for each kind.

    The kinds are products, attention, experts, exchanges and collectives. The file has the columns
    of aiconfigurator's tables, or those of a table of measurements (`operators`).

    Parameters
    ----------
    path
        Path of the file.
    system
        System whose kernels are read, for files with several.
    collector
        Prefix of the `version` of the kernels that are read.

    Returns
    -------
    list of pyarrow.Table
        Tables with a time above 0 in each row.

    Raises
    ------
    ScenarioError
        The file cannot be read, lacks columns, or has no such rows.
    """
    import pyarrow.csv
    import pyarrow.parquet

    if not path.is_file():
        raise ScenarioError.at(str(path), "no such file")
    try:
        table = (
            pyarrow.csv.read_csv(path)
            if path.suffix in (".csv", ".gz")
            else pyarrow.parquet.read_table(path)
        )
    except (pa.ArrowInvalid, OSError) as fault:
        raise ScenarioError.at(
            str(path), f"is not a table of kernels: {str(fault).splitlines()[0]}"
        ) from fault
    table = _in_own_form(table)
    if "latency" in table.column_names and "latency_ms" not in table.column_names:
        renamed = {"latency": "latency_ms"}
        table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
    tables = (
        [_checked(path, table)]
        if not set(operators.COLUMNS) <= set(table.column_names)
        else operators.tables(table)
    )
    if set(collectives.MEASURED_COLUMNS) <= set(table.column_names):
        tables.append(collectives.collectives_table(table))
    chosen = (_chosen(path, table, system, collector) for table in tables)
    kernels = [rows for rows in chosen if len(rows)]
    if not kernels:
        raise ScenarioError.at(
            str(path), "got no kernels with a time above 0; expected at least one"
        )
    return kernels


def _in_own_form(table: pa.Table) -> pa.Table:
    """Return a table of aiconfigurator with exchanges or all-reduces in this program's columns."""
    exchanges = exchange_tables.exchange_table(table)
    if exchanges is not None:
        return exchanges
    return collectives.in_own_form(table)


def _checked(path: Path, table: pa.Table) -> pa.Table:
    """Return the table. Raise ScenarioError if columns are missing or hold no numbers."""
    expected = next(
        (columns for name, columns in _KINDS.items() if name in table.column_names),
        _ATTENTION_COLUMNS,
    )
    if missing := [name for name in expected if name not in table.column_names]:
        choices = ", or ".join(", ".join(columns) for columns in _KINDS.values())
        raise ScenarioError.at(str(path), f"has no column {', '.join(missing)}; expected {choices}")
    for name in ("latency_ms", "ranks", "size_bytes"):
        if name in table.column_names and not (
            pa.types.is_integer(kind := table.schema.field(name).type) or pa.types.is_floating(kind)
        ):
            raise ScenarioError.at(str(path), f"column {name}: got {kind}; expected numbers")
    return table


def _chosen(path: Path, table: pa.Table, system: str | None, collector: str) -> pa.Table:
    """Return the rows of a system and a collector with a time above 0."""
    if "system" in table.column_names:
        systems = sorted(str(name) for name in pc.unique(table["system"]).to_pylist())
        if system not in systems and len(systems) > 1:
            raise ScenarioError.at(
                str(path), f"has kernels of {', '.join(systems)}; choose one with --system"
            )
        if system in systems:
            table = table.filter(pc.equal(table["system"], system))
    if collector and "version" in table.column_names:
        table = table.filter(pc.starts_with(table["version"], pattern=collector))
    return table.filter(pc.greater(table["latency_ms"], 0.0))
