"""Messages on files that lack columns of a format or a scenario, with advice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cluster_sim.errors import ScenarioError, visible
from cluster_sim.workload.traces.columns import TraceColumns
from cluster_sim.workload.traces.headings import heading_of
from cluster_sim.workload.traces.known_names import ROLES, known_of, loose, mapping, suggested
from cluster_sim.workload.traces.source import Beginning


class UnknownFormatError(ScenarioError):
    """Error of a file of no known format, whose names may suggest columns."""

    columns: TraceColumns | None = None
    """Columns that the names suggest; None if a column is missing or two may be the same."""


_MOST_NAMES = 12
_MIN_SHARED = 2  # common names of a similar format
_MOST_CHARACTERS = 40  # maximum length of a name in a message


def unknown_format(
    path: str, begun: Beginning, formats: Mapping[str, Sequence[str]]
) -> ScenarioError:
    """Return the error of a file of no known format.

    Parameters
    ----------
    path
        Path of the file.
    begun
        Beginning of the file.
    formats
        Names of columns or keys that each format has.
    """
    if (fault := headless(path, begun)) is not None:
        return fault
    own = set(map(loose, begun.names))
    shared = {name: len(set(map(loose, names)) & own) for name, names in formats.items()}
    near = [name for name in formats if shared[name] >= _MIN_SHARED]
    known = f"a known format ({', '.join(formats)})"
    if near:
        nearest = max(near, key=lambda name: shared[name] / len(formats[name]))
        known = f"the names of {nearest}, the most similar format ({', '.join(formats[nearest])})"
    twice = _twice(begun.names)
    error = UnknownFormatError.at(
        where(path, begun),
        f"has no known format{twice}: got {_kind(begun)} {listed(begun.names)}; expected {mapping(begun.leaves)}, or {known}",
    )
    error.columns = None if twice else suggested(begun.leaves)
    return error


def _twice(names: Sequence[str]) -> str:
    """Return the well-known names that may have the same role, as part of a sentence."""
    for role in ROLES:
        known = known_of(names, role)
        if len(known) > 1:
            return f", since {' and '.join(known)} may both be the {role.name}"
    return ""


def missing_columns(
    path: str, begun: Beginning, missing: Sequence[str], expected: str
) -> ScenarioError:
    """Return the error of a file without these columns or keys; `expected` ends the message."""
    return headless(path, begun) or ScenarioError.at(
        where(path, begun),
        f"has no {_kind(begun, 1)} {listed(missing)}; got {_kind(begun)} {listed(begun.names)}; expected {expected}",
    )


def alike_columns(path: str, begun: Beginning, names: Sequence[str]) -> ScenarioError:
    """Return the error of a file with columns whose names differ only in case or punctuation."""
    return ScenarioError.at(
        where(path, begun),
        f"has {len(names)} {_kind(begun)} with similar names, {listed(names)}; expected one of them (case and punctuation do not distinguish names)",
    )


def headless(path: str, begun: Beginning) -> ScenarioError | None:
    """Return the error of a table without a heading, or with one column; else None."""
    if begun.kind != "table":
        return None
    heading = heading_of(path)
    if len(heading.names) == 1 and not heading.numbers:
        return ScenarioError.at(
            f"{path}:{heading.line}",
            f"has no known format: got one column, {listed(heading.names)}; expected names separated by , ; tab or |, or a first line such as sep=: with another delimiter",
        )
    if heading.numbers < min(2, len(heading.names)):
        return None
    return ScenarioError.at(
        f"{path}:{heading.line}",
        f"has no heading: got {listed(heading.names)}; expected names of columns in the first line, such as timestamp,prompt_tokens,output_tokens",
    )


def where(path: str, begun: Beginning) -> str:
    """Return the location of the names in a file."""
    if begun.kind == "parquet":
        return path
    return f"{path}:{heading_of(path).line}" if begun.kind == "table" else f"{path}:1"


def _kind(begun: Beginning, count: int = 2) -> str:
    name = "key" if begun.kind == "json" else "column"
    return name if count == 1 else f"{name}s"


def listed(names: Iterable[str]) -> str:
    """Return a list of names as text, shortened if there are many.

    >>> listed([]), listed(map(str, range(15)))
    ('none', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 3 more')
    """
    own = [visible(" ".join(name.split())) or "''" for name in names]
    short = [
        name if len(name) <= _MOST_CHARACTERS else f"{name[:_MOST_CHARACTERS]}…" for name in own
    ]
    more = f" and {len(own) - _MOST_NAMES} more" if len(own) > _MOST_NAMES else ""
    return ", ".join(short[:_MOST_NAMES]) + more or "none"
