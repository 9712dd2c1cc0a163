"""How evenly tokens come: every gap between two tokens of a request, by length, and the share of
longer ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.results import metrics
from cluster_sim.results.metrics.gaps import Gaps
from cluster_sim.results.results import Results

_BINS = 120
_LEAST = 1e-6


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Two panels, one above the other."""
    return style.blank([2.6, 2.4], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Share of gaps [%] in each of the bins, which are equally wide in log scale, and share of
    longer gaps, on the two `axes`.

    Counts are exact: a stretch of steps is a ramp of gaps, whose numbers below a limit are known in
    closed form.
    """
    shown = style.variants(results)
    gaps = [metrics.itl(one.results) for one in shown]
    above, below = axes
    style.label(above, y="share of gaps [%]")
    style.label(below, x="inter-token latency [ms]", y="longer gaps [share]")
    found = bins([one for one in gaps if one.count])
    style.title(below, "Share of gaps that are longer")
    if found is None:
        for panel in axes:
            style.nothing(panel, "no request finished with more than one token")
        style.title(above, "Gaps between tokens")
    else:
        for one, each in zip(shown, gaps, strict=True):
            if not each.count:
                continue
            so_far = each.up_to(found)
            share = np.diff(so_far, prepend=0) / each.count
            label = f"{one.label}: {each.count:,} gaps".replace(",", " ")
            above.stairs(
                100.0 * share[1:],
                1e3 * found,
                color=one.colour,
                linestyle=one.dash,
                linewidth=1.4,
                label=label,
            )
            longer = 1.0 - so_far / each.count
            below.plot(
                1e3 * found,
                np.maximum(longer, _LEAST / 10),
                color=one.colour,
                linestyle=one.dash,
                linewidth=1.6,
                label=label,
            )
        style.title(
            above,
            f"Gaps between tokens, in {_BINS} bins that are each {100 * (found[1] / found[0] - 1):.2g} % wider than the one before",
        )
        above.set_ylim(bottom=0.0)
        below.set_yscale("log")
        below.set_ylim(max(0.5 / max(one.count for one in gaps), _LEAST), 1.3)
        below.set_xlim(1e3 * found[0], 1e3 * found[-1])
        style.logarithmic(below, "x")
        style.shared_legend(above)
    if (figure := above.get_figure(root=True)) is not None:
        said = [
            f"{one.label} {_said(each)}"
            for one, each in zip(shown, gaps, strict=True)
            if each.count
        ]
        style.headline(
            figure,
            "Gap between two tokens, p50 and p99: " + ("; ".join(said) or "no request finished"),
        )


def bins(gaps: Sequence[Gaps], count: int = _BINS) -> np.ndarray | None:
    """Limits [s], equally far apart in log scale, that hold all gaps; None where there is none
    longer than zero.
    """
    first_s = [float(np.min(one.first_s[one.first_s > 0.0], initial=np.inf)) for one in gaps]
    low_s, high_s = min(first_s, default=np.inf), max((one.max() for one in gaps), default=0.0)
    if not low_s < np.inf:
        return None
    return np.geomspace(0.95 * low_s, 1.05 * high_s, count + 1)


def _said(gaps: Gaps) -> str:
    p50_s, p99_s = gaps.percentiles([50, 99])
    return f"{style.duration(p50_s)} and {style.duration(p99_s)}"
