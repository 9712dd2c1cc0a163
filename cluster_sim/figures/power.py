"""What the nodes draw over simulated time, stacked, against what they could draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.deployment.power_caps import node_caps_w
from cluster_sim.figures import style
from cluster_sim.figures.over_time import lay_time_axis
from cluster_sim.physics.node_power import surroundings_w
from cluster_sim.results import energy
from cluster_sim.results.energy import PowerOverTime
from cluster_sim.results.results import Results

_BINS = 300
_MOST_BANDS = len(style.COLOURS)  # of nodes that are more, those of a pool are one band


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """A panel for each run, over one time axis."""
    return style.blank([2.4] * len(results), share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Means over equal bins of simulated time, one band a node at its plug, one panel a run; the
    lines are every node at its most, and what caps leave.
    """
    shown = style.variants(results)
    found = [energy.nodes(one.results) for one in shown]
    last_s = (
        max([float(node.time_s[-1]) for nodes in found for node in nodes or ()], default=1.0) or 1.0
    )
    second, unit = (
        (1.0, "s") if last_s <= 600.0 else (60.0, "min") if last_s <= 36_000.0 else (3600.0, "h")
    )
    said = []
    for one, nodes, panel in zip(shown, found, axes, strict=True):
        style.label(panel, y=f"{one.label}\npower [kW]")
        if not nodes:
            style.nothing(panel, "the devices of this run do not say what they draw")
            continue
        all_of_them, end_s, most_w = (
            energy.together(nodes),
            float(nodes[0].time_s[-1]),
            _most_w(one.results),
        )
        edges_s = np.linspace(0.0, end_s or 1.0, _BINS + 1)
        bands = _bands(nodes)
        stack = np.cumsum([_means_w(band, edges_s) for band in bands], axis=0) / 1e3
        for place, (band, top) in enumerate(zip(bands, stack, strict=True)):
            below = stack[place - 1] if place else 0.0
            panel.stairs(
                top,
                edges_s / second,
                baseline=below,
                fill=True,
                color=style.COLOURS[place % _MOST_BANDS],
                alpha=0.75,
                label=band.name,
            )
        panel.axhline(most_w / 1e3, color="#000000", linestyle="--", linewidth=1.0)
        panel.text(
            0.995,
            most_w / 1e3,
            "every node at its most",
            transform=panel.get_yaxis_transform(),
            ha="right",
            va="bottom",
            fontsize=8,
        )
        if (capped_w := _capped_w(one.results)) < most_w:
            panel.axhline(capped_w / 1e3, color="#B00020", linewidth=1.2)
            panel.text(
                0.995,
                capped_w / 1e3,
                f"caps: {_kilowatts(capped_w)}",
                transform=panel.get_yaxis_transform(),
                ha="right",
                va="bottom",
                fontsize=8,
                color="#B00020",
            )
        panel.set_ylim(0.0, 1.12 * most_w / 1e3)
        mean_w = all_of_them.energy_j / end_s if end_s else 0.0
        style.title(
            panel,
            f"{one.label}: {_kilowatts(mean_w)} on average, {_kilowatts(all_of_them.peak_w)} at most, of {_kilowatts(most_w)}",
        )
        panel.legend(loc="lower right", fontsize=8, ncols=4, framealpha=0.8)
        said.append(f"{one.label} {all_of_them.energy_j / 3.6e6:.3g} kWh")
    style.label(
        axes[-1], x=f"simulated time [{unit}], means over {_BINS} bins, at the plugs of the nodes"
    )
    lay_time_axis(axes, last_s, second)
    if said and (figure := axes[0].get_figure(root=True)) is not None:
        style.headline(figure, f"Power of the nodes: {', '.join(said)}")


def _bands(nodes: list[PowerOverTime]) -> list[PowerOverTime]:
    """Each node, or where they are too many to tell apart, each pool."""
    if len(nodes) <= _MOST_BANDS:
        return nodes
    pools = dict.fromkeys(node.name.rpartition("/")[0] for node in nodes)
    of_pools = {
        pool: [node for node in nodes if node.name.rpartition("/")[0] == pool] for pool in pools
    }
    return [
        PowerOverTime(f"{pool} ({len(mine)} nodes)", *_times(energy.together(mine)))
        for pool, mine in of_pools.items()
    ]


def _times(one: PowerOverTime) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.time_s, one.watts, one.devices_w


def _means_w(one: PowerOverTime, edges_s: np.ndarray) -> np.ndarray:
    """Exact means over the bins between the edges."""
    so_far_j = np.append(0.0, np.cumsum(one.watts * np.diff(one.time_s)))
    means_w: np.ndarray = np.diff(np.interp(edges_s, one.time_s, so_far_j)) / np.diff(edges_s)
    return means_w


def _most_w(results: Results) -> float:
    """All devices at their limits, and what surrounds them at its most."""
    total_w = 0.0
    for pool in results.scenario.cluster.pools:
        power, around = pool.node.device.power, pool.node.power
        total_w += pool.nodes * (
            (pool.node.devices * power.limit_w if power else 0.0)
            + (around.most_w if around else 0.0)
        )
    return total_w


def _capped_w(results: Results) -> float:
    """What racks, rows and the limits of pools leave of that."""
    scenario, total_w = results.scenario, 0.0
    caps_w = iter(node_caps_w(scenario))
    for pool in scenario.cluster.pools:
        power, around = pool.node.device.power, pool.node.power
        devices_w = (
            pool.node.devices * min(power.limit_w, pool.power_limit_w or power.limit_w)
            if power
            else 0.0
        )
        beside_w = (
            float(surroundings_w(around, devices_w, pool.node.devices * power.limit_w))
            if power and around
            else 0.0
        )
        total_w += sum(min(next(caps_w), devices_w + beside_w) for _ in range(pool.nodes))
    return total_w


def _kilowatts(watts: float) -> str:
    return f"{watts / 1e3:.3g} kW"
