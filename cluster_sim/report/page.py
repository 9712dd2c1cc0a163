"""One HTML page of runs and studies that opens offline: nothing in it is loaded from anywhere."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster_sim import figures
from cluster_sim.errors import ScenarioError
from cluster_sim.report import charts
from cluster_sim.report import verdict as words
from cluster_sim.report.charts import ChartGroup, View
from cluster_sim.report.pictures import Picture, picture
from cluster_sim.report.provenance import CONFIDENCES, Used, confidence_counts, used
from cluster_sim.report.studies import Study
from cluster_sim.report.tables import HEADLINES, Cell, Table, cell, heading
from cluster_sim.results.results import Results
from cluster_sim.results.run_folder import package_version
from cluster_sim.scenario.describe import described

if TYPE_CHECKING:
    from jinja2 import Template

ASSETS = Path(__file__).parent / "assets"

_AS_CHARTS = (
    "goodput",
    "itl_histogram",
    "latency_ccdf",
    "latency_cdf",
    "phase_breakdown",
    "power",
    "queue",
    "timeline",
    "ttft_over_time",
    "ttft_tpot_scatter",
)
"""Figures whose content the page's charts have; the others are drawn as they are."""


@dataclass(frozen=True)
class _Runs:
    """The part of a page about runs."""

    views: list[View]
    verdict: list[str]
    warnings: list[str]
    headlines: Table
    scenario: Table
    groups: list[ChartGroup]
    pictures: list[Picture]
    fields: Table
    figures_used: Table
    counted: str
    reproduce: list[tuple[View, str, str]]
    """Runs, the hash of the scenario of each, and the scenario."""


def page(
    results: Sequence[Results] = (),
    studies: Sequence[Study] = (),
    question: str = "",
    title: str = "",
) -> str:
    """Return the page of these runs and studies, in this order.

    Parameters
    ----------
    question
        What is asked. Default: what the scenario file of a run asks.
    title
        Title of the page. Default: the names of scenarios and studies.

    Raises
    ------
    ScenarioError
        There is nothing to report.
    """
    if not results and not studies:
        raise ScenarioError.at(
            "report", "has nothing to show; wanted a run folder, a sweep's folder or a table"
        )
    swings = [swing for study in studies for swing in study.swings]
    runs = _runs(results, swings) if results else None
    asked = question or next((run.info.question for run in results if run.info.question), "")
    names = [*(run.scenario.name for run in results), *(study.heading for study in studies)]
    drawn = {group.id: charts.as_data(group.charts) for group in runs.groups} if runs else {}
    drawn |= {
        f"study-{place}": charts.as_data(study.charts) for place, study in enumerate(studies, 1)
    }
    scripts = [
        (ASSETS / name).read_text(encoding="utf-8") for name in ("uPlot.iife.min.js", "report.js")
    ]
    return _template().render(
        title=title or " and ".join(dict.fromkeys(names)),
        question=asked,
        runs=runs,
        studies=studies,
        lines=[*(runs.views if runs else ()), *(line for study in studies for line in study.lines)],
        charts=_for_script(drawn),
        styles=[
            (ASSETS / name).read_text(encoding="utf-8") for name in ("uPlot.min.css", "report.css")
        ],
        scripts=scripts,
        licence=(ASSETS / "uPlot.LICENSE").read_text(encoding="utf-8").strip(),
        policy=_policy(scripts),
        version=package_version("cluster-sim"),
    )


def write(
    path: str | Path,
    results: Sequence[Results] = (),
    studies: Sequence[Study] = (),
    question: str = "",
    title: str = "",
) -> Path:
    """Write `page` to a file and return its path.

    Raises
    ------
    ScenarioError
        The file cannot be written.
    """
    path, text = Path(path), page(results, studies, question, title)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise ScenarioError.at(str(path), f"cannot be written: {fault.strerror}") from fault
    return path


