"""Power of nodes over time, from the stretches of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster_sim.deployment.climate import cooling_events, flow_course
from cluster_sim.deployment.device_power import PoweredSteps, device_pieces
from cluster_sim.physics.node_power import surroundings_w, with_flow_w
from cluster_sim.results.leakage import NodeLeakage, leakage_of_nodes
from cluster_sim.results.states import States, states_of
from cluster_sim.results.step_function import StepFunction

if TYPE_CHECKING:
    from cluster_sim.deployment.deployment import Deployment
    from cluster_sim.results.run_data import RunData
    from cluster_sim.scenario.site import Site
    from cluster_sim.typing import Array


@dataclass(frozen=True)
class PowerOverTime:
    """Piecewise constant power of a node: `watts[i]` from `time_s[i]` until `time_s[i + 1]`.

    `time_s` has one element more than `watts`.
    """

    name: str
    """Name of the node, such as `pool/0`."""
    time_s: Array
    watts: Array
    """Power at the plug of the node, without the site's PUE [W]."""
    devices_w: Array
    """Power of the node's devices [W], part of `watts`."""

    @property
    def energy_j(self) -> float:
        """Integral of the power [J]."""
        return float(np.sum(self.watts * np.diff(self.time_s)))

    def energy_until_j(self, times_s: Array) -> Array:
        """Return the integral of the power from the beginning until some times [J]."""
        so_far_j = np.append(0.0, np.cumsum(self.watts * np.diff(self.time_s)))
        until_j: Array = np.interp(times_s, self.time_s, so_far_j)
        return until_j

    @property
    def peak_w(self) -> float:
        """Maximum power [W], over intervals of any positive length."""
        return float(np.max(self.watts[np.diff(self.time_s) > 0.0], initial=0.0))


class _Pieces(NamedTuple):
    """Piecewise constant power; the last piece lasts until the end of the run."""

    from_s: Array
    watts: Array


class _StretchEnergy(NamedTuple):
    """Stretches of all replicas, in order of replicas."""

    replica: Array
    began_s: Array
    ended_s: Array
    energy_j: Array


def nodes(run: RunData, pool: str | None = None) -> list[PowerOverTime] | None:
    """Return the power of every node of one pool, or of all pools, over the run.

    Power is constant within a stretch at the stretch's mean, which is exact for energy; leakage is
    constant within bins of the table of temperatures. A device without a model draws its idle power. A node that is off draws nothing.

    Parameters
    ----------
    run
        Tables of a run.
    pool
        Name of a pool. Default: all pools.

    Returns
    -------
    list of PowerOverTime or None
        Power by node; None if a device has no power model.
    """
    chosen = [deployment for deployment in run.fleet.deployments if pool in (None, deployment.name)]
    if any(deployment.device.power is None for deployment in chosen):
        return None
    stretches, states, leaks = _stretches(run), states_of(run), leakage_of_nodes(run)
    return [
        _with_leakage(node, leaks[node.name]) if node.name in leaks else node
        for deployment in chosen
        for node in _nodes(
            deployment, _replicas(deployment, stretches, states), states, run.scenario.site
        )
    ]


def together(nodes: Sequence[PowerOverTime]) -> PowerOverTime:
    """Return the summed power of several nodes over time.

    Parameters
    ----------
    nodes
        Power of each node over the same run.

    Examples
    --------
    >>> node = PowerOverTime("x/0", np.array([0.0, 2.0]), np.array([100.0]), np.array([80.0]))
    >>> together([node, node]).energy_j  # 2 nodes of 100 W for 2 s
    400.0
    """
    total = _summed([_Pieces(node.time_s[:-1], node.watts) for node in nodes])
    of_devices = _summed([_Pieces(node.time_s[:-1], node.devices_w) for node in nodes])
    end_s = max((float(node.time_s[-1]) for node in nodes), default=0.0)
    return PowerOverTime("all", np.append(total.from_s, end_s), total.watts, of_devices.watts)


