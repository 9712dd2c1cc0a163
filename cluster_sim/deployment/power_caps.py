"""Power caps below the devices' own limits: caps of pools, racks and the row of all nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple

from cluster_sim.deployment.fleet import Fleet, resolve
from cluster_sim.deployment.lent_power import Ask, lent
from cluster_sim.physics.node_power import devices_under_w, surroundings_w
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.power_cap import PowerCap
from cluster_sim.scenario.scenario import Scenario


class NodeDraw(NamedTuple):
    """Range of the power of one node at its plug."""

    pool: Pool
    least_w: float
    """Power with loaded models and no work [W]."""
    most_w: float
    """Power with every device at its limit [W]."""


class CappedNodes(NamedTuple):
    """Nodes that share a cap."""

    key: str
    """Key of the site that sets the cap."""
    cap: PowerCap
    nodes: range
    """Numbers of the nodes among all nodes."""


def node_draws(scenario: Scenario) -> list[NodeDraw]:
    """Return the range of each node's power, all nodes in order; 0 if its power is unknown."""
    draws = []
    for pool in scenario.cluster.pools:
        power, around, devices = pool.node.device.power, pool.node.power, pool.node.devices
        least_w, most_w = (
            (devices * power.loaded_idle_w, devices * power.limit_w) if power else (0.0, 0.0)
        )
        if power is not None and around is not None:
            least_w += float(surroundings_w(around, least_w, devices * power.limit_w))
            most_w += around.most_w
        draws += [NodeDraw(pool, least_w, most_w)] * pool.nodes
    return draws


def capped_nodes(scenario: Scenario) -> Iterator[CappedNodes]:
    """Yield every rack and the row of all nodes, as far as they have caps."""
    site, count = scenario.site, sum(pool.nodes for pool in scenario.cluster.pools)
    if site is not None and site.rack_power_cap_w is not None:
        each = site.rack_nodes or count
        for first in range(0, count, each):
            yield CappedNodes(
                "rack_power_cap", site.rack_power_cap_w, range(first, min(first + each, count))
            )
    if site is not None and site.row_power_cap_w is not None:
        yield CappedNodes("row_power_cap", site.row_power_cap_w, range(count))


def missing_w(scenario: Scenario, key: str) -> float:
    """Return how far the caps of a key are below the idle power of their nodes [W].

    It is the largest difference of all racks, or that of the row, over a schedule; negative if the
    nodes have more power, or without a cap.
    """
    draws = node_draws(scenario)
    return max(
        (
            sum(draws[place].least_w for place in group.nodes) - group.cap.lowest_w
            for group in capped_nodes(scenario)
            if group.key == key
        ),
        default=-inf,
    )


def caps_are_set(scenario: Scenario) -> bool:
    """Return whether a cap can slow any device."""
    if any(cap_w is not None for cap_w in device_caps_w(scenario)):
        return True
    return caps_move(scenario)


def caps_move(scenario: Scenario) -> bool:
    """Return whether caps change during the run: by a schedule, or by what nodes draw."""
    site = scenario.site
    is_shared = any(True for _ in capped_nodes(scenario))
    if site is not None and is_shared and not site.power_sharing.is_fixed:
        return True
    return bool(changes_s(scenario))


def device_caps_move(scenario: Scenario) -> bool:
    """Return whether power caps of devices change during the run, not only clock locks."""
    site = scenario.site
    return caps_move(scenario) and not (
        site is not None and site.power_sharing.locks_clocks and not changes_s(scenario)
    )


def changes_s(scenario: Scenario) -> list[float]:
    """Return the times at which a schedule changes a cap [s], in order."""
    caps = [group.cap for group in capped_nodes(scenario)]
    caps += [pool.power_limit_w for pool in scenario.cluster.pools if pool.power_limit_w]
    return sorted({at_s for cap in caps for at_s in cap.changes_s})


