"""Power of nodes over time, from the stretches of a run: a function of Results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.power import surroundings_w

if TYPE_CHECKING:
    from cluster_sim.results.run import Run
    from cluster_sim.scenario.pool import Pool

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PowerOverTime:
    """Power that is constant in pieces: `watts[i]` from `time_s[i]` until `time_s[i + 1]`, one time
    more than pieces.
    """

    name: str
    """Of the node, as `pool/0`."""
    time_s: Array
    watts: Array
    """At the plug of the node, before the site's PUE."""
    devices_w: Array
    """Of it, what the node's devices draw."""

    @property
    def energy_j(self) -> float:
        """Its integral."""
        return float(np.sum(self.watts * np.diff(self.time_s)))

    @property
    def peak_w(self) -> float:
        """The most that is drawn for any time at all."""
        return float(np.max(self.watts[np.diff(self.time_s) > 0.0], initial=0.0))


def nodes(run: Run, pool: str | None = None) -> list[PowerOverTime] | None:
    """Every node of one pool, or of all, from time 0 until the end of the run; None where a device
    does not say what it draws.

    Within a stretch its mean power is taken, which is exact for the energy of devices. A device
    that holds no replica idles.
    """
    fleet = run.fleet
    chosen = [one for one in fleet.deployments if pool in (None, one.name)]
    if any(deployment.device.power is None for deployment in chosen):
        return None
    table = run.stretches
    replica = table["replica"].to_numpy()
    order = np.argsort(replica, kind="stable")
    replica, began_s, ended_s, energy_j = (
        replica[order],
        *(table[name].to_numpy()[order] for name in ("began_s", "ended_s", "energy_j")),
    )
    end_s = run.info.simulated_s
    events = run.events
    down = events["what"].to_numpy() == "shutdown"
    lost_s = dict(
        zip(
            events["replica"].to_numpy()[down].tolist(),
            events["at_s"].to_numpy()[down].tolist(),
            strict=True,
        )
    )
    powers: list[PowerOverTime] = []
    for deployment in chosen:
        size, power = deployment.devices_per_replica, deployment.device.power
        assert power is not None
        pieces = []
        for number in fleet.numbers(deployment.name):
            mine = slice(*np.searchsorted(replica, (number, number + 1)))
            pieces.append(
                _device(
                    power,
                    began_s[mine],
                    ended_s[mine],
                    energy_j[mine] / size,
                    lost_s.get(number),
                )
            )
        powers += [
            _node(deployment.pool, power, node, pieces, size, end_s)
            for node in range(deployment.pool.nodes)
        ]
    return powers


def together(nodes: list[PowerOverTime]) -> PowerOverTime:
    """Several nodes as one."""
    watts, devices_w = ([getattr(node, name) for node in nodes] for name in ("watts", "devices_w"))
    times_s = [node.time_s[:-1] for node in nodes]
    time_s, total = _summed(times_s, watts)
    _, of_devices = _summed(times_s, devices_w)
    return PowerOverTime(
        "all",
        np.append(time_s, max((float(node.time_s[-1]) for node in nodes), default=0.0)),
        total,
        of_devices,
    )


def _device(
    power: Power, began_s: Array, ended_s: Array, energy_j: Array, lost_s: float | None
) -> tuple[Array, Array]:
    """(times, watts from each on) of one device of a replica whose stretches these are, and which
    is empty from `lost_s` on.
    """
    knots_s = np.maximum.accumulate(
        np.stack([began_s, ended_s], axis=1).ravel()
    )  # one ends where the next begins, up to a rounding
    length_s = ended_s - began_s
    running_w = np.divide(
        energy_j, length_s, out=np.full(len(length_s), power.loaded_idle_w), where=length_s > 0.0
    )
    watts = np.stack([running_w, np.full(len(length_s), power.loaded_idle_w)], axis=1).ravel()
    times_s, watts = np.append(0.0, knots_s), np.append(power.loaded_idle_w, watts)
    return (
        (times_s, watts)
        if lost_s is None
        else (np.append(times_s, lost_s), np.append(watts, power.idle_w))
    )


def _node(
    pool: Pool,
    power: Power,
    node: int,
    replicas: list[tuple[Array, Array]],
    each: int,
    end_s: float,
) -> PowerOverTime:
    """A node of a pool whose replicas fill its nodes one after the other."""
    first, last = node * pool.node.devices, (node + 1) * pool.node.devices
    held = {
        index: min(last, (index + 1) * each) - max(first, index * each)
        for index in range(first // each, -(-last // each))
        if index < len(replicas)
    }
    empty = pool.node.devices - sum(held.values())
    times_s = [np.zeros(1), *(replicas[index][0] for index in held)]
    time_s, devices_w = _summed(
        times_s,
        [
            np.array([empty * power.idle_w]),
            *(count * replicas[index][1] for index, count in held.items()),
        ],
    )
    watts = devices_w
    if pool.node.power is not None:
        watts = devices_w + surroundings_w(
            pool.node.power, devices_w, pool.node.devices * power.limit_w
        )
    return PowerOverTime(
        f"{pool.name}/{node}", np.append(time_s, max(end_s, float(time_s[-1]))), watts, devices_w
    )


def _summed(times_s: list[Array], watts: list[Array]) -> tuple[Array, Array]:
    """(times, watts from each on) of several powers that are constant in pieces, and begin at time
    0, together.
    """
    changes = [np.diff(one, prepend=0.0) for one in watts]
    time_s, change = np.concatenate(times_s), np.concatenate(changes)
    order = np.argsort(time_s, kind="stable")
    return time_s[order], np.cumsum(change[order])
