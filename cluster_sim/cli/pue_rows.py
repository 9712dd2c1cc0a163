"""Row of the run table that says which PUE holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cluster_sim.scenario.scenario import Scenario


def pue_rows(
    summaries: Sequence[Mapping[str, Any]], scenarios: Sequence[Scenario]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the row of the PUE; no row if no variant has a power.

    Parameters
    ----------
    summaries
        Summary of each variant.
    scenarios
        Scenario of each variant; none if they are unknown.
    """
    if scenarios and any("mean_power_w" in summary for summary in summaries):
        cells = map(pue_text, summaries, scenarios)
        yield "PUE", list(cells)


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
