"""Pictures of runs and of studies, one file each; matplotlib is imported when the first is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cluster_sim.figures.study import Choice

NAMES = (
    "arrivals", "bandwidth", "cost_breakdown", "latency_cdf", "power", "thermal", "throttle_map", "timeline", "topology", "ttft_over_time",
)  # fmt: skip
"""The figures: each is a file of this folder with `blank(results)`, its empty axes, and `draw(results, axes)`."""

STUDIES = ("break_even", "heatmap", "pareto", "rate_latency", "tornado")
"""The figures of studies: each is a file of this folder with `of_study(table, choice)`."""

# Formats, and the metadata that would otherwise write the date into the file: the same run makes the same bytes.
_FORMATS: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def draw(name: str, results: Results | Sequence[Results]) -> Figure:
    """The figure called `name` of one run, or of several that are drawn together in the order given.

    Raises ScenarioError where there is no such figure, or no run.
    """
    if name not in NAMES:
        raise ScenarioError.at(name, f"is no figure{did_you_mean(name, NAMES)}")
    runs = [results] if isinstance(results, Results) else list(results)
    if not runs:
        raise ScenarioError.at(name, "has nothing to draw; wanted one run or more")
    module = import_module(f"cluster_sim.figures.{name}")
    figure: Figure
    figure, axes = module.blank(runs)
    module.draw(runs, axes)
    return figure


def draw_study(name: str, path: str | Path, choice: Choice | None = None, where: Mapping[str, str] | None = None) -> Figure:
    """The figure called `name` of the table at `path`: a sweep's folder, or a Parquet file of capacity or sensitivity.

    choice: which columns; where: only rows with these values. Raises ScenarioError where there is no such figure, or the table
    does not have what it draws.
    """
    from cluster_sim.figures import study

    if name not in STUDIES:
        raise ScenarioError.at(name, f"is no figure of a study{did_you_mean(name, STUDIES)}")
    figure: Figure = import_module(f"cluster_sim.figures.{name}").of_study(study.narrowed(study.read(path), where or {}), choice or study.Choice())
    return figure


def save(figure: Figure, path: str | Path, dpi: float = 200.0) -> Path:
    """Write `figure` as the suffix of `path` says: .png (at `dpi`), .svg or .pdf. Returns the path.

    Raises ScenarioError for another suffix, or where it cannot be written.
    """
    from matplotlib import rc_context

    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise ScenarioError.at(str(path), f"'{path.suffix}' is no format of a figure; wanted {', '.join(_FORMATS)}")
    try:
        with rc_context({"svg.hashsalt": "cluster-sim"}):
            figure.savefig(path, dpi=dpi, bbox_inches="tight", pad_inches=0.08, metadata=_FORMATS[path.suffix.lower()])
    except OSError as fault:
        raise ScenarioError.at(str(path), f"cannot be written: {fault.strerror}") from fault
    return path
