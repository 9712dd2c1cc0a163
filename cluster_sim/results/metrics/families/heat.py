"""Heat: maximum temperatures, throttling, and replicas shut down by heat; warm-up included."""

from __future__ import annotations

import numpy as np

from cluster_sim.deployment.power_caps import capped_nodes
from cluster_sim.results.leakage import leakage_of_nodes
from cluster_sim.results.metrics.metric import MACHINES, Metric, Row, Value
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.typing import Array


def _of_devices(selection: Selection, column: str) -> Array:
    """Return a column of the selected devices."""
    devices = selection.run.devices
    values: Array = devices[column].to_numpy()
    if selection.pool is not None:
        values = values[devices["pool"].to_numpy() == selection.pool]
    return values


def _highest_c(selection: Selection, column: str) -> float | None:
    """Return the highest temperature of a column [degC], or None if temperatures are not known."""
    if column not in selection.run.devices.column_names:  # a run of an earlier version
        return None
    values = _of_devices(selection, column)
    return None if np.isnan(values).all() else float(np.nanmax(values))


def _is_known(selection: Selection, column: str) -> bool:
    """Return whether temperatures are known, and the table of devices has a column of theirs."""
    has_column = column in selection.run.devices.column_names
    return has_column and selection.once(_max_die_c) is not None


def _max_die_c(selection: Selection) -> float | None:
    return _highest_c(selection, "max_die_c")


def _max_memory_c(selection: Selection) -> float | None:
    return _highest_c(selection, "max_memory_c")


def _throttled_fraction(selection: Selection) -> float | None:
    if not _is_known(selection, "throttled_s"):
        return None
    simulated_s = selection.run.info.simulated_s
    throttled_s = float(np.nanmean(_of_devices(selection, "throttled_s")))
    return throttled_s / simulated_s if simulated_s else 0.0


def _lowest_clock_fraction(selection: Selection) -> float | None:
    """Return the lowest clock under heat or a power limit; None if no clock was lowered."""
    stretches = selection.run.stretches
    selected = selection.is_of_replicas(stretches["replica"].to_numpy())
    clocks = stretches["clock"].to_numpy()[selected]
    if _is_known(selection, "lowest_clock"):
        lowest = np.nanmin(_of_devices(selection, "lowest_clock"))
        return float(min(lowest, np.min(clocks, initial=1.0)))
    return float(np.min(clocks)) if np.any(clocks < 1.0) else None


def _leakage_kwh(selection: Selection) -> float | None:
    """Return the energy of leakage; None if no temperatures or no leakage were simulated [kWh]."""
    pools = [each.pool for each in selection.run.fleet.deployments]
    chosen = {pool.name for pool in pools if selection.pool in (None, pool.name)}
    leaks = leakage_of_nodes(selection.run)
    if not leaks:
        return None
    nodes = [leak for node, leak in leaks.items() if node.rpartition("/")[0] in chosen]
    return sum(leak.energy_j for leak in nodes) / 3.6e6


def _clock_cap_fraction(selection: Selection) -> float | None:
    """Return the share of the run under a power cap or clock lock; None if there are neither."""
    capped_s, simulated_s = selection.run.info.capped_s, selection.run.info.simulated_s
    if not capped_s or not simulated_s:
        return 0.0 if _has_caps_or_locks(selection.run.scenario) else None
    selected = selection.is_of_replicas(np.arange(len(capped_s)))
    return float(np.mean(np.array(capped_s)[selected])) / simulated_s if selected.any() else None


def _has_caps_or_locks(scenario: Scenario) -> bool:
    """Return whether a power cap or a clock lock could lower a clock."""
    pools = scenario.cluster.pools
    is_limited = any(pool.frequency is not None or pool.power_limit_w is not None for pool in pools)
    return is_limited or next(capped_nodes(scenario), None) is not None


def _count(selection: Selection, event: str) -> Value:
    """Return the number of events of a kind, or None if there was no such event."""
    events = selection.run.events
    happened = events["what"].to_numpy() == event
    selected = happened & selection.is_of_replicas(events["replica"].to_numpy())
    return int(np.sum(selected)) if selected.any() else None


def _brakes(selection: Selection) -> Value:
    """Return the number of power brakes, which are not those of single replicas."""
    count = int(np.sum(selection.run.events["what"].to_numpy() == "power_brake"))
    return count or None


METRICS = (
    Metric(
        "max_die_c",
        "degC",
        "Highest temperature of a die; absent if the site's inlet temperature is not given.",
        _max_die_c,
        scope=MACHINES,
        row=Row(380, "hottest die [°C]", ",.1f"),
    ),
    Metric(
        "max_memory_c",
        "degC",
        "Highest temperature of a memory; absent if it is not known.",
        _max_memory_c,
        scope=MACHINES,
        row=Row(390, "hottest memory [°C]", ",.1f"),
    ),
    Metric(
        "throttled_fraction",
        "share",
        "Share of the run in which heat throttles a device, in the mean over devices; absent if "
        "temperatures are not known.",
        _throttled_fraction,
        scope=MACHINES,
        label="share of time throttled by heat",
        row=Row(400, "time throttled by heat", ".1%"),
    ),
    Metric(
        "lowest_clock_fraction",
        "share",
        "Lowest clock of a device, as a share of its normal clock; absent if temperatures are not known "
        "and no clock was lowered.",
        _lowest_clock_fraction,
        scope=MACHINES,
        label="lowest clock, share of normal",
        row=Row(401, "lowest clock", ".1%"),
    ),
    Metric(
        "leakage_kwh",
        "kWh",
        "Energy of leakage that dies draw because they are warmer than the boards whose power was "
        "measured, a part of the devices' energy; negative if they are colder, absent if it is not "
        "simulated.",
        _leakage_kwh,
        scope=MACHINES,
        is_extensive=True,
        label="energy of leakage [kWh]",
    ),
    Metric(
        "clock_cap_fraction",
        "share",
        "Share of the run in which a power cap or a clock lock lowers the clock of steps, in the mean over replicas; "
        "absent if the scenario has neither.",
        _clock_cap_fraction,
        scope=MACHINES,
        label="share of time under a power cap or clock lock",
        row=Row(402, "time under a power cap or clock lock", ".1%"),
    ),
    Metric(
        "power_brakes",
        "",
        "Number of times that the power brake of a rack or row was commanded; absent if there was none.",
        _brakes,
        scope=MACHINES,
        row=Row(404, "power brakes", ",.0f"),
    ),
    Metric(
        "shutdowns",
        "",
        "Number of times that heat shut a replica down; absent if there was none.",
        lambda selection: _count(selection, "shutdown"),
        scope=MACHINES,
        row=Row(410, "shutdowns", ",.0f"),
    ),
    Metric(
        "retries",
        "",
        "Number of times that a request lost its replica and was sent to another one; absent if there was none.",
        lambda selection: _count(selection, "retried"),
        scope=MACHINES,
    ),
)
