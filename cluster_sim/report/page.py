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
from cluster_sim.errors import ScenarioError, cannot_write, visible
from cluster_sim.report import charts, run_tables
from cluster_sim.report import verdict as words
from cluster_sim.report.charts import ChartGroup, View
from cluster_sim.report.pictures import Picture, picture
from cluster_sim.report.provenance import CONFIDENCES, confidence_counts, used
from cluster_sim.report.studies import Study
from cluster_sim.report.tables import Table
from cluster_sim.results.results import Results
from cluster_sim.results.run_folder import package_version
from cluster_sim.whole_files import write_whole

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
_GENERATOR = b'<meta name="generator" content="cluster-sim'
_BEGINNING_BYTES = 1 << 16  # in which a page says what made it


@dataclass(frozen=True)
class _Runs:
    """The part of a page about runs."""

    views: list[View]
    verdict: list[str]
    warnings: list[str]
    headlines: Table
    reasons: Table
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
            "report", "has nothing to show; expected a run folder, a sweep's folder or a table"
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
    """Write `page` to a file, whole or not at all, and return its path.

    Raises
    ------
    ScenarioError
        The file cannot be written, or one is there that is no report.
    """
    path = Path(path)
    try:
        _refuse_what_is_no_report(path)
        write_whole(path, page(results, studies, question, title).encode())
    except OSError as fault:
        raise cannot_write(path, fault) from fault
    return path


def _refuse_what_is_no_report(path: Path) -> None:
    """Raise ScenarioError where a file is there that is neither empty nor a report of ours."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING_BYTES)
    if beginning and _GENERATOR not in beginning:
        raise ScenarioError.at(
            str(path),
            "is there already and is no report of cluster-sim; expected another -o FILE, or that "
            "file moved away",
        )


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
        headlines=run_tables.headlines(shown),
        reasons=run_tables.reasons(shown),
        scenario=run_tables.scenarios(shown),
        groups=charts.groups(shown),
        pictures=_pictures(results),
        fields=run_tables.fields(shown),
        figures_used=run_tables.figures_used_table(figures_used),
        counted=f"{len(figures_used):,} figures: {counts} confidence.",
        reproduce=[
            (view, hashlib.sha256(text.encode()).hexdigest(), text)
            for view in shown
            for text in [view.results.scenario.as_yaml()]
        ],
    )


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
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")


def _shown(value: object) -> object:
    """Return what a page shows of a value; Jinja then escapes it."""
    return visible(value) if type(value) is str else value


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
