"""Settings of an engine's memory that leave no room, though the weights fit on the devices."""

from __future__ import annotations

from math import ceil, floor

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.schema import Trail
from cluster_sim.serving.profiles import is_written


def fault_of_settings(deployment: Deployment, trail: Trail) -> Finding | None:
    """Return the setting of a file that leaves no KV cache on GPUs; None if weights are too large.

    `trail` is the location of the pool.
    """
    pool, placement, device = deployment.pool, deployment.placement, deployment.device
    if pool.is_wafer or device.weight_memory is not None or pool.engine.memory_base == "free":
        return None
    engine, capacity_bytes = pool.replica.engine, device.memory.capacity_bytes
    weight_bytes, reserved_bytes = placement.weight_bytes, placement.reserved_bytes
    held_bytes = weight_bytes + reserved_bytes
    usable_bytes = placement.kv_bytes + held_bytes
    sums = f"weights take {_size(weight_bytes)}, runtime and other reserves {_size(reserved_bytes)}"
    at: Trail = (*trail, "replica", "engine")
    block_bytes = deployment.block_bytes
    most_bytes = usable_bytes - weight_bytes - (reserved_bytes - engine.reserved_bytes)
    if is_written(engine, "reserved_bytes") and most_bytes > block_bytes:
        return (*at, "reserved"), (
            f"got {_size(engine.reserved_bytes)}, which leaves no KV cache: the engine uses {_size(usable_bytes)} of each "
            f"device of {_size(capacity_bytes)}; {sums}; expected at most {_size(floor((most_bytes - block_bytes) / 1e8) * 1e8)}"
        )
    if held_bytes + block_bytes > capacity_bytes:
        return None
    if pool.kv.memory_fraction is None and engine.static_reserve is not None:
        if not is_written(engine, "static_reserve"):
            return (
                _fault_of_rank_reserve(deployment, trail)
                if pool.replica.data_parallel > 1
                else None
            )
        room_bytes = floor((capacity_bytes - held_bytes - block_bytes) / 1e8) * 1e8
        return (*at, "static_reserve"), (
            f"got a reserve of {_size(capacity_bytes - usable_bytes)}, which leaves no KV cache on each device of "
            f"{_size(capacity_bytes)}: {sums}; expected a reserve of at most {_size(room_bytes)}"
        )
    if pool.kv.memory_fraction is not None:
        at = (*trail, "kv")
    elif not is_written(engine, "memory_fraction"):
        return None
    least = ceil((held_bytes + block_bytes) / capacity_bytes * 1000) / 1000
    return (*at, "memory_fraction"), (
        f"got {usable_bytes / capacity_bytes:.3g}, which leaves no KV cache: of each device of {_size(capacity_bytes)} it is "
        f"{_size(usable_bytes)}; {sums}; expected at least {least:g}, or more devices per replica"
    )


def _fault_of_rank_reserve(deployment: Deployment, trail: Trail) -> Finding:
    """Return that the engine's own reserve, which grows with its attention ranks, takes the memory.

    Public scripts of wide groups give the share themselves: `--mem-fraction-static` 0.8 to 0.87 in
    the recipes that `validation.apart_recipes` and `validation.wide_recipes` cite.
    """
    pool, placement = deployment.pool, deployment.placement
    capacity_bytes = deployment.device.memory.capacity_bytes
    held_bytes = placement.weight_bytes + placement.reserved_bytes
    reserve_bytes = capacity_bytes - (placement.kv_bytes + held_bytes)
    least = ceil((held_bytes + deployment.block_bytes) / capacity_bytes * 1000) / 1000
    return (*trail, "kv"), (
        f"no KV cache is left: {pool.replica.engine.name} reserves {_size(reserve_bytes)} of each device of {_size(capacity_bytes)} "
        f"for graphs of {pool.replica.data_parallel} attention ranks, and weights take {_size(placement.weight_bytes)}; expected "
        f"memory_fraction of at least {least:g}, such as 0.85, or smaller graph_sizes of the engine"
    )


def _size(size: float) -> str:
    """Return a size with one decimal, or with three if it is below ten gigabytes."""
    return f"{size / 1e9:.1f} GB" if abs(size) >= 1e10 else f"{size / 1e9:.3g} GB"
