"""A column of the figure of the chain of heat: the panels of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from cluster_sim.figures import style
from cluster_sim.figures.chain_courses import Chain
from cluster_sim.figures.chain_marks import Course, Mark
from cluster_sim.figures.chain_text import short
from cluster_sim.figures.style import Variant

GHOST = "#8f8f8f"
"""Colour of the run without heat."""
_LINE = 126
"""Number of characters above the panels of all columns together."""
_LOW = 45.0
"""Value of a marked point up to which its text stands above it [%]."""
_NO_HEAT = "temperatures are not simulated:\nthe scenario has no site.inlet"
_OF_HEAT = (2, 3, 4)
"""Rows that are empty without temperatures."""


@dataclass(frozen=True)
class Column:
    """Column of panels: one run."""

    variant: Variant
    chain: Chain
    ghost: Chain | None
    """Courses of the run without heat."""
    panels: Sequence[Axes]
    second: float
    """Seconds per unit of the time axis."""
    columns: int
    """Number of columns of the figure."""

    def line(self, row: int, course: Course | None, ghost: Course | None, **look: Any) -> None:
        """Draw a course, and below it in grey that of the run without heat."""
        panel = self.panels[row]
        if ghost is not None:
            panel.plot(ghost.at_s / self.second, ghost.percent, color=GHOST, linewidth=1.0)
        if course is not None:
            panel.plot(course.at_s / self.second, course.percent, linewidth=1.6, **look)

    def point(self, row: int, found: Mark | None, colour: str, *, what: str = "") -> None:
        """Mark a time on a course, with the time since the burst began."""
        burst = self.chain.burst
        if found is None or burst is None:
            return
        panel, at = self.panels[row], found.at_s / self.second
        fill = colour if found.is_limit else "white"
        panel.plot(
            [at], [found.percent], marker="o", markersize=5.5, color=colour, markerfacecolor=fill
        )
        # below a low point there is no space, and TPOT may have its mark below that of TTFT
        is_high = found.percent < _LOW or what == "TTFT "
        panel.annotate(
            f"{what}+{short(found.at_s - burst.from_s)}",
            (at, found.percent),
            xytext=(6.0, 5.0 if is_high else -4.0),
            textcoords="offset points",
            fontsize=8.5,
            fontweight="bold",
            va="bottom" if is_high else "top",
            color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.3},
            zorder=6,
        )

    def caption(self, row: int, title: str, unit: str = "% of limit") -> None:
        """Write title and unit of a panel, and why it is empty if it is."""
        panel = self.panels[row]
        style.title(panel, title, _LINE // self.columns)
        style.label(panel, y=f"[{unit}]")
        if row in _OF_HEAT and self.chain.hottest is None:
            style.nothing(panel, _NO_HEAT)

    def limit(self, row: int) -> None:
        """Draw the limit of a row."""
        self.panels[row].axhline(100.0, color=style.LIMIT, linewidth=1.0)
