"""Time in which steps wait for memory bandwidth."""

from __future__ import annotations

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.results.run_data import RunData
from cluster_sim.typing import Array

_COLUMNS = (
    "steps", "batch", "prompt_tokens", "context", "growth", "windowed", "growing", "bytes",
    "began_s", "ended_s", "memory_share",
)  # fmt: skip


def memory_bound_s(run: RunData, deployment: Deployment, rows: Array) -> Array:
    """Return the time in which memory bandwidth is saturated, per stretch of a pool [s].

    The time is the bytes of the stretch over the bandwidth that kernels reach, see
    hardware.Efficiency, and over the share that other traffic leaves. It is at most the length of
    the stretch.

    Parameters
    ----------
    run
        Tables of a run.
    deployment
        Deployment of the pool.
    rows
        Indices of the pool's stretches in the table.
    """
    table, device = run.stretches, deployment.device
    column = {name: table[name].to_numpy()[rows] for name in _COLUMNS if name in table.column_names}
    steps, middle = column["steps"], 0.5 * (column["steps"] - 1)
    tokens = column["batch"] + column["prompt_tokens"]
    context, windowed = (
        column["context"] + middle * column["growth"],
        column["windowed"] + middle * column["growing"],
    )
    kv = np.minimum(
        steps * deployment.kv_traffic.step_bytes(tokens, context, windowed, column["batch"]),
        column["bytes"],
    )
    reading, of_kv = 1.0, 1.0
    if device.efficiency is not None:
        reading, of_kv = (
            device.efficiency.weight_bandwidth.of(deployment.weights),
            device.efficiency.kv_bandwidth,
        )
    rate = (
        deployment.devices_per_replica
        * device.memory.bandwidth_bytes_per_s
        * column.get("memory_share", 1.0)
    )
    bound_s: Array = np.minimum(
        ((column["bytes"] - kv) / reading + kv / of_kv) / rate,
        column["ended_s"] - column["began_s"],
    )
    return bound_s


def saturated_fraction(run: RunData, pool: str | None = None) -> float:
    """Return the share of busy time in which steps wait for memory bandwidth."""
    table, bound_s, running_s = run.stretches, 0.0, 0.0
    replica = table["replica"].to_numpy()
    length_s = table["ended_s"].to_numpy() - table["began_s"].to_numpy()
    for deployment in run.fleet.deployments:
        if pool in (None, deployment.name):
            rows = np.nonzero(np.isin(replica, run.fleet.numbers(deployment.name)))[0]
            bound_s += float(np.sum(memory_bound_s(run, deployment, rows)))
            running_s += float(np.sum(length_s[rows]))
    return bound_s / running_s if running_s else 0.0
