"""Power caps below the devices' own limits: caps of pools, racks and the row of all nodes."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from cluster_sim.deployment.fleet import resolve
from cluster_sim.physics.node_power import devices_under_w, surroundings_w
from cluster_sim.scenario.pool import Pool
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
    cap_w: float
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


def shared_w(cap_w: float, nodes: list[NodeDraw], policy: str) -> list[float]:
    """Return the share of each node in a cap [W].

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


def node_caps_w(scenario: Scenario) -> list[float]:
    """Return the maximum power of each node at its plug [W], all nodes in order; inf without a cap."""
    draws, caps_w = node_draws(scenario), [inf] * sum(pool.nodes for pool in scenario.cluster.pools)
    for group in capped_nodes(scenario):
        assert scenario.site is not None
        given_w = shared_w(
            group.cap_w, [draws[place] for place in group.nodes], scenario.site.power_sharing
        )
        for place, given in zip(group.nodes, given_w, strict=True):
            caps_w[place] = min(caps_w[place], given)
    return caps_w


def device_caps_w(scenario: Scenario) -> list[float | None]:
    """Return the maximum power of each device of every replica [W], by the number of the replica.

    It is the smallest value that any node of the replica allows; None if the limit of the devices
    is reached first.
    """
    fleet, node_w = resolve(scenario), node_caps_w(scenario)
    first_nodes, count = dict[str, int](), 0
    for pool in scenario.cluster.pools:
        first_nodes[pool.name] = count
        count += pool.nodes
    caps_w: list[float | None] = []
    for replica in fleet.replicas:
        pool, power = replica.deployment.pool, replica.deployment.device.power
        if power is None:
            caps_w.append(None)
            continue
        max_w = pool.node.devices * power.limit_w
        devices_w = min(
            inf
            if (node_cap_w := node_w[first_nodes[pool.name] + node]) == inf
            else devices_under_w(pool.node.power, node_cap_w, max_w) / pool.node.devices
            for node in replica.nodes
        )
        cap_w = min(devices_w, pool.power_limit_w or inf)
        caps_w.append(cap_w if cap_w < power.limit_w * (1.0 - 1e-9) else None)
    return caps_w