def shared_w(cap_w: float, nodes: Sequence[NodeDraw], policy: str) -> list[float]:
    """Return the fixed share of each node in a cap [W].

    The share is the minimum power of the node and, by `policy`, a part of the rest; see
    site.power_sharing.
    """
    rest_w = cap_w - sum(node.least_w for node in nodes)
    wanted_w = [node.most_w - node.least_w for node in nodes]
    if policy == "proportional":
        share = min(rest_w / total_w, 1.0) if (total_w := sum(wanted_w)) else 1.0
        return [node.least_w + share * more_w for node, more_w in zip(nodes, wanted_w, strict=True)]
    given_w = []
    for node, more_w in zip(nodes, wanted_w, strict=True):
        more_w = min(more_w, max(rest_w, 0.0))
        rest_w -= more_w
        given_w.append(node.least_w + more_w)
    return given_w


def node_caps_w(
    scenario: Scenario, at_s: float = 0.0, wanted_w: Sequence[float] | None = None
) -> list[float]:
    """Return the maximum power of each node at its plug [W], all nodes in order; inf without a cap.

    Parameters
    ----------
    scenario
        Scenario of a run.
    at_s
        Time [s], for caps that move by a schedule.
    wanted_w
        Power that each node asks for [W], for policies that lend. Default: nodes ask for nothing.
    """
    draws = node_draws(scenario)
    caps_w, site = [inf] * len(draws), scenario.site
    if site is None or site.power_sharing.locks_clocks:
        return caps_w
    for group in capped_nodes(scenario):
        nodes, cap_w = [draws[place] for place in group.nodes], group.cap.at_w(at_s)
        if not site.power_sharing.lends:
            given_w = shared_w(cap_w, nodes, site.power_sharing.policy)
        else:
            # racks come first: a node asks the row for no more than its rack gives
            most_w = [min(draws[place].most_w, caps_w[place]) for place in group.nodes]
            asks = [
                Ask(
                    node.least_w,
                    max(node.least_w, min(wanted_w[place] if wanted_w else 0.0, most)),
                    most,
                )
                for place, node, most in zip(group.nodes, nodes, most_w, strict=True)
            ]
            ranks = site.power_sharing.ranks([pool.name for pool in scenario.cluster.pools])
            given_w = lent(cap_w, asks, [ranks[node.pool.name] for node in nodes])
        for place, given in zip(group.nodes, given_w, strict=True):
            caps_w[place] = min(caps_w[place], given)
    return caps_w


def device_caps_w(scenario: Scenario, at_s: float = 0.0) -> list[float | None]:
    """Return the maximum power of each device of every replica [W], by the number of the replica.

    It is the smallest value that any node of the replica allows; None if the limit of the devices
    is reached first. `at_s` is the time [s].
    """
    return replica_caps_w(resolve(scenario), node_caps_w(scenario, at_s), at_s)


def replica_caps_w(fleet: Fleet, node_w: Sequence[float], at_s: float) -> list[float | None]:
    """Return the maximum power of each device of every replica [W], given those of the nodes.

    Parameters
    ----------
    fleet
        Replicas.
    node_w
        Maximum power of each node, all nodes in order [W].
    at_s
        Time, for limits of pools that move by a schedule [s].
    """
    caps_w: list[float | None] = []
    for replica in fleet.replicas:
        pool, power = replica.deployment.pool, replica.deployment.device.power
        if power is None:
            caps_w.append(None)
            continue
        max_w = pool.node.devices * power.limit_w
        first = fleet.first_nodes[pool.name]
        cap_w = min(
            inf
            if node_w[first + node] == inf
            else devices_under_w(pool.node.power, node_w[first + node], max_w) / pool.node.devices
            for node in replica.nodes
        )
        if pool.power_limit_w is not None:
            cap_w = min(cap_w, pool.power_limit_w.at_w(at_s))
        caps_w.append(cap_w if cap_w < power.limit_w * (1.0 - 1e-9) else None)
    return caps_w
