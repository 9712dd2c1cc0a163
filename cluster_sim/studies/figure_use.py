"""Part of an answer that a catalog figure can change in one scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from cluster_sim.hardware.kernel_fits import key_of_engine
from cluster_sim.physics.expert_kernels import ExpertKernels
from cluster_sim.scenario.exchanges import exchanges_of
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import catalog_entry, entry_name
from cluster_sim.serving.own_times import OwnTimes

Part = Literal["speed", "price", "power", "heat"]
"""Part of the answer: latencies and rates, costs, energy, or temperatures."""

_HEAT = ("limits", "refresh", "governor", "cooling")
_MOVERS = {"fans": ("fan_failure",), "pumps": ("pump_failure",)}
"""Events in which the power of fans or pumps matters apart from that of the node."""
_OF_COLLECTIVES = {
    "all_gather": ("fastest_collective", "all_gather_reduce_scatter"),
    "reduce_scatter": ("fastest_collective", "all_gather_reduce_scatter"),
    "all_to_all": ("fastest_collective", "nccl_all_to_all"),
}
"""Kinds of exchange that run a collective."""
_OF_TRANSFERS = ("links", "network")
_OF_BATCHING = ("max_sequences", "max_batched_tokens", "chunked_prefill")
_OF_ROWS = ("max_sequences", "max_batched_tokens", "memory_fraction", "largest_graph")
"""Values of the rows of an engine's `by_device`."""
_OF_KV = ("block_tokens", "watermark", "memory_fraction")


def part_of(kind: str, entry: str, path: str, scenario: Scenario) -> Part | None:
    """Return the part of a scenario's answer that a catalog figure can change.

    Parameters
    ----------
    kind
        Folder of the catalog, such as `devices`.
    entry
        Name of the entry, such as `b200-sxm`.
    path
        Path of the figure in the entry, such as `power.idle`.
    scenario
        Scenario that uses the entry.

    Returns
    -------
    Part or None
        None if the figure changes nothing that is printed: kernels of another precision or engine,
        cooling without an inlet temperature.
    """
    root, _, rest = path.partition(".")
    root = root.partition("[")[0]
    pools = _pools(kind, entry, scenario)
    match kind:
        case "prices" | "token_prices":
            return "price"
        case "engines":
            uses = any(_is_of_engine(root, scenario, pool) for pool in pools)
            return "speed" if uses else None
        case "links":
            return "speed" if any(_transfers(pool) for pool in pools) else None
        case "devices" | "nodes":
            return _of_machine(root, rest, scenario, pools)
        case "weather":
            return "power"
        case _:
            return "speed"


def _pools(kind: str, entry: str, scenario: Scenario) -> Sequence[Pool]:
    """Return the pools that use an entry; all pools if its name does not determine them."""
    pools = scenario.cluster.pools
    if kind not in ("devices", "nodes", "engines"):
        return pools
    name = catalog_entry(kind, entry).get("name")
    of_name = [pool for pool in pools if entry_name(_name(kind, pool)) == name]
    return of_name or pools


def _name(kind: str, pool: Pool) -> str:
    """Return the name of the device, the node or the engine of a pool."""
    if kind == "engines":
        return pool.replica.engine.name
    return pool.node.name if kind == "nodes" else pool.node.device.name


def _of_machine(root: str, rest: str, scenario: Scenario, pools: Sequence[Pool]) -> Part | None:
    """Return the part that a figure of a device or a node can change."""
    if root == "inlet_rating":  # warnings and one row of the run table read it
        return None
    if root in _HEAT:
        return "heat" if scenario.site is not None and scenario.site.inlet_c is not None else None
    if root == "power" and rest in _MOVERS:
        events = () if scenario.site is None else scenario.site.events
        return "power" if any(event.what in _MOVERS[rest] for event in events) else None
    if root == "power":
        _, _, precision = rest.partition("flop.")
        formats = {pool.replica.weights_of(scenario.model) for pool in pools}
        return "power" if not precision or precision in formats else None
    if root in _OF_TRANSFERS:
        return "speed" if any(_transfers(pool) for pool in pools) else None
    return "speed" if any(_is_of_step(root, rest, scenario, pool) for pool in pools) else None


def _is_of_step(root: str, rest: str, scenario: Scenario, pool: Pool) -> bool:
    """Return whether a figure of a device can change the step times of a pool."""
    device, engine, model = pool.node.device, pool.replica.engine.profile, scenario.model
    weights = pool.replica.weights_of(model)
    first, _, inner = rest.partition(".")
    if root == "overheads":
        key = device.overhead_name(engine)
        leaf = rest.removeprefix(f"{key}.")
        is_replaced = f"{leaf}_s" in pool.replica.engine.own_times
        return leaf != rest and not is_replaced and _is_of_layers(leaf, scenario, pool, weights)
    if root == "kernels" and device.kernels is not None:
        fits: Mapping[str, Any] = getattr(device.kernels, first)
        if first in ("experts", "fused_experts"):
            names_used = _expert_kernels(first, scenario, pool)
            return any(f"{inner}.".startswith(f"{name}.") for name in names_used)
        names = _kernels(first, scenario, pool)
        used = {key_of_engine(fits, name, engine) for name in names}
        return inner.partition(".")[0] in used
    if root == "collectives":
        return pool.replica_devices != 1 and _is_of_collective(first, scenario, pool)
    if root == "exchanges":
        return first in (exchanges_of(pool, model) or ())
    if root == "efficiency":
        return _is_of_layers(rest, scenario, pool, weights)
    if root == "wafer":
        return (first != "decode_compute" or inner == engine.lower()) and (
            first != "wafer_hop" or pool.replica_devices != 1
        )
    return not root.startswith("peer") or pool.replica_devices != 1


