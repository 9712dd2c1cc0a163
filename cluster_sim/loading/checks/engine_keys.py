"""Checks of a pool's engine: keys that a file gives it and that have no effect.

A key that has the value of the engine's profile in the catalog is never refused: profiles serve
pools of every kind.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.errors import did_you_mean, shown
from cluster_sim.hardware.engine_releases import WAFER_ENGINES, maker
from cluster_sim.loading.checks.finding import Finding, got
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Trail, catalog_entry, catalog_names
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.profiles import is_written, profile_of
from cluster_sim.serving.scheduler.ignored_keys import IgnoredKey
from cluster_sim.units import key_of

_OF_GPUS = (
    "graph_batches",
    "graph_mode",
    "graph_sizes",
    "prefill_graph_sizes",
    "graph_memory",
    "memory_base",
    "static_reserve",
    "reserved_activation_bytes",
    "logit_bytes",
    "expert_padding",
    "expert_rows",
    "expert_exchange",
    "two_batch_from",
    "fused_experts",
    "draft_step_s",
    "draft_sequence_s",
)
"""Keys about CUDA graphs, the memory and the host of GPUs, which wafers do not have."""


def engine_faults(pool: Pool, trail: Trail) -> Iterator[Finding]:
    """Yield the keys that a file gives the engine of a pool and that have no effect."""
    engine = pool.replica.engine
    yield from _unknown_devices(pool, (*trail, "replica", "engine"))
    yield from _beside_inherited(pool, (*trail, "replica", "engine"))
    found = [*_on_wafers(pool)] if pool.is_wafer else [*_of_graphs(engine), *_of_memory(engine)]
    for section, key, expected in [*found, *_of_scheduler(pool)]:
        if is_written(engine, key):
            at = (*trail, "replica", section, key_of(key))
            yield at, f"{got(getattr(engine, key))}; {expected}"
    if not pool.is_wafer and (fault := _fault_of_padding(engine)):
        yield (*trail, "replica", "engine", "prefill_graph_sizes"), fault


def device_faults(pool: Pool, at: Trail) -> Iterator[Finding]:
    """Yield an engine of wafers on GPUs."""
    name, device = pool.replica.engine.profile, pool.node.device.name
    if not pool.is_wafer and maker(name) in WAFER_ENGINES:
        yield (
            at,
            f"got {name}, which runs on wafers; {device} is not a wafer; expected an engine of GPUs, such as vllm",
        )


def _unknown_devices(pool: Pool, at: Trail) -> Iterator[Finding]:
    """Yield names of devices in rows of a file that are part of no device's name."""
    engine = pool.replica.engine
    if not is_written(engine, "by_device"):
        return
    names = [catalog_entry("devices", name)["name"] for name in catalog_names("devices")]
    names.append(pool.node.device.name)
    words = sorted({word for name in names for word in name.split()})
    for index, row in enumerate(engine.by_device):
        for part in row.devices:
            if not any(part in name for name in names):
                yield (
                    (*at, "by_device", index, "devices"),
                    f"no name of a device has {shown(part)}{did_you_mean(part, words)}",
                )


def _beside_inherited(pool: Pool, at: Trail) -> Iterator[Finding]:
    """Yield rules of a file that would silently replace a value that its engine inherits."""
    engine = pool.replica.engine
    profile = profile_of(engine)
    if profile is None or pool.is_wafer:
        return
    is_new = is_written(engine, "static_reserve") and profile.static_reserve is None
    share = engine.memory_fraction
    if is_new and share is not None and not is_written(engine, "memory_fraction"):
        yield (
            (*at, "static_reserve"),
            f"got rules beside memory_fraction {share:g} of {engine.profile}; expected `memory_fraction: null` beside static_reserve, which gives the share, or no static_reserve",
        )
    policy = engine.capacity_scheduler_policy
    is_new = is_written(engine, "prefill_first") and profile.prefill_first is None
    if is_new and policy != "first_chunk" and not is_written(engine, "capacity_scheduler_policy"):
        yield (
            (*at, "prefill_first"),
            f"got rules beside capacity_scheduler_policy {policy} of {engine.profile}; expected `capacity_scheduler_policy: null` beside prefill_first, which has rules of its own for admission, or no prefill_first",
        )


def _unused(key: str, expected: str) -> IgnoredKey:
    return IgnoredKey("engine", key, expected)


def _of_graphs(engine: Engine) -> Iterator[IgnoredKey]:
    """Yield keys about CUDA graphs that the mode of the graphs does not use."""
    mode, sizes = engine.graph_mode, engine.prefill_graph_sizes
    if mode is not None:
        reason = f"with graph_mode {mode}, graph_sizes has the sizes"
        yield _unused("graph_batches", f"expected no graph_batches, or graph_mode: null: {reason}")
    else:
        for key in ("graph_sizes", "prefill_graph_sizes", "graph_memory"):
            yield _unused(key, "expected graph_mode beside it, such as full_and_piecewise")
    if mode == "full_decode_only":
        reason = "full_decode_only captures no step with a prompt"
        yield _unused("prefill_graph_sizes", f"expected none, or another graph_mode: {reason}")
    elif sizes is not None and sizes.unit == "sequences":
        reason = "steps with a prompt are captured by their tokens"
        yield _unused("prefill_graph_sizes", f"expected sizes with `unit: tokens`: {reason}")
    if engine.graph_sizes is None and any(row.largest_graph for row in engine.by_device):
        yield _unused("by_device", "expected graph_sizes beside its largest_graph")


def _fault_of_padding(engine: Engine) -> str | None:
    """Return the fault of a rule for steps with a prompt that pads unlike that of decode steps."""
    decode, prefill = engine.graph_sizes, engine.prefill_graph_sizes
    if decode is None or prefill is None or decode.padding == prefill.padding:
        return None
    if not (is_written(engine, "graph_sizes") or is_written(engine, "prefill_graph_sizes")):
        return None
    wanted = str(decode.padding).lower()
    return (
        f"got padding: {str(prefill.padding).lower()}; expected padding: {wanted}, as in "
        "graph_sizes: an engine pads all its steps or none"
    )


def _of_memory(engine: Engine) -> Iterator[IgnoredKey]:
    """Yield shares of the memory that a rule of the engine replaces."""
    if engine.static_reserve is None:
        return
    expected = "or static_reserve: null: static_reserve gives the share"
    yield _unused("memory_fraction", f"expected no memory_fraction, {expected}")
    if any(row.memory_fraction for row in engine.by_device):
        yield _unused("by_device", f"expected no memory_fraction in its rows, {expected}")


def _on_wafers(pool: Pool) -> Iterator[IgnoredKey]:
    """Yield keys about CUDA graphs and the memory of GPUs for a pool of wafers."""
    name = pool.node.device.name
    reason = f"{name} is a wafer, whose file has its memory"
    for key in _OF_GPUS:
        yield _unused(key, f"expected no {key_of(key)}: {reason}")
    if profile_of(pool.replica.engine) is not None:  # an own engine must have the key
        yield _unused("memory_fraction", f"expected no memory_fraction: {reason}")


def _of_scheduler(pool: Pool) -> Iterator[IgnoredKey]:
    """Yield keys about steps that the batching or the role of a pool does not use."""
    if not pool.batching.is_continuous:
        reason = "static batching prepares no step during another one"
        yield _unused("async_scheduling", f"expected async_scheduling: false: {reason}")
    elif pool.replica.role == "decode":
        reason = "in a pool of the role decode requests join when their KV cache has arrived"
        yield _unused("async_scheduling", f"expected async_scheduling: false: {reason}")
