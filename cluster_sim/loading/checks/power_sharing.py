"""Checks of the policies that share power caps: pools and devices that they cannot manage."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.power_caps import capped_nodes
from cluster_sim.errors import did_you_mean
from cluster_sim.hardware.clock_grid import ClockGrid
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.power_sharing import Polca
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Trail

_AT: Trail = ("site", "power_sharing")
_CLOCKS = ("low_clock", "lowest_clock", "high_clock", "brake_clock")


def power_sharing_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield what a policy that reads the power of nodes lacks."""
    site, pools = scenario.site, scenario.cluster.pools
    if site is None:
        return
    sharing = site.power_sharing
    if not sharing.is_fixed:
        if not any(True for _ in capped_nodes(scenario)):
            yield (
                _AT,
                f"{sharing.policy} shares no cap; expected 'rack_power_cap' or 'row_power_cap' beside it",
            )
        for pool in pools:
            if pool.node.device.power is None:
                yield (
                    _AT,
                    f"{sharing.policy} reads the power of nodes, and {pool.node.device.name} has no power model; expected 'power' in the device's file",
                )
    for key, names in sharing.named_pools().items():
        yield from _name_faults(names, pools, (*_AT, key))
    known, order = sorted(pool.name for pool in pools), sharing.named_pools().get("order")
    if order and set(order) <= set(known) and sorted(order) != known:
        yield (*_AT, "order"), "expected the name of each pool once"
    if (polca := sharing.as_polca) is not None:
        yield from _clock_faults(polca, pools)


def _name_faults(names: tuple[str, ...], pools: tuple[Pool, ...], at: Trail) -> Iterator[Finding]:
    known = [pool.name for pool in pools]
    for name in names:
        if name not in known:
            yield at, f"got '{name}'{did_you_mean(name, known)}"


def _clock_faults(polca: Polca, pools: tuple[Pool, ...]) -> Iterator[Finding]:
    """Yield clocks of the policy that a device does not have."""
    for key in _CLOCKS:
        clock_hz: float | None = getattr(polca, f"{key}_hz")
        for pool in pools if clock_hz is not None else ():
            device, governor = pool.node.device, pool.node.device.governor
            if governor is None:
                yield (
                    (*_AT, key),
                    f"{device.name} of pool '{pool.name}' has no highest clock; expected 'governor' in the device's file, or no '{key}'",
                )
            elif clock_hz is not None:
                grid = ClockGrid.of(governor)
                if not grid.lowest_hz <= clock_hz <= grid.highest_hz:
                    yield (
                        (*_AT, key),
                        f"got {clock_hz / 1e6:g} MHz; expected a clock of {device.name}, {grid.lowest_hz / 1e6:g} to {grid.highest_hz / 1e6:g} MHz",
                    )
