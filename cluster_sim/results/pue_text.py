"""PUE of a run in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster_sim.scenario.scenario import Scenario


def pue_text(summary: Mapping[str, Any], scenario: Scenario) -> str:
    """Return the PUE of a run and whose it is; a dash if the power is not known."""
    site = scenario.site
    if "mean_power_w" not in summary:
        return "-"
    if "mean_pue" in summary:
        return f"{summary['mean_pue']:.2f} mean of the plant"
    if site is not None and site.pue is not None:
        return f"{site.pue:.3g} of the site"
    return "1.0: no cooling plant counted"
