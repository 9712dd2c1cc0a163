"""Measured kernels of routed experts, with the rows that their collector sent to one device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.columns import numbers
from cluster_sim.physics.grouped_products import TILE_ROWS, ExpertRows, ExpertShape
from cluster_sim.typing import Array

COLUMNS = (
    "moe_dtype",
    "kernel_source",
    "num_tokens",
    "hidden_size",
    "inter_size",
    "topk",
    "num_experts",
    "moe_tp_size",
    "moe_ep_size",
    "distribution",
    "latency_ms",
)
"""Columns of a table of measured experts, as aiconfigurator names them."""
_EVEN = ("balanced", "uniform")
"""Names of distributions in which all experts have the same number of rows."""
_EAGER = "moe_context"
"""Name of measurements outside of CUDA graphs, where the host limits short times."""
_LAUNCHED = 1.5
"""Time relative to the shortest one above which the host does not limit such a measurement."""
_CHOICE_GROUPS, _CHOSEN_GROUPS = 8, 4
"""Numbers of groups of experts from which DeepSeek-V3's router chooses, and that it chooses."""
_DEEPSEEK = (7168, 2048, 256)
"""Hidden state, width and number of experts of DeepSeek-V3."""
_UNGATED = ((1024, 2688), (2048, 5120), (2688, 1856), (4096, 2688), (8192, 5120))
"""Hidden state and width of experts without a gate: Nemotron 3."""


class Routing(NamedTuple):
    """Routing of tokens in one measurement."""

    tokens: int
    experts: int
    top_k: int
    groups: int
    is_limited: bool
    """Whether the router chooses groups of experts first, as DeepSeek-V3's."""


@dataclass(frozen=True, slots=True)
class MeasuredExperts:
    """Measured kernels of routed experts, one value per kernel."""

    shape: ExpertShape
    load: ExpertRows
    model: Array
    """Number of the model's shape."""
    split: Array
    """Numbers of devices per expert and of groups, one row each."""
    seconds: Array

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: Any) -> MeasuredExperts:
        """Return some of the kernels, by index or by mask."""
        load = self.load
        return MeasuredExperts(
            ExpertShape(*(values[rows] for values in self.shape)),
            ExpertRows(
                load.tokens[rows],
                load.copies[rows],
                load.rows[rows],
                load.active[rows],
                tuple(tiles[rows] for tiles in load.tiles),
            ),
            self.model[rows],
            self.split[:, rows],
            self.seconds[rows],
        )


def even_rows(table: pa.Table) -> pa.Table:
    """Return the rows of a table with an even load that measure kernels and not the host.

    DeepEP's experts have names of their own per phase.
    """
    table = table.filter(pc.is_in(table["distribution"], pa.array(_EVEN)))
    if "op_name" not in table.column_names:
        return table
    rows = table.to_pylist()
    eager = [row for row in rows if row["op_name"] == _EAGER]
    shortest_ms = min((row["latency_ms"] for row in eager), default=0.0)
    kept = [row["op_name"] != _EAGER or row["latency_ms"] > _LAUNCHED * shortest_ms for row in rows]
    names = [row["kernel_source"] + row["op_name"].removeprefix("moe") for row in rows]
    place = table.column_names.index("kernel_source")
    return table.set_column(place, "kernel_source", pa.array(names, pa.string())).filter(
        pa.array(kept, pa.bool_())
    )


