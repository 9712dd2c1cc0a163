"""Power of the nodes over simulated time, stacked, with their maximum power and caps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.deployment.power_caps import capped_nodes, changes_s, node_caps_w
from cluster_sim.figures import style
from cluster_sim.figures.over_time import lay_time_axis, unit_up_to
from cluster_sim.figures.style import Variant
from cluster_sim.physics.node_power import surroundings_w
from cluster_sim.results import energy
from cluster_sim.results.energy import PowerOverTime
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_BINS = 300
_MOST_BANDS = len(style.COLOURS)
"""Maximum number of bands; with more nodes, the nodes of a pool are one band."""


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and a panel for each run, over one time axis."""
    return style.blank([2.4] * len(results), share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw mean power over equal bins of simulated time: one panel per run, one band per node.

    Power is measured at the inputs of the nodes. Lines are the maximum power of all nodes, and the
    power that caps allow.
    """
    shown = style.variants(results)
    powers = [energy.nodes(variant.results) for variant in shown]
    last_s = max([float(node.time_s[-1]) for nodes in powers for node in nodes or ()], default=1.0)
    unit = unit_up_to(last_s or 1.0)
    texts = []
    for variant, nodes, panel in zip(shown, powers, axes, strict=True):
        style.label(panel, y=f"{variant.label}\npower [kW]")
        if not nodes:
            style.nothing(panel, "the power of this run's devices is not known")
            continue
        total = energy.together(nodes)
        _draw_bands(panel, nodes, unit.second)
        _draw_limits(panel, variant.results, unit.second)
        style.title(panel, _title(variant, total))
        panel.legend(loc="lower right", fontsize=8, ncols=4, framealpha=0.8)
        texts.append(f"{variant.label} {total.energy_j / 3.6e6:.3g} kWh")
    style.label(
        axes[-1],
        x=f"simulated time [{unit.name}]; means over {_BINS} bins, at the nodes' power inputs",
    )
    lay_time_axis(axes, last_s or 1.0, unit.second)
    if texts:
        style.headline(axes[0], f"Energy of the nodes: {', '.join(texts)}")


def _draw_bands(panel: Axes, nodes: list[PowerOverTime], second: float) -> None:
    """Stack the power of nodes, or of pools."""
    edges_s = np.linspace(0.0, float(nodes[0].time_s[-1]) or 1.0, _BINS + 1)
    bands = _bands(nodes)
    stack = np.cumsum([_means_w(band, edges_s) for band in bands], axis=0) / 1e3
    for place, (band, top) in enumerate(zip(bands, stack, strict=True)):
        panel.stairs(
            top,
            edges_s / second,
            baseline=stack[place - 1] if place else 0.0,
            fill=True,
            color=style.COLOURS[place % _MOST_BANDS],
            alpha=0.75,
            label=band.name,
        )


def _draw_limits(panel: Axes, results: Results, second: float) -> None:
    """Draw the maximum power of all nodes, and the power that caps allow."""
    most_w, capped_w = _most_w(results), _capped_w(results, 0.0)
    panel.axhline(most_w / 1e3, color="#000000", linestyle="--", linewidth=1.0)
    _name_line(panel, most_w, "all nodes at maximum power", "#000000")
    if times_s := changes_s(results.scenario):
        edges_s = [0.0, *(at_s for at_s in times_s if at_s < results.info.simulated_s)]
        kilowatts = [_capped_w(results, at_s) / 1e3 for at_s in edges_s]
        end_s = results.info.simulated_s
        panel.stairs(
            kilowatts, np.array([*edges_s, end_s]) / second, color=style.LIMIT, linewidth=1.2
        )
        _name_line(panel, 1e3 * kilowatts[-1], "power caps by schedule", style.LIMIT)
    elif capped_w < most_w:
        panel.axhline(capped_w / 1e3, color=style.LIMIT, linewidth=1.2)
        _name_line(panel, capped_w, f"power caps: {_kilowatts(capped_w)}", style.LIMIT)
    panel.set_ylim(0.0, 1.12 * most_w / 1e3)


def _name_line(panel: Axes, watts: float, text: str, colour: str) -> None:
    panel.text(
        0.995,
        watts / 1e3,
        text,
        transform=panel.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=8,
        color=colour,
    )


def _title(variant: Variant, total: PowerOverTime) -> str:
    end_s = float(total.time_s[-1])
    mean_w = total.energy_j / end_s if end_s else 0.0
    return (
        f"{variant.label}: mean {_kilowatts(mean_w)}, peak {_kilowatts(total.peak_w)}, "
        f"maximum of all nodes {_kilowatts(_most_w(variant.results))}"
    )


def _bands(nodes: list[PowerOverTime]) -> list[PowerOverTime]:
    """Return the bands: nodes, or pools if there are too many nodes to distinguish."""
    if len(nodes) <= _MOST_BANDS:
        return nodes
    by_pool: dict[str, list[PowerOverTime]] = {}
    for node in nodes:
        by_pool.setdefault(node.name.rpartition("/")[0], []).append(node)
    bands = []
    for pool, of_pool in by_pool.items():
        total = energy.together(of_pool)
        bands.append(
            PowerOverTime(
                f"{pool} ({len(of_pool)} nodes)", total.time_s, total.watts, total.devices_w
            )
        )
    return bands


def _means_w(power: PowerOverTime, edges_s: Array) -> Array:
    """Return the exact mean power in each bin between the edges [W]."""
    so_far_j = np.append(0.0, np.cumsum(power.watts * np.diff(power.time_s)))
    means_w: Array = np.diff(np.interp(edges_s, power.time_s, so_far_j)) / np.diff(edges_s)
    return means_w


def _most_w(results: Results) -> float:
    """Return the maximum power of all nodes: devices at their limits, and all other parts [W]."""
    total_w = 0.0
    for pool in results.scenario.cluster.pools:
        power, around = pool.node.device.power, pool.node.power
        total_w += pool.nodes * (
            (pool.node.devices * power.limit_w if power else 0.0)
            + (around.most_w if around else 0.0)
        )
    return total_w


def _capped_w(results: Results, at_s: float) -> float:
    """Return the maximum power within all caps and limits of pools at a time [W]."""
    scenario, total_w = results.scenario, 0.0
    caps_w = iter(node_caps_w(scenario, at_s))
    for pool in scenario.cluster.pools:
        power, around = pool.node.device.power, pool.node.power
        devices_w = beside_w = 0.0
        if power:
            limit_w = pool.power_limit_w.at_w(at_s) if pool.power_limit_w else power.limit_w
            devices_w = pool.node.devices * min(power.limit_w, limit_w)
        if power and around:
            beside_w = float(surroundings_w(around, devices_w, pool.node.devices * power.limit_w))
        total_w += sum(min(next(caps_w), devices_w + beside_w) for _ in range(pool.nodes))
    for key in ("rack_power_cap", "row_power_cap"):
        shared_w = [group.cap.at_w(at_s) for group in capped_nodes(scenario) if group.key == key]
        total_w = min(total_w, sum(shared_w)) if shared_w else total_w
    return total_w


def _kilowatts(watts: float) -> str:
    return f"{watts / 1e3:.3g} kW"
