"""`cluster-sim catalog`: the figures that simulations use, with their sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import print_line, stdout

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.schema import Figure


def catalog(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Entry to print; default: all names.", show_default=False
        ),
    ] = None,
) -> None:
    """List the catalog; with NAME, print one entry with its sources.

    Each figure of an entry has a value, a range, a source and a confidence.
    """
    from cluster_sim.errors import ScenarioError, did_you_mean
    from cluster_sim.schema import CATALOG, KINDS, catalog_kinds, catalog_names, figures, read_yaml

    if name is None:
        for kind in KINDS:
            print(f"{kind}: {', '.join(catalog_names(kind))}")
        return
    kinds = catalog_kinds()
    if name not in kinds:
        raise ScenarioError.at("catalog", f"no entry '{name}'{did_you_mean(name, sorted(kinds))}")
    data = read_yaml(CATALOG / kinds[name] / f"{name}.yaml").data
    rows = list(figures(data))
    stdout().print(_table(f"{data.get('name', name)} ({kinds[name]})", rows))
    counts = ", ".join(
        f"{sum(figure.confidence == level for figure in rows)} of {level} confidence"
        for level in ("high", "medium", "low")
    )
    estimates = sum(figure.is_estimate for figure in rows)
    print(f"{len(rows)} figures: {counts}; {estimates} rest on an estimate")
    sources = read_yaml(CATALOG / "sources.yaml").data
    for key in sorted({key for figure in rows for key in figure.sources}):
        print_line(f"{key}: {sources.get(key, 'unknown')}")


def _table(title: str, rows: Sequence[Figure]) -> Table:
    """Return the table of an entry's figures. A repeated note is printed as "as above"."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("figure", "value", "range", "source", "confidence", "note"):
        table.add_column(column, overflow="fold")
    note_above = ""
    for row in rows:
        note = "as above" if row.note and row.note == note_above else row.note
        ends = " to ".join(row.range or ())
        table.add_row(row.path, row.value, ends, row.source, row.confidence, note)
        note_above = row.note
    return table