def measured_experts(table: pa.Table) -> MeasuredExperts:
    """Return the kernels of a table of balanced rows of one kernel."""
    names = ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts")
    tokens, hidden, width, top_k, experts = (numbers(table, name) for name in names)
    devices, groups = numbers(table, "moe_tp_size"), numbers(table, "moe_ep_size")
    sizes = np.stack([hidden, width, top_k, experts])
    model = np.unique(sizes, axis=1, return_inverse=True)[1].reshape(-1)
    limited = _is_limited(table, np.stack([hidden, width, experts]))
    routings = zip(tokens, experts, top_k, groups, limited, strict=True)
    loads = [
        load_of(Routing(int(count), int(all_experts), int(chosen), int(parts), bool(is_limited)))
        for count, all_experts, chosen, parts, is_limited in routings
    ]
    ungated = [pair in _UNGATED for pair in zip(hidden.tolist(), width.tolist(), strict=True)]
    rows, active, *tiles = np.array(loads).T
    return MeasuredExperts(
        ExpertShape(hidden, width / devices, np.where(ungated, 2.0, 3.0), experts / groups, groups),
        ExpertRows(tokens, tokens * top_k, rows, active, tuple(tiles)),
        model,
        np.stack([devices, groups]),
        numbers(table, "latency_ms") * 1e-3,
    )


@lru_cache(maxsize=50_000)
def load_of(routing: Routing) -> tuple[float, ...]:
    """Return rows, experts with rows and tiles of each size on the first group of devices.

    The collector of aiconfigurator gives token t the experts t + i E / k, for i = 0 to k - 1, and
    spreads fewer tokens than E / k over the experts (ai-dynamo/aiconfigurator, `balanced_logits` in
    collector/helper.py). Kernels that route themselves as DeepSeek-V3 (arXiv 2412.19437, section
    2.1.2) first choose four of eight groups of experts. A balanced token has one expert in each
    group, so the first four groups win, and the rows of the others go to the first experts.
    """
    chosen, times = _chosen(routing)
    slots = routing.experts // routing.groups
    weights = np.repeat(times, routing.top_k)
    rows = np.bincount(chosen.reshape(-1), weights, minlength=routing.experts)[:slots]
    tiles = (float(np.ceil(rows / size).sum()) for size in TILE_ROWS)
    return float(rows.sum()), float((rows > 0).sum()), *tiles


def _chosen(routing: Routing) -> tuple[Array, Array]:
    """Return the experts of each kind of token, and the number of tokens of each kind."""
    tokens, experts, top_k = routing.tokens, routing.experts, routing.top_k
    stride = -(-experts // top_k)
    kinds = min(tokens, experts)
    times = np.full(kinds, tokens // kinds) + (np.arange(kinds) < tokens % kinds)
    step = np.arange(kinds) * (1.0 if tokens >= stride else stride / tokens)
    chosen = ((step[:, None] + np.arange(top_k) * stride) % experts).astype(int)
    return (_limited(chosen, experts) if routing.is_limited else chosen), times


def _limited(chosen: Array, experts: int) -> Array:
    """Return the experts of each token if the router first chooses groups; lower numbers first."""
    kinds, top_k = chosen.shape
    scores = np.zeros((kinds, experts))
    np.put_along_axis(scores, chosen, 1.0, axis=1)
    by_group = scores.reshape(kinds, _CHOICE_GROUPS, -1)
    best_two = np.sort(by_group, axis=2)[:, :, -2:].sum(axis=2)
    kept = np.argsort(-best_two, axis=1, kind="stable")[:, :_CHOSEN_GROUPS]
    is_kept = np.zeros((kinds, _CHOICE_GROUPS), dtype=bool)
    np.put_along_axis(is_kept, kept, values=True, axis=1)
    scores[~np.repeat(is_kept, experts // _CHOICE_GROUPS, axis=1)] = -1.0
    order: Array = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    return order


def _is_limited(table: pa.Table, sizes: Array) -> Array:
    """Return whether the router of each kernel chooses groups of experts first.

    TensorRT-LLM's low-latency kernel was measured with DeepSeek-V3's router for all models, the
    kernels of SGLang and vLLM for DeepSeek-V3 alone.
    """
    sources = np.array(table["kernel_source"].to_pylist())
    is_deepseek = (sizes == np.array(_DEEPSEEK)[:, None]).all(axis=0)
    routes = np.array(["min_latency" in source for source in sources])
    others = np.array([source.startswith(("sglang", "vllm")) for source in sources])
    divides = sizes[2] % _CHOICE_GROUPS == 0
    limited: Array = divides & (routes | (is_deepseek & others))
    return limited
