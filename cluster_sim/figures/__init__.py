"""Figures of runs and of studies, one file each.

matplotlib is imported when the first figure is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from cluster_sim.errors import ScenarioError, cannot_write, did_you_mean
from cluster_sim.figures.purposes import OF_RUNS, OF_STUDIES
from cluster_sim.results.results import Results
from cluster_sim.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cluster_sim.figures.measured_latencies import Curves
    from cluster_sim.figures.study_table import Choice

NAMES = tuple(OF_RUNS)
"""Figures of runs. Each is a file of this folder with two functions: `blank(results)` returns the
figure with empty axes, `draw(results, axes)` draws on them."""

STUDIES = tuple(OF_STUDIES)
"""Figures of studies. Each is a file of this folder with `of_study(table, choice, axes)`."""

# Metadata per format: the date is omitted, so that equal runs give equal bytes.
_FORMATS: dict[str, dict[str, None]] = {
    ".png": {},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


STYLES = ("readme", "paper", "slide")
"""Purposes of a figure: a page as wide as a README, columns of a paper, a slide."""


def draw(
    name: str,
    results: Results | Sequence[Results],
    style: str = "readme",
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Draw one figure of one run, or of several runs together.

    Parameters
    ----------
    name
        Name of the figure, one of NAMES.
    results
        One run, or several in the order in which they are drawn.
    style
        Purpose of the figure, one of STYLES. It sets the width and the size of the text.
    axes
        Axes to draw on; as many as `blank` of the figure's file makes. Default: a new figure.

    Returns
    -------
    Figure
        matplotlib figure with the axes.

    Raises
    ------
    ScenarioError
        The figure or style is unknown, there is no run, or the number of axes is wrong.

    Examples
    --------
    >>> draw("timeline", load_results("runs/small"))  # doctest: +SKIP
    <Figure size 900x765 with 6 Axes>
    """
    if name not in NAMES:
        raise ScenarioError.at(name, f"is no figure{did_you_mean(name, NAMES)}")
    from cluster_sim.figures.literal_text import draw_literally

    runs = [results] if isinstance(results, Results) else list(results)
    if not runs:
        raise ScenarioError.at(name, "got no run; expected one or more")
    module = import_module(f"cluster_sim.figures.{name}")
    if axes is not None:
        if len(axes) != (expected := len(module.blank(runs)[1])):
            raise ScenarioError.at(name, f"got {len(axes)} axes; expected {expected}")
        module.draw(runs, axes)
        return draw_literally(cast("Figure", axes[0].get_figure(root=True)), axes)
    return _styled(style, lambda: _drawn(module, runs))


def _drawn(module: ModuleType, runs: list[Results]) -> Figure:
    """Return the figure of some runs, drawn by its module."""
    figure: Figure
    figure, axes = module.blank(runs)
    module.draw(runs, axes)
    return figure


def _styled(name: str, make: Callable[[], Figure], axes: Sequence[Axes] | None = None) -> Figure:
    """Return the figure that `make` returns, scaled to a style.

    Parameters
    ----------
    name
        Name of the style.
    make
        Function that draws the figure.
    axes
        Axes that `make` draws on, if they were given.
    """
    from cluster_sim.figures.literal_text import draw_literally
    from cluster_sim.figures.sheet import scaled, using

    if name not in STYLES:
        raise ScenarioError.at(name, f"is no style{did_you_mean(name, STYLES)}")
    with using(name) as sheet:
        return draw_literally(scaled(make(), sheet), axes)


def draw_study(  # noqa: PLR0913 - the public function: which figure, of what, and how it is drawn
    name: str,
    path: str | Path,
    choice: Choice | None = None,
    where: Mapping[str, str] | None = None,
    style: str = "readme",
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Draw one figure of the table of a study.

    Parameters
    ----------
    name
        Name of the figure, one of STUDIES.
    path
        Folder of a sweep or of claims, or Parquet file of capacity, sensitivity or claims.
    choice
        Columns that are drawn, axes of a sweep also by their keys in its file. Default: the columns
        that the figure chooses.
    where
        Values by column or key; only rows with these values are drawn.
    style
        Purpose of the figure, one of STYLES. It sets the width and the size of the text.
    axes
        Axes to draw on. Default: a new figure.

    Returns
    -------
    Figure
        matplotlib figure with the axes.

    Raises
    ------
    ScenarioError
        The figure is unknown, or the table lacks a column that the figure needs.

    Examples
    --------
    >>> draw_study("heatmap", "sweeps/small", Choice(metrics=("p99_ttft_ms",)))  # doctest: +SKIP
    <Figure size 900x300 with 2 Axes>
    """
    from cluster_sim.figures import axis_names
    from cluster_sim.figures import study_table as study

    if name not in STUDIES:
        raise ScenarioError.at(name, f"is no figure of a study{did_you_mean(name, STUDIES)}")
    whole, pools = study.read(path), axis_names.pools_of(Path(path))
    chosen = axis_names.named(choice or study.Choice(), whole, pools, name)
    table = axis_names.narrowed(whole, where or {}, pools)
    module = import_module(f"cluster_sim.figures.{name}")
    return _styled(style, lambda: cast("Figure", module.of_study(table, chosen, axes)), axes)


def draw_measured(shown: Sequence[Curves], style: str = "readme") -> Figure:
    """Draw the distributions of measured latencies beside simulated ones.

    Parameters
    ----------
    shown
        Measurements and simulations, in the order in which they are drawn.
    style
        Purpose of the figure, one of STYLES. It sets the width and the size of the text.
    """
    from cluster_sim.figures.measured_latencies import of_latencies

    return _styled(style, lambda: of_latencies(shown))


def save(figure: Figure, path: str | Path, dpi: float = 200.0) -> Path:
    """Write a figure to a file, whole or not at all. The suffix of the path sets the format.

    Parameters
    ----------
    figure
        matplotlib figure.
    path
        File to write: .png, .svg or .pdf.
    dpi
        Resolution of a .png [dots per inch].

    Returns
    -------
    Path
        Path of the file.

    Raises
    ------
    ScenarioError
        The suffix is unknown, or the file cannot be written.
    """
    from matplotlib import rc_context

    from cluster_sim.figures.literal_text import all_letters

    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise ScenarioError.at(
            str(path), f"got the format '{path.suffix}'; expected one of {', '.join(_FORMATS)}"
        )
    try:
        drawn = BytesIO()  # since PDF writers raise other errors than OSError on a full disk
        with rc_context({"svg.hashsalt": "cluster-sim"}), all_letters(figure):
            figure.savefig(
                drawn,
                format=path.suffix.lower()[1:],
                dpi=dpi,
                bbox_inches="tight",
                pad_inches=0.08,
                metadata=_FORMATS[path.suffix.lower()],
            )
        write_whole(path, drawn.getbuffer())
    except OSError as fault:
        raise cannot_write(path, fault) from fault
    return path
