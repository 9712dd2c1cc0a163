"""Part of a page about a study: a sweep, a table of capacity or sensitivity, or any table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cluster_sim import figures
from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures.rate_axes import RateAxes, axes_over, rate_axis
from cluster_sim.figures.study_table import Row
from cluster_sim.report.charts import Chart, Line, Series, line, plain
from cluster_sim.report.pictures import Picture, picture
from cluster_sim.report.rows import read_rows
from cluster_sim.report.tables import HEADLINES, Table, heading, of_rows
from cluster_sim.results.metrics.table import METRICS
from cluster_sim.typing import Array

_EACH = 1000
"""Distance between the first line numbers of two studies. Lines of the first study are numbered from
1000, so that no line has the number of a run."""
_METRICS = ("p99_ttft_ms", "p99_tpot_ms", "p99_e2el_ms", "slo_attainment")
_MOST_CHARTS = 24
_MOST_ROWS = 2000
"""Maximum number of rows of a table in a page; the study's file has all rows."""


@dataclass(frozen=True)
class Study:
    """Charts, figures and a table under one heading."""

    heading: str
    """Heading of the study."""
    text: str
    """Sentence below the heading."""
    pictures: list[Picture]
    """Figures of the study."""
    table: Table
    """Table of the study's rows."""
    swings: tuple[tuple[str, float], ...] = ()
    """Catalog figures of a sensitivity, with their effect as a share of the metric."""
    charts: list[Chart] = field(default_factory=list)
    """Interactive charts of the study."""
    lines: list[Line] = field(default_factory=list)
    """Lines that a reader may show or hide in charts and table."""


def is_study(path: Path) -> bool:
    """Return whether a path holds a study, and not a run."""
    return study.file_of(path).is_file()


def read(path: Path, place: int = 0) -> Study:
    """Return the study at a path.

    Parameters
    ----------
    path
        Folder of a sweep, of claims or of a plan, or table in a .parquet, .csv or .json file.
    place
        Index of the study in the page.

    Raises
    ------
    ScenarioError
        The path holds no study.
    """
    if (path / "sweep.parquet").is_file():
        return _sweep(path, _EACH * (place + 1))
    path = study.file_of(path)
    rows = read_rows(path)
    names = set().union(*rows) if rows else set()
    kind, swings = path.stem.replace("_", " ").capitalize(), []
    if {"swing", "metric"} <= names:
        kind = "Sensitivity"
        swings = [
            (str(row["name"]), row["swing"] / abs(row["base"])) for row in rows if row["base"]
        ]
    elif {"optimised", "front", "good"} <= names:
        kind = "Plan"
    elif {"nodes", "front", "good"} <= names:
        kind = "Capacity"
    title = path.parent.name if kind == "Plan" else path.stem
    return Study(
        f"{kind}: {title}",
        _count(rows, str(path)),
        _pictures(path) if path.suffix == ".parquet" else [],
        of_rows(f"All rows of {path.name}", rows[:_MOST_ROWS]),
        tuple(swings),
    )


def of_table(heading: str, text: str, rows: list[Mapping[str, Any]]) -> Study:
    """Return a study of rows from any source, such as a table of claims.

    Parameters
    ----------
    heading
        Heading of the study.
    text
        Sentence below the heading.
    rows
        Rows, each a mapping by column. Headings are the names of columns with their units.
    """
    return Study(heading, text, [], of_rows(heading, rows[:_MOST_ROWS]))


def _sweep(folder: Path, first: int) -> Study:
    """Return the study of a sweep's folder; the number of its first line is `first`."""
    rows = study.read(folder).to_pylist()
    done = study.points(study.read(folder))
    axes = _axes(done)
    lines = {} if axes is None else _lines(done, axes, first)
    line_of_row = None if axes is None or axes.lines is None else axes.lines
    points = of_rows(
        "Points of the sweep",
        rows[:_MOST_ROWS],
        dict.fromkeys(_columns(rows, done)),
        [lines[row[line_of_row]].number if line_of_row else None for row in rows[:_MOST_ROWS]]
        if axes
        else (),
    )
    charts = [] if axes is None else list(_charts(done, axes, lines))
    more = f" {_count(rows, str(folder / 'sweep.parquet'))}" if len(rows) > _MOST_ROWS else ""
    return Study(
        f"Sweep: {folder.name}",
        f"{len(rows):,} points, {len(done):,} done.{more}",
        _pictures(folder, () if axes is None else _drawn_as_charts(done, axes)),
        points,
        (),
        charts,
        list(lines.values()) if line_of_row else [],
    )


