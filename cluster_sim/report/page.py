"""One HTML page about runs and studies. The page loads nothing, so it opens offline."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cluster_sim import figures
from cluster_sim.errors import ScenarioError, cannot_write, visible
from cluster_sim.report import charts, run_tables
from cluster_sim.report import verdict as words
from cluster_sim.report.charts import ChartGroup, View
from cluster_sim.report.costs import cost_notes, costs
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
    "attempts",
    "capacity_over_time",
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
"""Figures that the page replaces by interactive charts; all other figures are pictures."""
_GENERATOR = b'<meta name="generator" content="cluster-sim'
_TITLE = re.compile(r"<title>(.*?) – cluster-sim</title>", re.DOTALL)
_BEGINNING_BYTES = 1 << 16  # of a page, in which its generator is named


@dataclass(frozen=True)
class _Runs:
    """Part of a page about runs."""

    views: list[View]
    verdict: list[str]
    warnings: list[str]
    headlines: Table
    reasons: Table
    bursts: Table
    costs: Table
    cost_notes: list[str]
    scenario: Table
    groups: list[ChartGroup]
    pictures: list[Picture]
    fields: Table
    figures_used: Table
    counted: str
    reproduce: list[tuple[View, str, str]]
    """Each run with the SHA-256 of its scenario and the text of its scenario."""


def page(
    results: Sequence[Results] = (),
    studies: Sequence[Study] = (),
    question: str = "",
    title: str = "",
) -> str:
    """Return an HTML page about runs and studies.

    Parameters
    ----------
    results
        Runs in the order in which they are shown.
    studies
        Studies in the order in which they are shown, below the runs.
    question
        Question that the page answers. Default: the first comment of a run's scenario file.
    title
        Title of the page. Default: the names of scenarios and studies.

    Returns
    -------
    str
        Text of the page.

    Raises
    ------
    ScenarioError
        There are no runs and no studies.
    """
    if not results and not studies:
        raise ScenarioError.at(
            "report", "got nothing to show; expected a run folder, a sweep's folder or a table"
        )
    swings = [swing for study in studies for swing in study.swings]
    runs = _runs(results, swings) if results else None
    asked = question or next((text for run in results if (text := _question(run))), "")
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


def _question(run: Results) -> str:
    """Return the question of a run; folders of earlier versions hold the whole first comment.

    Its blank lines, at which the question ends, are two spaces there.
    """
    return (run.info.question or "").strip().partition("  ")[0]


def write(
    path: str | Path,
    results: Sequence[Results] = (),
    studies: Sequence[Study] = (),
    question: str = "",
    title: str = "",
) -> Path:
    """Write an HTML page about runs and studies to a file, whole or not at all.

    Parameters
    ----------
    path
        File to write. An existing report is replaced.
    results, studies, question, title
        Content of the page, see `page`.

    Returns
    -------
    Path
        Path of the file.

    Raises
    ------
    ScenarioError
        The file cannot be written, or it exists and is no report.

    Examples
    --------
    >>> write("report.html", [load_results("runs/small")])  # doctest: +SKIP
    PosixPath('report.html')
    """
    path = Path(path)
    try:
        _refuse_what_is_no_report(path)
        write_whole(path, page(results, studies, question, title).encode())
    except OSError as fault:
        raise cannot_write(path, fault) from fault
    return path


class EarlierReport(NamedTuple):
    """Report that stands in a file."""

    text: str
    """Title and date of the report, in words."""
    content: bytes
    """Content of the file."""


def earlier_report(path: Path) -> EarlierReport | None:
    """Return the report that stands in a file; None if there is none.

    Parameters
    ----------
    path
        File that a report is to be written to.
    """
    try:
        content, written_s = path.read_bytes(), path.stat().st_mtime
    except OSError:
        return None
    beginning = content[:_BEGINNING_BYTES]
    title = _TITLE.search(beginning.decode("utf-8", "replace"))
    if _GENERATOR not in beginning or title is None:
        return None
    when = datetime.fromtimestamp(written_s).strftime("%Y-%m-%d %H:%M")
    return EarlierReport(f"the report of {visible(unescape(title[1]))}, {when}", content)


def _refuse_what_is_no_report(path: Path) -> None:
    """Raise ScenarioError if the file exists and is neither empty nor a report of cluster-sim."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING_BYTES)
    if beginning and _GENERATOR not in beginning:
        raise ScenarioError.at(
            str(path),
            "exists and is no report of cluster-sim; choose another -o FILE, or move the file away",
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
        bursts=run_tables.bursts(shown),
        costs=costs(shown),
        cost_notes=list(cost_notes(shown)),
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
    """Return the figures that the page shows as pictures; figures that cannot be drawn are omitted."""
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
    """Return a value as a page shows it: control characters are spelled; Jinja escapes the rest."""
    return visible(value) if type(value) is str else value


def _for_script(data: Any) -> str:
    """Return JSON for a script element; no text in it can end the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(scripts: Sequence[str]) -> str:
    """Return the content security policy: the page loads nothing and runs only its scripts."""
    allowed = " ".join(map(_hash, scripts))
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src {allowed}; base-uri 'none'; form-action 'none'"
    )


def _hash(script: str) -> str:
    """Return the hash of a script as a content security policy writes it."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
