"""Texts of the figure of the chain of heat: what a column shows, and what happened."""

from __future__ import annotations

import numpy as np

from cluster_sim.deployment.climate import climate_of
from cluster_sim.figures import style
from cluster_sim.figures.chain_courses import FULL_CLOCK, Chain, Latency, mark, mark_of_fall
from cluster_sim.figures.thermal import Hottest
from cluster_sim.results.results import Results
from cluster_sim.scenario.pool import Pool


def header(run: Results, label: str) -> str:
    """Return the label of a run, its machines, and the worst conditions of its first node."""
    pools = run.scenario.cluster.pools
    machines = " and ".join(f"{pool.nodes} {pool.node.name}" for pool in pools)
    return f"{label}: {machines}{_conditions(run, pools[0])}"


def _conditions(run: Results, pool: Pool) -> str:
    site = run.scenario.site
    if site is None or site.inlet_c is None:
        return ""
    worst = climate_of(site, f"{pool.name}/0").worst
    is_air = pool.node.cooling is not None and pool.node.cooling.medium == "air"
    medium, movers = ("air", "fans") if is_air else ("water", "pump")
    flow = "" if worst.flow == 1.0 else f", {movers} at {style.percent(worst.flow)}"
    return f", {medium} {worst.supply_c:.3g} °C{flow}"


def sentence(label: str, courses: Chain, ghost: Chain | None) -> str:
    """Return what heat did to a run, and why."""
    hot = courses.hottest
    if hot is None or courses.clock is None or courses.die is None or hot.device.limits is None:
        return f"{label}: temperatures are not simulated."
    limit_c, highest_c = hot.device.limits.operating_c, float(np.max(hot.die_c))
    if courses.clock.lowest >= FULL_CLOCK:
        return (
            f"{label}: the hottest die reaches {highest_c:.0f} °C, {limit_c - highest_c:.0f} K below its limit, "
            "so its clock stays full and heat costs nothing."
        )
    found = mark(courses.die, courses.burst) or mark_of_fall(courses.clock, courses.burst)
    since = "" if found is None or courses.burst is None else found.at_s - courses.burst.from_s
    lag = "" if since == "" else f" {short(float(since))} into the burst"
    return f"{label}:{lag} a die is at its limit of {limit_c:.0f} °C, so its clock falls to {courses.clock.lowest:.0f} %{_cost(courses, ghost)}."


def _cost(courses: Chain, ghost: Chain | None) -> str:
    """Return what the latencies are instead of what they would be without heat."""
    parts = []
    for name in ("ttft", "tpot"):
        latency: Latency | None = getattr(courses, name)
        other: Latency | None = getattr(ghost, name, None)
        if latency is not None:
            instead = "" if other is None else f" instead of {style.duration(other.p99_s)}"
            parts.append(f"p99 of {name.upper()} is {style.duration(latency.p99_s)}{instead}")
    return f"; {', '.join(parts)}" if parts else ""


def device_text(hot: Hottest) -> str:
    """Return the hottest device, such as `of b200/0/device4`."""
    return f"of {hot.name}"


def short(value_s: float) -> str:
    """Return a time of a mark in few characters.

    >>> short(0.0004), short(0.41), short(3.93), short(206.4)
    ('0 s', '0.4 s', '4 s', '206 s')
    """
    value_s = max(value_s, 0.0)
    return f"{value_s:.1f} s" if 0.05 <= value_s < 0.95 else f"{value_s:.0f} s"


def watts(power_w: float) -> str:
    """Return a power.

    >>> watts(886.6), watts(18_400.0)
    ('887 W', '18.4 kW')
    """
    return f"{power_w:.0f} W" if power_w < 1999.5 else f"{power_w / 1e3:.1f} kW"
