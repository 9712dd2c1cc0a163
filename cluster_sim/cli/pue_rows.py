"""Row of the run table that says which PUE holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster_sim.results.pue_text import pue_text

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
