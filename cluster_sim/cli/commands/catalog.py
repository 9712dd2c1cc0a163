"""`cluster-sim catalog`: the figures that simulations use, with their sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

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
    *,
    yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the entry as a file to start from.")
    ] = False,
) -> None:
    """List the catalog; with NAME, print one entry with its sources.

    Each figure of an entry has a value, a range, a source and a confidence.
    """
    from cluster_sim.errors import ScenarioError, did_you_mean
    from cluster_sim.schema import KINDS, catalog_kinds, engine_releases
    from cluster_sim.schema.covering_release import covering_release

    if name is None:
        if yaml:
            raise ScenarioError.at("--yaml", "got no NAME; expected the name of an entry")
        for kind in KINDS:
            print(f"{kind}: {', '.join(_listed(kind))}")
        print_line(_HOW_TO_USE)
        return
    kinds = catalog_kinds()
    if name not in kinds:
        remedy = covering_release(name, engine_releases()) or did_you_mean(name, sorted(kinds))
        raise ScenarioError.at("catalog", f"no entry '{name}'{remedy}")
    if yaml:
        print_line(_file_of(kinds[name], name))
    else:
        _print_entry(kinds[name], name)


_HOW_TO_USE = (
    "To use an entry, name it (`model: llama-3.3-70b`), name a file (`model: my-model.yaml`), or change single keys of an entry "
    "(`model: {like: llama-3.3-70b, layers: 40}`). `cluster-sim catalog NAME` prints one entry, with --yaml as a file to start from."
)


def _listed(kind: str) -> list[str]:
    """Return the names of a kind as the list prints them, second names with their entry."""
    from cluster_sim.loading.drafters import is_unused
    from cluster_sim.schema import catalog_names, second_names

    names = catalog_names(kind)
    if kind == "drafters":
        return [f"{name} (its model is refused)" if is_unused(name) else name for name in names]
    entries = second_names(kind)
    return [f"{name} (= {entries[name]})" if name in entries else name for name in names]


def _print_entry(kind: str, name: str) -> None:
    """Print the figures of an entry, their sources, and how a file names the entry."""
    from cluster_sim.loading.drafters import about_its_model
    from cluster_sim.schema import catalog_data, catalog_figures

    data, rows = catalog_data(kind, name), catalog_figures(kind, name)
    stdout().print(_table(f"{data.get('name', name)} ({kind})", rows))
    counts = ", ".join(
        f"{sum(figure.confidence == level for figure in rows)} of {level} confidence"
        for level in ("high", "medium", "low")
    )
    estimates = sum(figure.is_estimate for figure in rows)
    print(f"{len(rows)} figures: {counts}; {estimates} rest on an estimate")
    for line in _citations(rows):
        print_line(line)
    for key, title in (("releases", "releases"), ("fitted_on", "times fitted on")):
        if key in data:
            print_line(f"{title}: {data[key]}")
    if kind == "drafters":
        print_line(about_its_model(name))
    if "predecessor" in data:
        print_line(_about_predecessor(name))
    print_line(f"{_use_of(kind, name, data)} `cluster-sim catalog {name} --yaml` prints its file.")


def _about_predecessor(name: str) -> str:
    """Return from where a device takes the constants that its file does not have."""
    from cluster_sim.hardware.device import device_named

    device = device_named(name)
    gains = device.gains
    assert gains is not None
    compute = ", ".join(f"{each} x {gain:.3g}" for each, gain in gains.compute.items())
    return (
        f"All other constants are those of {device.predecessor} (`cluster-sim catalog {device.predecessor}`), "
        f"with rates of memory x {gains.memory:.3g}, of links x {gains.links:.3g}, of compute in {compute}."
    )


def _file_of(kind: str, name: str) -> str:
    """Return the text of an entry's file, with how to use it above and its sources below."""
    from cluster_sim.schema import CATALOG, catalog_data, catalog_figures, read_text
    from cluster_sim.version import own_version

    text = read_text(CATALOG / kind / f"{name}.yaml")
    head = f"# Copy of {name} ({kind}) in the catalog of cluster-sim {own_version()}."
    cited = [f"# {line}" for line in _citations(catalog_figures(kind, name))]
    named_as = name if kind == "traces" else "FILE"
    use = f"# {_use_of(kind, named_as, catalog_data(kind, name))}"
    return "\n".join([head, use, text.rstrip(), *(["# Sources:", *cited] if cited else [])])


def _citations(rows: Sequence[Figure]) -> list[str]:
    """Return a line for each source of an entry: its key and its citation."""
    from cluster_sim.schema import catalog_sources

    sources = catalog_sources()
    keys = sorted({key for figure in rows for key in figure.sources})
    return [f"{key}: {sources.get(key, 'unknown')}" for key in keys]


def _use_of(kind: str, name: str, data: Mapping[str, Any]) -> str:
    """Return how a scenario, or a file that it names, uses an entry by name or path."""
    from cluster_sim.schema import ENTRY_KINDS, LIKE

    if kind == "traces":
        return f"To use it: `cluster-sim workload fetch {name}` downloads the trace."
    if kind == "workloads":
        preset = f"{{preset: {name}, KEY: VALUE}}"
        whole = preset if "arrivals" in data else f"{{sessions: {preset}}}"
        return f"To use it: `workload: {whole}`."
    key = next(key for key, folder in ENTRY_KINDS.items() if folder == kind)
    return (
        f"To use it: `{key}: {name}`, or `{key}: {{{LIKE}: {name}, KEY: VALUE}}` with other values."
    )


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
