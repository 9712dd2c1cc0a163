"""Cooling plant of the site over simulated time: weather, water, power of the plant, and PUE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.deployment.site_plant import PlantCourse
from cluster_sim.figures import style
from cluster_sim.figures.over_time import lay_time_axis, unit_up_to
from cluster_sim.figures.style import Variant
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.site_meter import plant_course
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_NOTHING = "no cooling plant is simulated: the scenario has no site.cooling"


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and three panels over one time axis."""
    return style.blank([1.9, 1.5, 1.5], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw the plant of each run, in steps of at most five minutes.

    Panels show the temperature outside (thin) and that of the plant's water, the power of the
    plant, and the PUE.
    """
    shown = style.variants(results)
    courses = [plant_course(Selection(run)) for run in results]
    last_s = max([float(course.edges_s[-1]) for course in courses if course is not None], default=1)
    unit = unit_up_to(last_s)
    temperature, power, pue = axes
    for variant, course in zip(shown, courses, strict=True):
        if course is not None:
            edges = course.edges_s / unit.second
            temperature.plot(
                (edges[:-1] + edges[1:]) / 2,
                course.outside.dry_c,
                color=variant.colour,
                linewidth=0.8,
                alpha=0.5,
            )
            _steps(variant, temperature, edges, course.water_c)
            _steps(variant, power, edges, course.draw.total_w / 1e3)
            _steps(variant, pue, edges, course.pue)
    labels = ("outside and\nwater [°C]", "plant\n[kW]", "PUE\n[W per W]")
    for panel, label in zip(axes, labels, strict=True):
        style.label(panel, y=label)
        if all(course is None for course in courses):
            style.nothing(panel, _NOTHING)
    style.title(temperature, "Temperature outside (thin) and of the plant's water")
    style.title(power, "Power of chillers, fans and pumps")
    style.title(pue, "Power of the site per power of its nodes")
    if any(course is not None for course in courses):
        power.set_ylim(bottom=0.0)
        pue.set_ylim(bottom=1.0)
    style.label(pue, x=f"simulated time [{unit.name}]")
    lay_time_axis(axes, last_s, unit.second)
    style.shared_legend(power)
    known = {variant.label: course for variant, course in zip(shown, courses, strict=True)}
    style.headline(
        temperature, f"Mean PUE: {style.listed(shown, lambda each: _mean(known[each.label]))}"
    )


def _steps(variant: Variant, panel: Axes, edges: Array, values: Array) -> None:
    """Draw values that are constant between edges."""
    held = np.append(values, values[-1:])
    variant.line(panel, edges, held, linewidth=1.3, drawstyle="steps-post", label=variant.label)


def _mean(course: PlantCourse | None) -> str:
    if course is None:
        return "not known"
    length_s = np.diff(course.edges_s)
    it_j = float(np.sum(course.it_w * length_s))
    overhead_j = float(np.sum(course.overhead_w * length_s))
    return f"{1.0 + overhead_j / it_j:.2f}" if it_j else "not known"