def _runs(results: Sequence[Results], swings: Sequence[tuple[str, float]]) -> _Runs:
    shown = charts.views(results)
    figures_used = used({view.label: view.results.scenario for view in shown})
    by_confidence = confidence_counts(figures_used)
    counts = ", ".join(
        f"{by_confidence[confidence]:,} of {confidence}" for confidence in reversed(CONFIDENCES)
    )
    return _Runs(
        views=shown,
        verdict=words.verdict(shown),
        warnings=words.warnings(shown, figures_used, swings),
        headlines=_headlines(shown),
        scenario=_scenarios(shown),
        groups=charts.groups(shown),
        pictures=_pictures(results),
        fields=_fields(shown),
        figures_used=_figures_used(figures_used),
        counted=f"{len(figures_used):,} figures: {counts} confidence.",
        reproduce=[
            (view, hashlib.sha256(text.encode()).hexdigest(), text)
            for view in shown
            for text in [view.results.scenario.as_yaml()]
        ],
    )


def _headlines(shown: Sequence[View]) -> Table:
    nothing = {"failed": 0, "rejected": 0}  # of which there is nothing to say
    names = [
        name
        for name in HEADLINES
        if any(view.summary.get(name) not in (None, nothing.get(name)) for view in shown)
    ]
    rows = [
        [Cell(view.label), *(cell(name, view.summary.get(name)) for name in names)]
        for view in shown
    ]
    return Table(
        "Runs beside each other",
        ["run", *map(heading, names)],
        rows,
        [view.number for view in shown],
    )


def _scenarios(shown: Sequence[View]) -> Table:
    texts = [
        described(
            view.results.scenario,
            {
                deployment.name: deployment.devices_per_replica
                for deployment in view.results.fleet.deployments
            },
        )
        for view in shown
    ]
    names = dict.fromkeys(name for of_run in texts for name in of_run)
    rows = [[Cell(name), *(Cell(of_run.get(name, "–")) for of_run in texts)] for name in names]
    return Table(
        "What was simulated",
        ["", *(view.label for view in shown)],
        rows,
        [view.number for view in shown],
        across=True,
    )


def _fields(shown: Sequence[View]) -> Table:
    """Return every number of the summaries, those of classes and pools too."""
    flat = [_flat(view.summary) for view in shown]
    rows = []
    for name in dict.fromkeys(name for fields in flat for name in fields):
        part, colon, field = name.rpartition(": ")
        title = Cell(f"{part}{colon}{heading(field)}")
        rows.append([title, *(cell(field, fields.get(name)) for fields in flat)])
    return Table(
        "Every field of the summaries",
        ["field", *(view.label for view in shown)],
        rows,
        [view.number for view in shown],
        across=True,
    )


def _flat(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a summary, those of classes and pools as `PART: FIELD`."""
    flat = _numbers(summary)
    pools = summary.get("pools", {})
    # of one pool alone the same would stand twice
    for parts in (summary.get("classes", {}), pools if len(pools) > 1 else {}):
        for part, fields in parts.items():
            flat |= {f"{part}: {name}": value for name, value in _numbers(fields).items()}
    return flat


def _numbers(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if isinstance(value, (int, float))}


def _figures_used(figures_used: Sequence[Used]) -> Table:
    return Table(
        "Figures of the catalog entries that the runs name",
        ["entry", "figure", "value", "confidence", "source", "note", "used by"],
        [_figure_cells(figure) for figure in figures_used],
    )


def _figure_cells(figure: Used) -> list[Cell]:
    is_known = figure.confidence in CONFIDENCES
    changed = f"; another value in {', '.join(figure.changed)}" if figure.changed else ""
    return [
        Cell(figure.entry),
        Cell(figure.path),
        Cell(figure.value),
        Cell(figure.confidence, float(CONFIDENCES.index(figure.confidence)) if is_known else None),
        Cell(figure.source),
        Cell(figure.note),
        Cell(", ".join(figure.runs) + changed),
    ]


def _pictures(results: Sequence[Results]) -> list[Picture]:
    """Return figures that are no charts of the page, those left out that have nothing to show."""
    pictures = []
    for name in figures.NAMES:
        if name not in _AS_CHARTS:
            try:
                pictures.append(picture(figures.draw(name, results)))
            except ScenarioError:
                continue
    return pictures


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")


def _for_script(data: Any) -> str:
    """Return JSON that may stand inside a script element: nothing in it can end that."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(scripts: Sequence[str]) -> str:
    """Return the policy by which a page loads nothing, and runs its own scripts only."""
    allowed = " ".join(map(_hash, scripts))
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src {allowed}; base-uri 'none'; form-action 'none'"
    )


def _hash(script: str) -> str:
    """Return the hash by which a policy names a script."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