def _expert_kernels(table: str, scenario: Scenario, pool: Pool) -> list[str]:
    """Return the names of the kernels of experts that a pool can run."""
    plan, device, model = pool.replica, pool.node.device, scenario.model
    assert device.kernels is not None
    if table == "fused_experts":
        return list(device.kernels.fused_experts) if plan.engine.fused_experts else []
    layout = plan.layout_of(model)
    kinds = set(exchanges_of(pool, model) or ("",))
    fits = [fit for kind in kinds for fit in ExpertKernels.of(model, device, layout, kind).fits]
    return [name for name, each in device.kernels.experts.items() if each in fits]


def _kernels(table: str, scenario: Scenario, pool: Pool) -> list[str]:
    """Return the names of the kernels of one table that a pool runs."""
    kv_cache = pool.replica.kv_cache
    if table == "gemm":
        return [pool.replica.weights_of(scenario.model)]
    if table.startswith("latent_"):
        if pool.node.device.overhead(pool.replica.engine.profile).measured_latent is None:
            return []
        stored = scenario.model.stored_in(pool.replica.weights_of(scenario.model), "attention")
        is_latent = any(kind.is_latent for kind in scenario.model.attention)
        name = kv_cache if table in ("latent_generation", "latent_context") else stored
        return [name] if is_latent else []
    backend = pool.engine.attention_backend
    if table == "block_generation":
        return [f"{kv_cache}_{backend}"]
    if table == "generation" and backend != "default":
        return []
    if table in ("generation", "context"):
        return [kv_cache]
    names = [kind.fit_name(kv_cache) for kind in scenario.model.attention]
    return [name[1] for name in names if name is not None and name[0] == table]


def _is_of_layers(leaf: str, scenario: Scenario, pool: Pool, weights: str) -> bool:
    """Return whether the model has the layers and formats of an overhead or an efficiency."""
    name, _, precision = leaf.partition(".")
    if "expert" in name:
        return scenario.model.experts is not None
    if "latent" in name:
        return any("latent" in kind.label for kind in scenario.model.attention)
    if name in ("piece", "piecewise_layer", "eager_split_layer"):
        return pool.engine.graph_mode in ("piecewise", "full_and_piecewise")
    if name == "collective":
        return pool.replica_devices != 1
    return not precision or precision == weights


def _is_of_collective(kind: str, scenario: Scenario, pool: Pool) -> bool:
    """Return whether the replicas of a pool run a kind of collective."""
    fits = pool.node.device.collectives
    if kind.startswith("all_reduce"):
        own = fits.all_reduce_of(pool.replica.engine.profile)
        return own is not None and own is getattr(fits, kind)
    kinds = exchanges_of(pool, scenario.model) or ()
    return any(kind_of_exchange in _OF_COLLECTIVES.get(kind, ()) for kind_of_exchange in kinds)


def _is_of_engine(root: str, scenario: Scenario, pool: Pool) -> bool:
    """Return whether a pool uses its engine's value of a key, since the scenario gives none."""
    if f"{root}_s" in OwnTimes.model_fields:
        weights = pool.replica.weights_of(scenario.model)
        return not pool.is_wafer and _is_of_layers(root, scenario, pool, weights)
    if root in ("draft_step", "draft_sequence"):
        speculates = pool.replica.speculation is not None
        return speculates and not (pool.is_wafer or pool.engine.async_drafts)
    if root == "by_device":
        return any(_uses_row(pool, key) for key in _OF_ROWS)
    return _is_of_limits(pool, root)


def _is_of_limits(pool: Pool, root: str) -> bool:
    """Return whether a pool uses its engine's value of a limit or a reserve."""
    if root in _OF_BATCHING:
        return getattr(pool.batching, root, None) is None
    if root == "graph_batches":
        return pool.engine.graph_mode is None
    if root == "memory_fraction" and pool.engine.static_reserve is not None:
        return False
    if root in _OF_KV:
        return getattr(pool.kv, root) is None
    return root != "reserved_group" or pool.replica_devices != 1


def _uses_row(pool: Pool, key: str) -> bool:
    """Return whether a row of the engine's `by_device` gives a pool the value of a key."""
    engine, device = pool.replica.engine, pool.node.device
    rows = (row for row in engine.by_device if row.holds(device, pool.replica.stage_devices))
    if all(getattr(row, key) is None for row in rows):
        return False
    if key == "largest_graph":
        sizes = engine.graph_sizes
        return engine.graph_mode is not None and sizes is not None and sizes.largest is None
    return getattr(engine, key) is None and _is_of_limits(pool, key)


def _transfers(pool: Pool) -> bool:
    """Return whether the links of a pool carry more traffic than prompts and tokens."""
    plan = pool.replica
    return (
        plan.role != "both"
        or plan.weights_from == "memoryx"
        or plan.start == "cold"
        or pool.kv.preemption == "swap"
        or bool(pool.kv.offload)
        or (not pool.is_wafer and pool.replica_devices > pool.node.devices)
    )
