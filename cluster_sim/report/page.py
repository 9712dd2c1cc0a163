"""One HTML page of runs and studies that opens offline: nothing in it is loaded from anywhere."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster_sim import figures
from cluster_sim.errors import ScenarioError
from cluster_sim.report import charts
from cluster_sim.report import verdict as words
from cluster_sim.report.charts import Group, View
from cluster_sim.report.pictures import Picture, picture
from cluster_sim.report.provenance import CONFIDENCES, Used, used
from cluster_sim.report.studies import Study
from cluster_sim.report.tables import HEADLINES, Cell, Table, cell, heading
from cluster_sim.results.results import Results
from cluster_sim.results.run_folder import package_version
from cluster_sim.scenario.describe import described

if TYPE_CHECKING:
    from jinja2 import Template

ASSETS = Path(__file__).parent / "assets"

_AS_CHARTS = (
    "goodput", "itl_histogram", "latency_ccdf", "latency_cdf", "phase_breakdown", "power", "queue", "timeline", "ttft_over_time", "ttft_tpot_scatter",
)  # fmt: skip
"""Figures whose content the page's charts have; the others are drawn as they are."""


@dataclass(frozen=True)
class _Runs:
    """The part of a page about runs."""

    views: list[View]
    verdict: list[str]
    warnings: list[str]
    headlines: Table
    scenario: Table
    groups: list[Group]
    pictures: list[Picture]
    fields: Table
    figures_used: Table
    counted: str
    reproduce: list[tuple[View, str, str]]
    """Each run, the hash of its scenario, and the scenario."""


def page(
    results: Sequence[Results] = (),
    studies: Sequence[Study] = (),
    question: str = "",
    title: str = "",
) -> str:
    """The page of these runs and studies, in this order.

    question: what is asked, in place of what the runs know of it; title: in place of the names of
    the scenarios. Raises ScenarioError where there is nothing to report.
    """
    if not results and not studies:
        raise ScenarioError.at(
            "report", "has nothing to show; wanted a run folder, a sweep's folder or a table"
        )
    runs = (
        _runs(results, [swing for study in studies for swing in study.swings]) if results else None
    )
    asked = question or next((one.info.question for one in results if one.info.question), "")
    names = title or " and ".join(
        dict.fromkeys(
            [*(one.scenario.name for one in results), *(study.heading for study in studies)]
        )
    )
    drawn = {group.id: charts.as_data(group.charts) for group in runs.groups} if runs else {}
    drawn |= {
        f"study-{place}": charts.as_data(study.charts) for place, study in enumerate(studies, 1)
    }
    scripts = [
        (ASSETS / name).read_text(encoding="utf-8") for name in ("uPlot.iife.min.js", "report.js")
    ]
    return _template().render(
        title=names,
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
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {' '.join(map(_hash, scripts))}; base-uri 'none'; form-action 'none'",
        version=package_version("cluster-sim"),
    )


def write(
    path: str | Path,
    results: Sequence[Results] = (),
    studies: Sequence[Study] = (),
    question: str = "",
    title: str = "",
) -> Path:
    """Write `page` to a file and return its path. Raises ScenarioError where it cannot be written."""
    path, text = Path(path), page(results, studies, question, title)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise ScenarioError.at(str(path), f"cannot be written: {fault.strerror}") from fault
    return path


def _runs(results: Sequence[Results], swings: Sequence[tuple[str, float]]) -> _Runs:
    shown = charts.views(results)
    figures_used = used({view.label: view.results.scenario for view in shown})
    counts = ", ".join(
        f"{sum(one.confidence == confidence for one in figures_used):,} of {confidence}"
        for confidence in reversed(CONFIDENCES)
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
    said = [
        described(
            view.results.scenario,
            {
                deployment.name: deployment.devices_per_replica
                for deployment in view.results.fleet.deployments
            },
        )
        for view in shown
    ]
    names = dict.fromkeys(name for one in said for name in one)
    rows = [[Cell(name), *(Cell(one.get(name, "–")) for one in said)] for name in names]
    return Table(
        "What was simulated",
        ["", *(view.label for view in shown)],
        rows,
        [view.number for view in shown],
        across=True,
    )


def _fields(shown: Sequence[View]) -> Table:
    """Every number of the summaries, those of classes and pools too."""
    flat = [_flat(view.summary) for view in shown]
    names = dict.fromkeys(name for one in flat for name in one)
    rows = [
        [Cell(_titled(name)), *(cell(name.rpartition(": ")[2], one.get(name)) for one in flat)]
        for name in names
    ]
    return Table(
        "Every field of the summaries",
        ["field", *(view.label for view in shown)],
        rows,
        [view.number for view in shown],
        across=True,
    )


def _flat(summary: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in summary.items() if isinstance(value, (int, float))}
    for kind in ("classes", "pools"):
        if len(parts := summary.get(kind, {})) > (
            1 if kind == "pools" else 0
        ):  # of one pool alone the same would stand twice
            found |= {
                f"{part}: {name}": value
                for part, fields in parts.items()
                for name, value in fields.items()
                if isinstance(value, (int, float))
            }
    return found


def _titled(name: str) -> str:
    part, colon, field = name.rpartition(": ")
    return f"{part}{colon}{heading(field)}"


def _figures_used(figures_used: Sequence[Used]) -> Table:
    rows = [
        [
            Cell(one.entry), Cell(one.path), Cell(one.value), Cell(one.confidence, float(CONFIDENCES.index(one.confidence)) if one.confidence in CONFIDENCES else None),
            Cell(one.source), Cell(one.note), Cell(", ".join(one.runs) + (f"; another value in {', '.join(one.changed)}" if one.changed else "")),
        ]
        for one in figures_used
    ]  # fmt: skip
    return Table(
        "Figures of the catalog entries that the runs name",
        ["entry", "figure", "value", "confidence", "source", "note", "used by"],
        rows,
    )


def _pictures(results: Sequence[Results]) -> list[Picture]:
    """Figures that are no charts of the page; those that have nothing to show of these runs are
    left out.
    """
    found = []
    for name in figures.NAMES:
        if name not in _AS_CHARTS:
            try:
                found.append(picture(figures.draw(name, results)))
            except ScenarioError:
                continue
    return found


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
    """JSON that may stand inside a script element: nothing in it can end that."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(script: str) -> str:
    """By which a page allows its own scripts and no others."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
