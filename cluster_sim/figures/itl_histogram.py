"""Inter-token latency: distribution of all gaps between two tokens of a request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.metrics.gaps import Gaps
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_BINS = 120
_LEAST = 1e-6


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and two panels, one above the other."""
    return style.blank([2.6, 2.4], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw the share of gaps [%] in bins of equal width on a log scale, and the tail.

    Counts are exact: the gaps of a stretch of steps grow linearly, so their number below a limit is
    known in closed form.
    """
    shown = [
        (variant, gaps)
        for variant in style.variants(results)
        if (gaps := metrics.itl(variant.results)).count
    ]
    above, below = axes
    style.label(above, y="share of gaps [%]")
    style.label(below, x="inter-token latency [ms]", y="longer gaps [share]")
    edges_s = bins([gaps for _, gaps in shown])
    style.title(below, "Share of gaps that are longer")
    if edges_s is None:
        for panel in axes:
            style.nothing(panel, "no request finished with more than one token")
        style.title(above, "Gaps between tokens")
    else:
        for variant, gaps in shown:
            _draw_gaps(axes, variant, gaps, edges_s)
        wider = 100 * (edges_s[1] / edges_s[0] - 1)
        style.title(
            above,
            f"Gaps between tokens, in {_BINS} bins, each {wider:.2g} % wider than the bin to its left",
        )
        above.set_ylim(bottom=0.0)
        below.set_ylim(max(0.5 / max(gaps.count for _, gaps in shown), _LEAST), 1.3)
        below.set_xlim(1e3 * edges_s[0], 1e3 * edges_s[-1])
        style.logarithmic(below, "x")
        style.logarithmic(below, "y")
        style.shared_legend(above)
    texts = "; ".join(f"{variant.label} {_percentiles(gaps)}" for variant, gaps in shown)
    style.headline(above, f"Inter-token latency, p50 and p99: {texts or 'no request finished'}")


def _draw_gaps(axes: Sequence[Axes], variant: Variant, gaps: Gaps, edges_s: Array) -> None:
    """Draw the distribution of a run's gaps on both panels."""
    above, below = axes
    so_far = gaps.up_to(edges_s)
    share = np.diff(so_far, prepend=0) / gaps.count
    label = f"{variant.label}: {gaps.count:,} gaps".replace(",", " ")
    above.stairs(
        100.0 * share[1:],
        1e3 * edges_s,
        color=variant.colour,
        linestyle=variant.dash,
        linewidth=1.4,
        label=label,
    )
    longer = np.maximum(1.0 - so_far / gaps.count, _LEAST / 10)
    variant.line(below, 1e3 * edges_s, longer, linewidth=1.6, label=label)


def bins(gaps: Sequence[Gaps], count: int = _BINS) -> Array | None:
    """Return the edges of bins [s], equally spaced on a log scale, that hold all gaps.

    Parameters
    ----------
    gaps
        Gaps of each run.
    count
        Number of bins.

    Returns
    -------
    Array or None
        `count` + 1 edges [s]; None if no gap is longer than 0.
    """
    shortest_s = [
        float(np.min(ramps.first_s[ramps.first_s > 0.0], initial=np.inf)) for ramps in gaps
    ]
    low_s = min(shortest_s, default=np.inf)
    high_s = max((ramps.max() for ramps in gaps), default=0.0)
    if not low_s < np.inf:
        return None
    return np.geomspace(0.95 * low_s, 1.05 * high_s, count + 1)


def _percentiles(gaps: Gaps) -> str:
    p50_s, p99_s = gaps.percentiles([50, 99])
    return f"{style.duration(p50_s)} and {style.duration(p99_s)}"
