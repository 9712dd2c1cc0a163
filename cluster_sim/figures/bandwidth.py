"""Bandwidth of memories and links over time, by kind of traffic, as a share of the capacity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import lay_time_axis, unit_up_to
from cluster_sim.results import bandwidth
from cluster_sim.results.bandwidth import PoolOverTime, Traffic
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_BINS = 200
_COLOURS = {
    "steps": style.COLOURS[0],
    "collectives": style.COLOURS[5],
    "KV in": style.COLOURS[1],
    "KV out": style.COLOURS[2],
}


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and its panels, which share a time axis.

    Each pool of each run has a panel for its memories, and one for each kind of its links.
    """
    pools = [pool for run in results for pool in bandwidth.over_time(run, 1)[1]]
    return style.blank(
        [height for pool in pools for height in (1.9, *(1.3 for _ in pool.links))], share_x=True
    )


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw the traffic per device as a share of the bandwidth of its memory or link [%].

    Shares are means over the pool and over equal bins. Lines on the panel of a memory are the share
    of time in which memory bandwidth limits the step, the share of peak compute that is used, and
    the share of the KV cache that is used.
    """
    shown = style.variants(results)
    panels, texts = iter(axes), []
    last_s = max(variant.results.info.simulated_s for variant in shown) or 1.0
    unit = unit_up_to(last_s)
    for variant in shown:
        edges_s, pools = bandwidth.over_time(variant.results, _BINS)
        for pool in pools:
            is_only = len(pools) == 1 and pool.pool == variant.label
            name = variant.label if is_only else f"{variant.label}, {pool.pool}"
            _draw_memory(next(panels), name, pool, edges_s / unit.second)
            for link in pool.links:
                _draw_link(next(panels), name, link, edges_s / unit.second)
        texts.append(f"{variant.label} {_fullest(pools)}")
    style.label(axes[-1], x=f"simulated time [{unit.name}], means over {_BINS} bins")
    lay_time_axis(axes, last_s, unit.second)
    style.headline(axes[0], f"Maximum in any bin: {'; '.join(texts)}")


def _fullest(pools: Sequence[PoolOverTime]) -> str:
    """Return the maximum use of memory, compute and KV cache of these pools, as text."""
    fullest = {
        "time limited by memory": max([0.0, *(float(np.max(pool.saturated)) for pool in pools)]),
        "compute": max([0.0, *(float(np.max(pool.compute)) for pool in pools)]),
        "KV cache": max([0.0, *(float(np.max(pool.kv_fraction)) for pool in pools)]),
    }
    return ", ".join(f"{name} {style.percent(min(share, 1.0))}" for name, share in fullest.items())


def _draw_memory(panel: Axes, name: str, pool: PoolOverTime, edges: Array) -> None:
    memory = pool.memory
    _stack(panel, memory, edges)
    middles = 0.5 * (edges[1:] + edges[:-1])
    for label, shares, colour, dash in (
        ("time limited by memory", pool.saturated, "#000000", "-"),
        ("compute used", pool.compute, "#000000", "--"),
        ("KV cache used", pool.kv_fraction, style.COLOURS[3], "-."),
    ):
        panel.plot(middles, 100 * shares, linewidth=1.1, label=label, color=colour, linestyle=dash)
    reachable = _rate(memory.capacity_bytes_per_s)
    style.title(panel, f"{name}: memory per device, {reachable} attainable; mean: {_means(memory)}")
    style.label(panel, y="share [%]")
    panel.legend(loc="upper right", fontsize=8, ncols=6, framealpha=0.8)


def _draw_link(panel: Axes, name: str, link: Traffic, edges: Array) -> None:
    _stack(panel, link, edges)
    panel.set_ylim(bottom=0.0)
    style.round_percent(panel, 100 * float(np.max(link.total)) / link.capacity_bytes_per_s, 105.0)
    capacity = _rate(link.capacity_bytes_per_s)
    style.title(
        panel, f"{name}: {link.what}, {capacity} per device and direction; mean: {_means(link)}"
    )
    style.label(panel, y="share [%]")


def _means(traffic: Traffic) -> str:
    return ", ".join(
        f"{kind} {_rate(float(np.mean(moved)))}" for kind, moved in traffic.by_kind.items()
    )


def _stack(panel: Axes, traffic: Traffic, edges: Array) -> None:
    """Stack the shares of the bandwidth that each kind of traffic uses [%]."""
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
    """Return a bandwidth [bytes/s] with a unit, as in data sheets.

    >>> _rate(21e15), _rate(7.1e12), _rate(46e9), _rate(2.5e6)
    ('21 PB/s', '7.1 TB/s', '46 GB/s', '0.0025 GB/s')
    """
    units = ((1e15, "PB/s"), (1e12, "TB/s"))
    size, unit = next((unit for unit in units if bytes_per_s >= unit[0]), (1e9, "GB/s"))
    return f"{bytes_per_s / size:.3g} {unit}"
