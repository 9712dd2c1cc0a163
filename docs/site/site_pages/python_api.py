"""Reference of the Python interface, which mkdocstrings reads from the docstrings."""

from __future__ import annotations

import cluster_sim
from cluster_sim import figures
from site_pages.page import Page


def names() -> list[str]:
    """Return the full names of all public objects."""
    public = [getattr(cluster_sim, name) for name in cluster_sim.__all__]
    drawing = [figures.draw, figures.draw_study, figures.save]
    return [f"{each.__module__}.{each.__qualname__}" for each in (*public, *drawing)]


def pages() -> list[Page]:
    """Return the page of the Python interface."""
    lines = [
        "# Python interface",
        "`import cluster_sim` has these names; those of `cluster_sim.figures` draw figures.",
        *(f"::: {name}" for name in names()),
    ]
    return [Page("reference/python.md", "Python interface", "\n\n".join(lines), ("Reference",))]