def _with_leakage(node: PowerOverTime, leakage: NodeLeakage) -> PowerOverTime:
    """Return the power of a node with the leakage of its devices.

    What surrounds the devices follows their power without it.
    """
    extra = PowerOverTime(node.name, leakage.time_s, leakage.watts, leakage.watts)
    return replace(together([node, extra]), name=node.name)


def _stretches(run: RunData) -> _StretchEnergy:
    table = run.stretches
    order = np.argsort(table["replica"].to_numpy(), kind="stable")
    return _StretchEnergy(
        *(table[name].to_numpy()[order] for name in ("replica", "began_s", "ended_s", "energy_j"))
    )


def _replicas(deployment: Deployment, stretches: _StretchEnergy, states: States) -> list[_Pieces]:
    """Return the power of one device of each replica of a deployment."""
    power, replicas = deployment.device.power, []
    assert power is not None
    for number in states.fleet.numbers(deployment.name):
        selected = slice(*np.searchsorted(stretches.replica, (number, number + 1)))
        began_s, ended_s, energy_j = (column[selected] for column in stretches[1:])
        length_s, each_j = ended_s - began_s, energy_j / deployment.devices_per_replica
        loaded_w = np.full(len(length_s), power.loaded_idle_w)
        running_w = np.divide(each_j, length_s, out=loaded_w, where=length_s > 0.0)
        steps = PoweredSteps(began_s, ended_s, running_w, np.zeros(len(length_s)))
        knots_s, watts = device_pieces(steps, states.idle_power(number, power))
        replicas.append(_Pieces(np.append(0.0, knots_s), watts))
    return replicas


def _nodes(
    deployment: Deployment, replicas: Sequence[_Pieces], states: States, site: Site | None
) -> Iterator[PowerOverTime]:
    """Yield the power of each node of a deployment.

    `replicas` holds the power of one device per replica.
    """
    node, power = deployment.pool.node, deployment.device.power
    assert power is not None
    on_nodes = states.fleet.devices_held(deployment.name)
    for number, is_on in enumerate(states.nodes_on(deployment)):
        held = on_nodes.get(number, {})
        empty = node.devices - sum(held.values())
        flow = _flow(deployment, number, site, states.end_s)
        devices = _summed(
            [
                *(() if flow is None else (_Pieces(flow.from_s, np.zeros(len(flow.from_s))),)),
                _Pieces(is_on.from_s, empty * power.idle_w * is_on.values),
                *(
                    _Pieces(replicas[index].from_s, count * replicas[index].watts)
                    for index, count in held.items()
                ),
            ]
        )
        watts = devices.watts
        if node.power is not None:
            around_w = surroundings_w(node.power, watts, node.devices * power.limit_w)
            if flow is not None and node.cooling is not None:
                moved = node.power.moved(node.cooling.medium)
                around_w = with_flow_w(around_w, moved, flow.at(devices.from_s))
            watts = watts + around_w
        time_s = np.append(devices.from_s, max(states.end_s, float(devices.from_s[-1])))
        running = _while_on(is_on, devices.from_s)
        yield PowerOverTime(
            f"{deployment.name}/{number}", time_s, running * watts, running * devices.watts
        )


def _flow(
    deployment: Deployment, number: int, site: Site | None, end_s: float
) -> StepFunction | None:
    """Return the flow of a node's coolant until the end of the run; None if it is always full."""
    course = flow_course(cooling_events(site, deployment.pool, number)) if site else None
    if course is None:
        return None
    in_run = course.from_s <= end_s
    return StepFunction(course.from_s[in_run], course.flow[in_run])


def _while_on(is_on: StepFunction, from_s: Array) -> Array | float:
    """Return 1 for each piece of a node's power while the node is on, else 0."""
    return 1.0 if len(is_on.from_s) == 1 and is_on.values[0] else is_on.at(from_s)


def _summed(powers: Sequence[_Pieces]) -> _Pieces:
    """Return the sum of several powers, which all begin at time 0."""
    changes = [np.diff(power.watts, prepend=0.0) for power in powers]
    time_s = np.concatenate([power.from_s for power in powers])
    change = np.concatenate(changes)
    order = np.argsort(time_s, kind="stable")
    return _Pieces(time_s[order], np.cumsum(change[order]))
