"""What took the bandwidth of memories and links over simulated time, against what they can carry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import lay_time_axis
from cluster_sim.results import bandwidth
from cluster_sim.results.bandwidth import PoolOverTime, Traffic
from cluster_sim.results.results import Results

_BINS = 200
_COLOURS = {
    "steps": style.COLOURS[0],
    "collectives": style.COLOURS[5],
    "KV in": style.COLOURS[1],
    "KV out": style.COLOURS[2],
}


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """For each pool of each run a panel for its memories and one for each kind of its links, over
    one time axis.
    """
    pools = [pool for one in results for pool in bandwidth.over_time(one, 1)[1]]
    return style.blank(
        [height for pool in pools for height in (1.9, *(1.3 for _ in pool.links))], share_x=True
    )


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Traffic of one device as a share of what its memory, or its link, can carry: means over the
    pool and over equal bins.

    The lines on a memory's panel: the share of time in which it is what steps wait for, compute
    over its peak, KV room taken.
    """
    shown = style.variants(results)
    panels, said = iter(axes), []
    last_s = max(one.results.info.simulated_s for one in shown) or 1.0
    second, unit = (
        (1.0, "s") if last_s <= 600.0 else (60.0, "min") if last_s <= 36_000.0 else (3600.0, "h")
    )
    for one in shown:
        edges_s, pools = bandwidth.over_time(one.results, _BINS)
        fullest = {"memory": 0.0, "compute": 0.0, "KV room": 0.0}
        for pool in pools:
            name = (
                f"{one.label}, {pool.pool}"
                if len(pools) > 1 or pool.pool != one.label
                else one.label
            )
            _draw_memory(next(panels), name, pool, edges_s / second)
            for link in pool.links:
                _draw_link(next(panels), name, link, edges_s / second)
            for what, shares in (
                ("memory", pool.saturated),
                ("compute", pool.compute),
                ("KV room", pool.kv_fraction),
            ):
                fullest[what] = max(fullest[what], float(np.max(shares)))
        said.append(
            f"{one.label} "
            + ", ".join(
                f"{what} {style.percent(min(share, 1.0))}" for what, share in fullest.items()
            )
        )
    style.label(axes[-1], x=f"simulated time [{unit}], means over {_BINS} bins")
    lay_time_axis(axes, last_s, second)
    if (figure := axes[0].get_figure(root=True)) is not None:
        style.headline(figure, f"What saturates, at most: {'; '.join(said)}")


def _draw_memory(panel: Axes, name: str, pool: PoolOverTime, edges: np.ndarray) -> None:
    memory = pool.memory
    _stack(panel, memory, edges)
    middles = 0.5 * (edges[1:] + edges[:-1])
    for what, shares, look in (
        ("memory is waited for", pool.saturated, {"color": "#000000", "linestyle": "-"}),
        ("compute", pool.compute, {"color": "#000000", "linestyle": "--"}),
        ("KV room", pool.kv_fraction, {"color": style.COLOURS[3], "linestyle": "-."}),
    ):
        panel.plot(middles, 100 * shares, linewidth=1.1, label=what, **look)  # type: ignore[arg-type]  # colours and dashes are text
    kinds = ", ".join(
        f"{kind} {_rate(float(np.mean(moved)))}" for kind, moved in memory.by_kind.items()
    )
    style.title(
        panel,
        f"{name}: memory of a device, {_rate(memory.capacity_bytes_per_s)} can be reached; mean: {kinds}",
    )
    style.label(panel, y="share [%]")
    panel.legend(loc="upper right", fontsize=8, ncols=6, framealpha=0.8)


def _draw_link(panel: Axes, name: str, link: Traffic, edges: np.ndarray) -> None:
    _stack(panel, link, edges)
    most = 100 * float(np.max(link.total)) / link.capacity_bytes_per_s
    panel.set_ylim(0.0, next((end for end in (1.0, 10.0, 25.0, 50.0) if most <= 0.95 * end), 105.0))
    kinds = ", ".join(
        f"{kind} {_rate(float(np.mean(moved)))}" for kind, moved in link.by_kind.items()
    )
    style.title(
        panel,
        f"{name}: {link.what}, {_rate(link.capacity_bytes_per_s)} a device and direction; mean: {kinds}",
    )
    style.label(panel, y="share [%]")


def _stack(panel: Axes, traffic: Traffic, edges: np.ndarray) -> None:
    below = np.zeros(len(edges) - 1)
    for kind, moved in traffic.by_kind.items():
        top = below + 100 * moved / traffic.capacity_bytes_per_s
        panel.stairs(
            top, edges, baseline=below, fill=True, color=_COLOURS[kind], alpha=0.6, label=kind
        )
        below = top
    panel.axhline(100.0, color="#777777", linestyle=":", linewidth=1.0)
    panel.set_ylim(0.0, 130.0)  # with room for the legend


def _rate(bytes_per_s: float) -> str:
    """As data sheets say it.

    >>> _rate(21e15), _rate(7.1e12), _rate(46e9), _rate(2.5e6)
    ('21 PB/s', '7.1 TB/s', '46 GB/s', '0.0025 GB/s')
    """
    size, unit = next(
        (one for one in ((1e15, "PB/s"), (1e12, "TB/s")) if bytes_per_s >= one[0]), (1e9, "GB/s")
    )
    return f"{bytes_per_s / size:.3g} {unit}"
