"""Table of the arithmetic estimates of each pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster_sim.cli.engine_rows import engine_rows
from cluster_sim.cli.tables import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.table import Table

    from cluster_sim.analysis.pool_arithmetic import PoolArithmetic, WaferArithmetic
    from cluster_sim.physics.cache_groups import CacheGroup

    Rows = Iterator[tuple[str, list[str]]]

_MOST_NAMES = 3  # parts at which a wafer begins that are listed


def estimate_table(
    pools: Sequence[PoolArithmetic], usd_per_hour: Sequence[float | None], output_tokens: float
) -> Table:
    """Return the table of pools, one column each.

    Parameters
    ----------
    pools
        Estimates of the pools.
    usd_per_hour
        Running cost of each pool at its rated power; None for a pool without prices.
    output_tokens
        Mean output tokens per request.
    """
    rows = [
        *_size_rows(pools),
        *_wafer_rows(pools),
        *engine_rows([pool.engine for pool in pools]),
        *_step_rows(pools),
        *_transfer_rows(pools),
        ("highest rate [requests/s]", [f"{pool.requests_per_s:,.2f}" for pool in pools]),
        ("  output tokens/s", [_tokens_per_s(pool, output_tokens) for pool in pools]),
        *_cost_rows(pools, usd_per_hour, output_tokens),
        ("path from the front door", [_way(pool) for pool in pools]),
    ]
    return side_by_side([pool.name for pool in pools], rows)


def _size_rows(pools: Sequence[PoolArithmetic]) -> Rows:
    """Yield the rows of replicas, weights and KV cache."""
    if any(pool.role != "both" for pool in pools):
        yield "role", [pool.role for pool in pools]
    yield "replicas", [_replicas(pool) for pool in pools]
    yield "engine", [pool.engine.profile for pool in pools]
    yield "weights format", [pool.weights_format for pool in pools]
    yield "KV cache format", [pool.kv_cache_format for pool in pools]
    yield f"weights {_where(pools)} [GB]", [_gigabytes(pool.weight_bytes) for pool in pools]
    if any(pool.runtime_bytes is not None for pool in pools):
        runtime_gb = [
            None if pool.runtime_bytes is None else pool.runtime_bytes / 1e9 for pool in pools
        ]
        yield (
            "runtime and dense step per device [GB]",
            [_optional(size, ".2f") for size in runtime_gb],
        )
    if any(pool.activation_bytes for pool in pools):
        yield (
            "expert and sampler buffers per device [GB]",
            [f"{pool.activation_bytes / 1e9:.2f}" for pool in pools],
        )
    yield f"KV cache {_where(pools)} [GB]", [_gigabytes(pool.kv_bytes) for pool in pools]
    yield from _capacity_rows(pools)
    yield from _page_rows(pools)
    yield "time to load the weights [s]", [_optional(pool.load_s, ",.3g") for pool in pools]
    if any(pool.clock for pool in pools):
        yield "clock", [f"highest, without {pool.clock}" if pool.clock else "-" for pool in pools]
    if any(pool.scaling for pool in pools):
        yield "autoscaling [replicas]", [pool.scaling or "-" for pool in pools]
        yield "time to start a replica [s]", [_optional(pool.start_s, ",.3g") for pool in pools]


def _replicas(pool: PoolArithmetic) -> str:
    noun = "device" if pool.devices_a_replica == 1 else "devices"
    return f"{pool.replicas} x {pool.devices_a_replica} {noun}"


def _where(pools: Sequence[PoolArithmetic]) -> str:
    """Return the memory that sizes refer to: one device, or all wafers of a replica."""
    on_wafers = [pool.wafers is not None for pool in pools]
    if all(on_wafers):
        return "on all wafers"
    return "per device (on all wafers)" if any(on_wafers) else "per device"


def _capacity_rows(pools: Sequence[PoolArithmetic]) -> Rows:
    """Yield the rows of capacity: tokens, or sequences if all layers keep states only."""
    stateful = [_keeps_states_alone(pool) for pool in pools]
    if not all(stateful):
        sizes = [f"{pool.kv_token_bytes / 1e3:,.1f}" for pool in pools]
        yield f"KV cache per token {_where(pools)} [kB]", _without(sizes, stateful)
        yield (
            "KV cache per replica [tokens]",
            _without([f"{pool.kv_tokens:,}" for pool in pools], stateful),
        )
    if any(stateful):
        states = [
            f"{pool.kv_pages // sum(group.pages * group.slots for group in pool.kv_groups):,}"
            if alone
            else "-"
            for pool, alone in zip(pools, stateful, strict=True)
        ]
        yield "states per replica [sequences]", states


def _keeps_states_alone(pool: PoolArithmetic) -> bool:
    """Return whether no layer of a pool's model caches tokens."""
    return bool(pool.kv_groups) and all(group.view == "state" for group in pool.kv_groups)


def _without(cells: list[str], omitted: list[bool]) -> list[str]:
    """Return cells with a dash for each cell that is omitted."""
    return ["-" if out else cell for cell, out in zip(cells, omitted, strict=True)]


