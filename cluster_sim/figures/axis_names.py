"""Names by which a user gives columns of a sweep: keys of its file, their ends, pools by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster_sim.errors import ScenarioError, did_you_mean, nearest
from cluster_sim.figures import study_table as study
from cluster_sim.figures.study_table import Choice
from cluster_sim.schema import keys_of

Pools = Mapping[str, set[str]]
"""Names of the pools at an index, and indices of the pools with a name, as parts of keys."""


def named(choice: Choice, table: pa.Table, pools: Pools, figure: str) -> Choice:
    """Return a choice of columns with the axes of a sweep in place of their short names.

    Parameters
    ----------
    choice
        Columns, or names of axes.
    table
        Table of a sweep.
    pools
        Pools of the sweep.
    figure
        Name of the figure, for messages.

    Raises
    ------
    ScenarioError
        The sweep has no such axis, or several.
    """
    x, y = (
        None if asked is None else column(asked, table, pools, figure)
        for asked in (choice.x, choice.y)
    )
    return replace(choice, x=x, y=y)


def narrowed(table: pa.Table, where: Mapping[str, str], pools: Pools) -> pa.Table:
    """Return the rows of a table whose columns hold given values.

    Parameters
    ----------
    table
        Table of a study.
    where
        Value of each column as text, by column or name of an axis.
    pools
        Pools of the study, if it is a sweep.

    Raises
    ------
    ScenarioError
        The table lacks a column, or no row matches.
    """
    columns = {column(name, table, pools, "--where"): value for name, value in where.items()}
    return study.narrowed(table, columns)


def column(asked: str, table: pa.Table, pools: Pools, where: str) -> str:
    """Return the column of a sweep's table that a name means.

    A name is a column, the key of an axis as in the sweep's file, or the end of such a key: nodes
    means cluster.pools[0].nodes. A pool may be given by its name.

    Parameters
    ----------
    asked
        Name of a column or of an axis.
    table
        Table of a sweep.
    pools
        Pools of the sweep.
    where
        Name of the figure or option, for messages.

    Raises
    ------
    ScenarioError
        The sweep has no such axis, or several.

    Examples
    --------
    >>> table = pa.table({"point": ['{"cluster.pools[0].nodes": 2}'], "cluster.pools[0].nodes": [2]})
    >>> column("pools.b200.nodes", table, {"0": {"b200"}}, "heatmap")
    'cluster.pools[0].nodes'
    """
    if asked in table.column_names or "point" not in table.column_names:
        return asked
    axes = study.axes(table["point"].to_pylist(), table.column_names)
    exact = [name for key, name in axes.items() if key == asked]
    means = exact or [name for key, name in axes.items() if _ends(key, asked, pools)]
    match list(dict.fromkeys(means)):
        case [name]:
            return name
        case []:
            known = [*axes, *table.column_names]
            hint = did_you_mean(asked, known) if nearest(asked, known) else ""
            raise ScenarioError.at(
                where, f"no axis or column '{asked}'{hint}; the axes are {', '.join(axes)}"
            )
        case several:
            raise ScenarioError.at(
                where, f"'{asked}' may be {' or '.join(several)}; expected one of them"
            )


def _ends(key: str, asked: str, pools: Pools) -> bool:
    """Return whether the parts of a key end with those of a name."""
    parts, wanted = keys_of(key), keys_of(asked)
    first = len(parts) - len(wanted)
    return first >= 0 and all(
        part == given
        or (place > 0 and parts[place - 1] == "pools" and given in pools.get(part, ()))
        for place, (part, given) in enumerate(zip(parts[first:], wanted, strict=True), start=first)
    )


def pools_of(path: Path) -> Pools:
    """Return the pools of the sweeps in a folder; empty for other paths.

    Parameters
    ----------
    path
        Folder of a sweep.
    """
    pools: dict[str, set[str]] = {}
    for plan in sorted(path.glob("plans/*.json")):
        with suppress(OSError, ValueError, RecursionError):  # the sweep reports damaged plans
            for index, name in _pool_names(json.loads(plan.read_bytes())):
                pools.setdefault(index, set()).add(name)
                pools.setdefault(name, set()).add(index)
    return pools


def _pool_names(plan: Any) -> Iterator[tuple[str, str]]:
    """Yield the index and name of each pool of a plan's scenario and of its variants."""
    scenario = _inside(plan, "scenario")
    variants = _inside(scenario, "variants")
    for part in (scenario, *(variants.values() if isinstance(variants, dict) else ())):
        pools = _inside(_inside(part, "cluster"), "pools")
        for index, pool in enumerate(pools if isinstance(pools, Sequence) else ()):
            if isinstance(name := _inside(pool, "name"), str):
                yield str(index), name


def _inside(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
