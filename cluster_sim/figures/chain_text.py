"""Texts of the figure of the chain of heat: what a column shows, and what happened."""

from __future__ import annotations

import numpy as np

from cluster_sim.deployment.climate import climate_of
from cluster_sim.figures import style
from cluster_sim.figures.chain_courses import Chain, Latency
from cluster_sim.figures.chain_marks import AT_LIMIT, FULL_CLOCK, Mark, mark, mark_of_fall
from cluster_sim.results.results import Results
from cluster_sim.scenario.pool import Pool


def machines(run: Results) -> str:
    """Return the machines of a run, and the worst conditions of its first node."""
    pools = run.scenario.cluster.pools
    nodes = " and ".join(f"{pool.nodes} {pool.node.name}" for pool in pools)
    return f"{nodes}{_conditions(run, pools[0])}"


def _conditions(run: Results, pool: Pool) -> str:
    site = run.scenario.site
    if site is None or site.inlet_c is None:
        return ""
    worst = climate_of(run.scenario, pool, 0).worst
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
    drawn = watts(float(np.max(hot.power_w)))
    if courses.clock.lowest >= FULL_CLOCK:
        return (
            f"{label}: with up to {drawn} the hottest die reaches {highest_c:.0f} °C, {limit_c - highest_c:.0f} K below its limit, "
            "so its clock stays full and heat costs nothing."
        )
    part, found = _first_limit(courses)
    lag = ""
    if found is not None and courses.burst is not None:
        lag = f" {short(found.at_s - courses.burst.from_s)} into the burst"
    return f"{label}: with up to {drawn} {part}{lag}, so its clock falls as low as {courses.clock.lowest:.0f} %{_cost(courses, ghost)}."


def _first_limit(courses: Chain) -> tuple[str, Mark | None]:
    """Return which part of the hottest device is at its limit, and when it is there first."""
    assert courses.hottest is not None and courses.clock is not None
    limits = courses.hottest.device.limits
    assert limits is not None
    for name, course, limit_c in (
        ("the hottest die", courses.die, limits.operating_c),
        ("the hottest memory", courses.memory, limits.memory_c),
    ):
        if course is not None and course.highest >= AT_LIMIT:
            found = mark(course, courses.burst)
            return f"{name} reaches its limit of {limit_c:.0f} °C", found
    fall = mark_of_fall(courses.clock, courses.burst)
    coolant = "" if limits.coolant_c is None else f" of {limits.coolant_c:.0f} °C"
    return f"the coolant reaches its limit{coolant}", fall


def _cost(courses: Chain, ghost: Chain | None) -> str:
    """Return the latency that heat lengthens most, and what it would be without heat."""
    rises = []
    for name in ("ttft", "tpot"):
        latency: Latency | None = getattr(courses, name)
        other: Latency | None = getattr(ghost, name, None)
        if latency is not None:
            before_s = latency.limit_s if other is None else other.p99_s
            instead = "" if other is None else f" instead of {style.duration(before_s)}"
            text = f" and {name.upper()} p99 is {style.duration(latency.p99_s)}{instead}"
            rises.append((latency.p99_s / max(before_s, 1e-9), text))
    return max(rises)[1] if rises else ""


def bus_text(courses: Chain) -> str:
    """Return the mean use of the memory bus in the burst, or its highest use without a burst."""
    bus, burst = courses.bus, courses.burst
    if burst is None:
        return f"at most {style.percent(min(bus.highest / 100, 1.0))} of its bandwidth"
    inside = (bus.at_s >= burst.from_s) & (bus.at_s <= burst.until_s)
    mean = float(np.mean(bus.percent[inside])) if inside.any() else 0.0
    return f"{style.percent(min(mean / 100, 1.0))} of its bandwidth in the burst"


def short(value_s: float) -> str:
    """Return a time of a mark in few characters.

    >>> short(0.0004), short(0.41), short(3.93), short(206.4)
    ('0 s', '0.4 s', '4 s', '206 s')
    """
    value_s = max(value_s, 0.0)
    return f"{value_s:.1f} s" if 0.05 <= value_s < 0.95 else f"{value_s:.0f} s"


def watts(power_w: float, limit_w: float | None = None) -> str:
    """Return a power, and its limit if there is one.

    >>> watts(886.6), watts(886.6, 1000.0), watts(12_300.0, 18_400.0)
    ('887 W', '887 of 1000 W', '12.3 of 18.4 kW')
    """
    values_w = [power_w] if limit_w is None else [power_w, limit_w]
    is_small = max(values_w) < 1999.5
    texts = [f"{value_w:.0f}" if is_small else f"{value_w / 1e3:.1f}" for value_w in values_w]
    return f"{' of '.join(texts)} {'W' if is_small else 'kW'}"