def _page_rows(pools: Sequence[PoolArithmetic]) -> Rows:
    """Yield the rows of pages that groups of layers share; no row if no pool has such pages."""
    if not any(pool.kv_groups for pool in pools):
        return
    yield (
        "KV cache pages per replica",
        [
            f"{pool.kv_pages:,} of {pool.kv_page_bytes / 1e6:,.2f} MB" if pool.kv_groups else "-"
            for pool in pools
        ],
    )
    for view, name in _VIEWS.items():
        rows = [
            [f"{group.pages} x {_block(group)}" for group in pool.kv_groups if group.view == view]
            for pool in pools
        ]
        if any(rows):
            yield f"  groups of {name}", [", ".join(row) or "-" for row in rows]
    if any(pool.hit_tokens for pool in pools):
        yield "  cached prefixes end at", [_places(pool) for pool in pools]
    yield (
        "  pages of a sequence of mean length",
        [f"{pool.kv_pages_per_sequence:,.0f}" if pool.kv_groups else "-" for pool in pools],
    )


_VIEWS = {
    "context": "the whole context",
    "window": "a window",
    "chunk": "a chunk",
    "state": "states",
}


def _places(pool: PoolArithmetic) -> str:
    """Return the positions at which a cached prefix may end."""
    if not pool.hit_tokens:
        return "-"
    has_states = any(group.view == "state" for group in pool.kv_groups)
    ends = ", only at ends of chunks" if has_states else ""
    return f"multiples of {pool.hit_tokens:,} tokens{ends}"


def _block(group: CacheGroup) -> str:
    """Return the content of one block of a group."""
    if group.view == "state":
        return "1 slot" if group.slots == 1 else f"{group.slots} slots"
    size = f" of {group.view_tokens:,}" if group.view_tokens else ""
    return f"{group.block_tokens} tokens{size}"


def _wafer_rows(pools: Sequence[PoolArithmetic]) -> Rows:
    """Yield the rows about wafers; no row if no pool has wafers."""
    if not any(pool.wafers for pool in pools):
        return

    def row(label: str, cell: Callable[[WaferArithmetic], str]) -> tuple[str, list[str]]:
        return label, [cell(pool.wafers) if pool.wafers else "-" for pool in pools]

    yield row("regions on wafers", _regions)
    yield row("cores per layer", lambda wafers: _ends(wafers.layer_cores, ","))
    yield row("SRAM filled by weights", lambda wafers: _ends(wafers.weight_fill, ".1%"))
    yield row("KV cache per wafer [tokens]", lambda wafers: _ends(wafers.kv_tokens, ","))
    yield row(
        "pipeline slots",
        lambda wafers: f"{wafers.slots:,.0f} of {1e6 * wafers.station_s:,.1f} us",
    )


def _step_rows(pools: Sequence[PoolArithmetic]) -> Rows:
    """Yield the rows of step times, and of the parts of a full step."""
    yield "step with 1 sequence [ms]", [f"{1e3 * pool.step_at_1_s:,.3f}" for pool in pools]
    yield (
        "sequences in a full batch (limit)",
        [f"{pool.full_batch:,} ({pool.bound_by})" for pool in pools],
    )
    yield (
        "mean step with a full batch [ms]",
        [f"{1e3 * pool.step_when_full_s:,.3f}" for pool in pools],
    )
    for part in sorted({name for pool in pools for name in pool.parts}):
        yield f"  share of {part}", [_optional(pool.parts.get(part), ".0%") for pool in pools]


def _transfer_rows(pools: Sequence[PoolArithmetic]) -> Rows:
    """Yield the row of KV transfers; no row if no pool disaggregates prefill and decode."""
    if any(pool.kv_transfer_s is not None for pool in pools):
        times_ms = [
            None if pool.kv_transfer_s is None else 1e3 * pool.kv_transfer_s for pool in pools
        ]
        yield "KV transfer of a prompt [ms]", [_optional(time, ",.3f") for time in times_ms]


def _cost_rows(
    pools: Sequence[PoolArithmetic], usd_per_hour: Sequence[float | None], output_tokens: float
) -> Rows:
    """Yield the rows of costs; no row if no pool has prices."""
    if any(usd is not None for usd in usd_per_hour):
        per_million = [
            None if usd is None else pool.usd_per_million_output_tokens(usd, output_tokens)
            for pool, usd in zip(pools, usd_per_hour, strict=True)
        ]
        yield "USD/h at rated power", [_optional(usd, ",.2f") for usd in usd_per_hour]
        yield (
            "USD per million output tokens at the highest rate",
            [_optional(usd, ",.3f") for usd in per_million],
        )


def _tokens_per_s(pool: PoolArithmetic, output_tokens: float) -> str:
    """Return the output tokens per second at the highest rate; a prefill pool generates none."""
    return "-" if pool.role == "prefill" else f"{pool.requests_per_s * output_tokens:,.0f}"


def _optional(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _gigabytes(count_bytes: float) -> str:
    return f"{count_bytes / 1e9:,.{1 if count_bytes >= 1e9 else 3}f}"


def _ends(ends: tuple[float, float], form: str) -> str:
    """Return a range, or one value if both ends have the same text."""
    return " to ".join(dict.fromkeys(format(value, form) for value in ends))


def _regions(wafers: WaferArithmetic) -> str:
    text = f"{wafers.regions:,}, {len(wafers.cuts)} cuts"
    if not wafers.cuts:
        return text
    more = ", …" if len(wafers.cuts) > _MOST_NAMES else ""
    return f"{text}, before {', '.join(wafers.cuts[:_MOST_NAMES])}{more}"


def _way(pool: PoolArithmetic) -> str:
    return f"{pool.path.hops} hops, {1e6 * pool.path.latency_s:,.1f} us"