def _columns(rows: list[Row], done: list[Row]) -> list[str]:
    """Return the columns of the table of a sweep's points."""
    columns = study.varied(done)
    if len({row["replication"] for row in rows}) > 1:
        columns.append("replication")
    columns += [name for name in HEADLINES if any(row.get(name) is not None for row in rows)]
    if len(done) < len(rows):
        columns += ["status", "reason"]
    return columns


def _axes(rows: list[Row]) -> RateAxes | None:
    """Return the axes of a sweep; None if no rate varies."""
    names = study.varied(rows)
    along = rate_axis(rows, names)
    return None if along is None else axes_over(along, names)


def _lines(rows: list[Row], axes: RateAxes, first: int) -> dict[Any, Line]:
    """Return the line of each value of an axis; a single line without such an axis."""
    if axes.lines is None:
        return {None: line(first, 0, "all points")}
    return {
        value: line(first + place, place, study.described([axes.lines], [value]))
        for place, value in enumerate(study.distinct([row[axes.lines] for row in rows]))
    }


def _charts(rows: list[Row], axes: RateAxes, lines: Mapping[Any, Line]) -> Iterator[Chart]:
    """Yield charts of metrics over the rate, as means over replications.

    There is a chart for each metric and each combination of the other axes.
    """
    facets = study.grouped(rows, axes.rest).items()
    for values, group in islice(facets, _MOST_CHARTS // len(_METRICS)):
        facet = study.described(axes.rest, values)
        for metric in _METRICS:
            series = list(_series(group, axes, lines, metric))
            if not series:
                continue
            rates = [row[axes.along] for row in group]
            is_share = METRICS[metric].unit == "share"
            name = heading(metric).partition(" [")[0]
            what = ": ".join(part for part in (facet, name) if part)
            yield Chart(
                f"{what} over {study.without_unit(axes.along)}",
                study.label(axes.along),
                heading(metric),
                series,
                x_log=min(rates) > 0 and max(rates) > 5 * min(rates),
                y_log=not is_share,
                y_max=100.0 if is_share else None,
            )


def _drawn_as_charts(rows: list[Row], axes: RateAxes) -> tuple[str, ...]:
    """Return the figures that charts show in full: latencies over the rate, unless cut or repeated.

    The figure has more than the charts if there are too many charts, or bands over replications.
    """
    facets = len(study.grouped(rows, axes.rest))
    is_repeated = len({row["replication"] for row in rows}) > 1
    return () if is_repeated or facets > _MOST_CHARTS // len(_METRICS) else ("rate_latency",)


def _series(
    rows: list[Row], axes: RateAxes, lines: Mapping[Any, Line], metric: str
) -> Iterator[Series]:
    """Yield the series of each line that has a point."""
    for value, look in lines.items():
        group = [row for row in rows if axes.lines is None or row[axes.lines] == value]
        points = _means(group, axes.along, metric)
        if len(points):
            x, y = points.T
            yield Series(look.label, look.number, look.colour, plain(y), dash=look.dash, x=plain(x))


def _means(rows: list[Row], along: str, metric: str) -> Array:
    """Return rates, and means over replications in the unit of the metric's heading (points, 2).

    A rate without any value has no point.
    """
    scale = METRICS[metric].report_heading.scale
    known = study.grouped([row for row in rows if row.get(metric) is not None], [along])
    return np.array(
        [
            (rate, scale * np.mean([row[metric] for row in group]))
            for (rate,), group in known.items()
        ],
        dtype=float,
    )


def _count(rows: list[dict[str, Any]], file: str) -> str:
    """Return a sentence about the number of rows, and the file with all rows."""
    if len(rows) > _MOST_ROWS:
        return f"The first {_MOST_ROWS:,} of {len(rows):,} rows; {file} has all rows."
    return f"{len(rows):,} rows."


def _pictures(path: Path, omitted: Collection[str] = ()) -> list[Picture]:
    """Return the figures of a study; figures whose columns the table lacks are omitted too."""
    pictures = []
    for name in figures.STUDIES:
        if name in omitted:
            continue
        try:
            pictures.append(picture(figures.draw_study(name, path)))
        except ScenarioError:
            continue
    return pictures
