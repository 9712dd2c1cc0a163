"""Loading of weights: the store that they come from, and the time that it takes."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.scenario.pool import Pool
from cluster_sim.topology import devices_per_host, disk_bandwidth, host_bandwidth_bytes_per_s

OBJECT_STORE_BYTES_PER_S = 5e9
"""Bandwidth at which a server reads weights from an object store [B/s]. Source: Fu et al.,
ServerlessLLM, OSDI 2024, arXiv 2401.14351, section 2: 130 GB take 26 s."""
WAKE_S = 0.2
"""Time to wake a replica whose weights are in the host's memory, apart from their transfer [s]."""
WAKE_BYTES_PER_S = 13e9
"""Bandwidth at which a device takes weights back from the host's memory [B/s].

Estimates: with both constants the measured 0.26 s of 1.2 GB and 0.82 s of 8 GB on an A100, and the
3 to 6 s of 59 GB per device, are met (vLLM's sleep mode of level 1, October 2025).
"""


class WeightStore(NamedTuple):
    """Bandwidths on the way of weights to devices."""

    device_bytes_per_s: float
    """Bandwidth into each device [B/s]."""
    shared_bytes_per_s: float | None = None
    """Bandwidth of the store, which several devices share [B/s]; None if it never limits."""
    sharing: int = 1
    """Maximum number of devices that share the store."""

    def time_s(self, device_bytes: float, devices: int) -> float:
        """Return the time until each of some devices has loaded its own share [s].

        Parameters
        ----------
        device_bytes
            Weights of each device [B].
        devices
            Number of devices of the replica.
        """
        alone_s = device_bytes / self.device_bytes_per_s
        if self.shared_bytes_per_s is None:
            return alone_s
        together = min(devices, self.sharing)
        return max(alone_s, device_bytes * together / self.shared_bytes_per_s)


def weight_store(pool: Pool) -> WeightStore | None:
    """Return the store of a pool's weights; None if its bandwidth is unknown.

    Replicas of one server that load at the same time do not slow each other down: they read the same
    file, which the server's memory then holds.
    """
    plan, node = pool.replica, pool.node
    if plan.load_bandwidth_bytes_per_s:
        return WeightStore(plan.load_bandwidth_bytes_per_s)
    host_bytes_per_s = host_bandwidth_bytes_per_s(node)
    if host_bytes_per_s is None:
        return None
    match plan.weights_at:
        case "host":
            return WeightStore(host_bytes_per_s)
        case "disk":
            disks = disk_bandwidth(node)
            return None if disks is None else WeightStore(host_bytes_per_s, *disks)
        case "network":
            sharing = devices_per_host(node)
            return WeightStore(host_bytes_per_s, OBJECT_STORE_BYTES_PER_S, sharing)


def loading_s(pool: Pool, device_bytes: float, devices: int) -> float | None:
    """Return the time until a replica has loaded its weights [s]; None if it is unknown.

    Parameters
    ----------
    pool
        Pool of the replica.
    device_bytes
        Weights of the device that holds most of them [B].
    devices
        Number of devices of the replica.
    """
    store = weight_store(pool)
    return None if store is None else store.time_s(device_bytes, devices)


def waking_s(device_bytes: float, host_bytes_per_s: float | None) -> float:
    """Return the time in which weights return from the host's memory to a device [s].

    Parameters
    ----------
    device_bytes
        Weights of the device [B].
    host_bytes_per_s
        Bandwidth of the link between host and device [B/s]; None if it is unknown.
    """
    bandwidth = min(WAKE_BYTES_PER_S, host_bytes_per_s or WAKE_BYTES_PER_S)
    return WAKE_S + device_bytes / bandwidth
