"""Tables of studies for figures: reading, selection of rows, axes, and labels of columns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.results.metrics.families.latency import statistic_label
from cluster_sim.results.metrics.naming import label_of, short_name
from cluster_sim.results.metrics.table import METRICS

_TABLES = ("sweep.parquet", "claims.parquet", "plan.parquet")
"""Names of tables in folders of studies."""

Row = dict[str, Any]
"""Row of a study's table: values by column."""


@dataclass(frozen=True)
class Choice:
    """Columns of a study that are drawn."""

    x: str | None = None
    """Column of the x axis; None lets the figure choose."""
    y: str | None = None
    """Column of the y axis; None lets the figure choose."""
    metrics: tuple[str, ...] = ()
    """Columns of the metrics; an empty tuple lets the figure choose."""


def file_of(path: Path) -> Path:
    """Return the file of a study's table: the table in the folder of a sweep, of claims or of a plan."""
    if not path.is_dir():
        return path
    return next((file for name in _TABLES if (file := path / name).is_file()), path / _TABLES[0])


def read(path: str | Path) -> pa.Table:
    """Return the table of a study.

    Parameters
    ----------
    path
        Folder of a sweep, of claims or of a plan, or Parquet file that a study wrote.

    Raises
    ------
    ScenarioError
        The path holds no table of a study.
    """
    file = file_of(Path(path))
    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as fault:
        expected = "expected the folder of a sweep, of claims or of a plan, or a Parquet file that capacity, sensitivity or claims wrote with --out"
        raise ScenarioError.at(
            str(file), f"is no table of a study ({fault}); {expected}"
        ) from fault


def require(table: pa.Table, columns: Sequence[str], study: str) -> None:
    """Check that a table has some columns.

    Parameters
    ----------
    table
        Table of a study.
    columns
        Names of the columns.
    study
        Name of the study or figure, for the message.

    Raises
    ------
    ScenarioError
        The table lacks one of the columns.
    """
    if missing := [name for name in columns if name not in table.column_names]:
        raise ScenarioError.at(
            study, f"no column '{missing[0]}'{did_you_mean(missing[0], table.column_names)}"
        )


