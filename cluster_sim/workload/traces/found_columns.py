"""Columns of a file that a replay needs, in the spelling of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.json_rows import KeyedRows, keyed_batches
from cluster_sim.workload.traces.known_names import alike, mapping
from cluster_sim.workload.traces.progress import Place
from cluster_sim.workload.traces.refusals import alike_columns, missing_columns
from cluster_sim.workload.traces.row_faults import RowFields
from cluster_sim.workload.traces.rows import NONE, Batch
from cluster_sim.workload.traces.source import Beginning
from cluster_sim.workload.traces.table_layouts import TableLayout

Path = tuple[str, ...]
"""Name of a column, or keys of a nested object from the outermost to the innermost."""


class FoundColumns(NamedTuple):
    """Names of columns in the spelling of the file."""

    arrival: Path
    """Column of arrival times."""
    prompt: Path
    """Column of prompt lengths."""
    output: Path
    """Column of output lengths."""
    session: Path | None
    """Column of sessions; None without sessions."""
    elapsed: Path | None
    """Column of times from arrival to the end of the answer; None without such a column."""

    @property
    def present(self) -> list[Path]:
        """Columns that the file has, in the order of the fields."""
        return [path for path in self if path is not None]

    def fields(self, values: Sequence[Any]) -> RowFields:
        """Return time, prompt and output of a row with the names of their columns."""
        return RowFields([".".join(path) for path in self[:3]], values[:3])

    def unused(self, names: Iterable[str]) -> list[str]:
        """Return the names of the unused columns."""
        used = {path[0] for path in self.present}
        return [name for name in names if name and name not in used]

    def unused_leaves(self, names: Iterable[str]) -> list[str]:
        """Return the names of the unused keys, nested keys with their outer keys."""
        used = {".".join(path) for path in self.present}
        return [name for name in names if name and name not in used]


def found_columns(path: str, begun: Beginning, layout: TableLayout) -> FoundColumns:
    """Return the columns of a layout in the spelling of a file.

    Raises ScenarioError if a column is missing or appears twice.
    """
    found = {
        role: _found(path, begun, wanted)
        for role, wanted in zip(FoundColumns._fields, _names(layout), strict=True)
        if wanted is not None
    }
    if layout.session is not None and found["session"] is None and begun.kind == "json":
        found["session"] = _in_later_rows(begun, layout.session)
    if found.get("session") is None:
        found["elapsed"] = None
    optional = () if layout.is_given else ("session", "elapsed")
    missing = [
        str(getattr(layout, role))
        for role, own in found.items()
        if own is None and getattr(layout, role) is not None and role not in optional
    ]
    if missing:
        line = mapping(begun.leaves)
        expected = (
            line if layout.is_given else f"{','.join(layout.columns)}, or no format and {line}"
        )
        raise missing_columns(path, begun, missing, expected)
    columns = FoundColumns(*(found.get(role) for role in FoundColumns._fields))  # type: ignore[arg-type]
    _refuse_twice(path, columns)
    return columns


def _refuse_twice(path: str, columns: FoundColumns) -> None:
    """Raise ScenarioError if one column is given for two roles."""
    roles: dict[Path, str] = {}
    for role, column in zip(columns._fields, columns, strict=True):
        if column is None:
            continue
        if column in roles:
            raise ScenarioError.at(
                path,
                f"got columns with {'.'.join(column)} as {roles[column]} and as {role}; expected different columns",
            )
        roles[column] = role


def _names(layout: TableLayout) -> tuple[str | None, ...]:
    return (*layout.columns, layout.session, layout.elapsed)


def _found(path: str, begun: Beginning, wanted: str) -> Path | None:
    """Return the column of this name; None if there is no such column."""
    same = alike(begun.names, wanted)
    if len(same) > 1:
        raise alike_columns(path, begun, same)
    if same:
        return (same[0],)
    return _nested(begun.first, wanted.split("."))


def _in_later_rows(begun: Beginning, wanted: str) -> Path | None:
    """Return the key of this name in the first rows; None if no row has it."""
    found: list[Path] = []

    def look(keyed: KeyedRows) -> Batch:
        for row in keyed.rows:
            if not found and (path := _nested(row, [wanted]) or _nested(row, wanted.split("."))):
                found.append(path)
        return NONE

    next(keyed_batches(begun.path, Place(begun.path), look, "rows that are objects"), None)
    return found[0] if found else None


def _nested(value: Any, keys: list[str]) -> Path | None:
    """Return the keys in the spelling of nested objects; None if they do not exist."""
    if not keys:
        return ()
    same = alike(value, keys[0]) if isinstance(value, Mapping) else []
    if len(same) != 1:
        return None
    rest = _nested(value[same[0]], keys[1:])
    return None if rest is None else (same[0], *rest)


def value_at(path: Path) -> Callable[[Any], Any]:
    """Return a function that returns the value at nested keys of a row, or raises KeyError."""
    if len(path) == 1:
        return itemgetter(path[0])

    def value(row: Any) -> Any:
        for key in path:
            row = row[key]
        return row

    return value


def value_or_none_at(path: Path) -> Callable[[Any], Any]:
    """Return a function that returns the value at nested keys of a row, or None."""
    value = value_at(path)

    def found(row: Any) -> Any:
        try:
            return value(row)
        except (KeyError, TypeError):
            return None

    return found