def require_numbers(table: pa.Table, columns: Sequence[str], study: str) -> None:
    """Check that a table has some columns of numbers.

    Booleans are accepted: their mean is the share of true values.

    Parameters
    ----------
    table
        Table of a study.
    columns
        Names of the columns.
    study
        Name of the study or figure, for the message.

    Raises
    ------
    ScenarioError
        The table lacks one of the columns, or a column holds no numbers.
    """
    require(table, columns, study)
    for name in columns:
        kind = table[name].type
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if not (is_number or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
            raise ScenarioError.at(study, f"column '{name}' holds {kind}; expected numbers")


def narrowed(table: pa.Table, where: Mapping[str, str]) -> pa.Table:
    """Return the rows of a table whose columns hold given values.

    Parameters
    ----------
    table
        Table of a study.
    where
        Value of each column as text; "500" matches 500.0.

    Raises
    ------
    ScenarioError
        The table lacks a column, or no row matches.

    Examples
    --------
    >>> narrowed(pa.table({"rate": [1.0, 500.0]}), {"rate": "500"}).num_rows
    1
    """
    require(table, list(where), "--where")
    kept = table
    if where:
        rows = table.select(list(where)).to_pylist()
        kept = table.filter(
            pa.array([all(_same(row[name], text) for name, text in where.items()) for row in rows])
        )
    if not kept.num_rows:
        known = "; ".join(f"{name}: {_known(table, name)}" for name in where)
        raise ScenarioError.at("--where", f"no row matches; the table has {known}")
    return kept


def _same(value: Any, written: str) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(written) == value
        except ValueError:
            return False
    return str(value) == written


def _known(table: pa.Table, name: str) -> str:
    return ", ".join(map(str, list(dict.fromkeys(table[name].to_pylist()))[:12]))


def points(table: pa.Table) -> list[Row]:
    """Return the points of a sweep that are done, each point once.

    Raises
    ------
    ScenarioError
        The table is not of a sweep, or no point is done.
    """
    require(table, ("point", "status", "replication", "key"), "sweep.parquet")
    done = {row["key"]: row for row in table.to_pylist() if row["status"] == "done"}
    if not done:
        raise ScenarioError.at("sweep.parquet", "no point of the sweep is done")
    return list(done.values())


def varied(rows: Sequence[Row]) -> list[str]:
    """Return the columns of the sweep's axes that have more than one value, in file order.

    The name of an axis's column is its key, with a unit if it has one.
    """
    columns = dict.fromkeys(axes([row["point"] for row in rows], list(rows[0])).values())
    return [name for name in columns if len({row.get(name) for row in rows}) > 1]


def not_varied_with(rows: Sequence[Row], along: str, names: Sequence[str]) -> list[str]:
    """Return the columns whose values one column does not determine, and that column itself.

    >>> rows = [{"nodes": 4, "wafers": 4, "seed": 1}, {"nodes": 5, "wafers": 5, "seed": 1}, {"nodes": 5, "wafers": 5, "seed": 2}]
    >>> not_varied_with(rows, "wafers", ["nodes", "wafers", "seed"])
    ['wafers', 'seed']
    """
    groups = grouped(rows, [along]).values()
    return [
        name
        for name in names
        if name == along or any(len({row.get(name) for row in group}) > 1 for group in groups)
    ]


def axes(points: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Return the columns of a sweep's axes by their keys, as in the sweep's file.

    Parameters
    ----------
    points
        Values of each point by key, as texts of JSON.
    columns
        Columns of the table.
    """
    keys = dict.fromkeys(key for text in points for key in json.loads(text))
    return {key: _column(key, columns) for key in keys}


def _column(key: str, columns: Sequence[str]) -> str:
    pattern = re.compile(re.escape(key) + "(_[a-z_]+)?")
    return next((name for name in columns if pattern.fullmatch(name)), key)


def grouped(rows: Sequence[Row], names: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    """Return rows grouped by their values in some columns.

    Groups with numbers are in ascending order; groups with text keep the order of the rows.

    >>> list(grouped([{"n": 2}, {"n": 1}, {"n": 2}], ["n"]))
    [(1,), (2,)]
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    ordered = {
        name: {value: place for place, value in enumerate(distinct([row[name] for row in rows]))}
        for name in names
    }
    return dict(
        sorted(
            groups.items(),
            key=lambda item: [
                ordered[name][value] for name, value in zip(names, item[0], strict=True)
            ],
        )
    )


def distinct(values: Sequence[Any]) -> list[Any]:
    """Return the different values: numbers in ascending order, others in the order given.

    >>> distinct([3, 1, 3]), distinct(["b", "a", "b"])
    ([1, 3], ['b', 'a'])
    """
    different = list(dict.fromkeys(values))
    if all(isinstance(value, (int, float)) for value in different):
        return sorted(different)
    return different


def numeric(rows: Sequence[Row], name: str) -> bool:
    """Return whether all values of a column are numbers."""
    return all(
        isinstance(row[name], (int, float)) and not isinstance(row[name], bool) for row in rows
    )


def described(names: Sequence[str], values: Sequence[Any]) -> str:
    """Return values with the short names of their columns, as text.

    >>> described(["variant", "workload.prompt_tokens.median", "workload.arrivals.rate_per_s"], ["cs3", 500.0, 2])
    'cs3, prompt_tokens.median 500, arrivals.rate 2 /s'
    """
    return ", ".join(
        str(value) if name == "variant" else _described(name, value)
        for name, value in zip(names, values, strict=True)
    )


def _described(name: str, value: Any) -> str:
    short, unit = short_name(name)
    text = f"{value:,.5g}".replace(",", " ") if isinstance(value, float) else str(value)
    return f"{short} {text}" + (f" {unit.removeprefix('1')}" if unit else "")


def label(name: str) -> str:
    """Return the label of an axis that shows a column.

    >>> label("p99_ttft_ms"), label("workload.arrivals.rate_per_s"), label("slo_attainment")
    ('TTFT p99 [ms]', 'arrivals.rate [1/s]', 'share within SLO')
    """
    if name in METRICS:
        return METRICS[name].figure_label
    return statistic_label(name) or label_of(name)


def without_unit(name: str) -> str:
    """Return the label of a column without its unit.

    >>> without_unit("p99_ttft_ms")
    'TTFT p99'
    """
    return label(name).partition(" [")[0]


def amount(name: str, value: float) -> str:
    """Return a clause with the label of a column, a value and its unit.

    >>> amount("p99_ttft_ms", 147.2), amount("slo_attainment", 0.97)
    ('TTFT p99 is 147 ms', 'share within SLO is 0.97')
    """
    text, _, unit = label(name).rstrip("]").partition(" [")
    return f"{text} is {number(value)} {unit}".rstrip()


def number(value: float) -> str:
    """Return a number with three significant digits; a large one whole, with groups of digits.

    >>> number(0.01234), number(12345.6)
    ('0.0123', '12 346')
    """
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 999.5 else f"{value:.3g}"
