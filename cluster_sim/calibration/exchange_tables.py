"""Tables of measured exchanges between attention and experts, in one form for all kernels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.columns import numbers
from cluster_sim.llm.layers.feed_forward import Experts
from cluster_sim.physics.exchange_kinds import KINDS, ROW_BYTES
from cluster_sim.physics.expert_exchange import reached_devices
from cluster_sim.typing import Array

COLUMNS = (
    *("exchange", "way", "ranks", "num_token", "hidden_size", "num_topk", "num_experts"),
    *("copies", "row_bytes", "processors", "latency_ms"),
)
"""Columns of a table of exchanges; each row is one way of one exchange."""
_DEEPEP = ("node_num", "dispatch_avg_t_us", "combine_avg_t_us")
_NVLINK = ("kernel_source", "moe_ep_size", "topk", "op_name")
_WIDTH = "inter_size"
"""Column that tables of the experts' products have, and tables of exchanges have not."""
_RANKS = {"gb200": 4, "gb300": 4}
"""Number of devices per node in the tables of DeepEP, by system; 8 in all others. A tray of GB200
has four (aiconfigurator, systems/gb200.yaml)."""
_FORMATS = {"bfloat16": "bf16", "fp8": "fp8", "nvfp4": "nvfp4"}
_NVLINK_KINDS = {"NVLinkOneSided": "nvlink_one_sided", "NVLinkTwoSided": "nvlink_two_sided"}


def exchange_table(table: pa.Table) -> pa.Table | None:
    """Return a table of aiconfigurator with the columns COLUMNS; None if it has no exchanges.

    DeepEP's tables have times in us, and the number of processors per row in normal mode. The
    times of preparing NVLink's two-sided exchange are added to those of its dispatch, and those of
    combining in low precision are omitted.
    """
    names = set(table.column_names)
    if set(_DEEPEP) <= names:
        return _of_deepep(table)
    is_nvlink = set(_NVLINK) <= names and _WIDTH not in names
    return _of_nvlink(table) if is_nvlink else None


def _of_deepep(table: pa.Table) -> pa.Table:
    """Return both ways of exchanges within one node that DeepEP's collectors measured."""
    table = table.filter(pc.equal(table["node_num"], 1))
    parts = []
    for op_name, kind in (("ll", "deepep_low_latency"), ("normal", "deepep_normal")):
        rows, is_low = table.filter(pc.equal(table["op_name"], op_name)), op_name == "ll"
        ranks = np.array([_RANKS.get(name, 8) for name in rows["system"].to_pylist()], dtype=float)
        hidden, top_k, experts = (
            numbers(rows, name) for name in ("hidden_size", "num_topk", "num_experts")
        )
        copies = top_k if is_low else _reached(experts, top_k, ranks)
        for way, sent in (("dispatch", "fp8"), ("combine", "bf16")):
            header = KINDS[kind].header_bytes if way == "dispatch" else 0.0
            column = f"{way}_avg_t_us" if is_low else f"{way}_transmit_us"
            values = {
                "ranks": ranks,
                "num_token": numbers(rows, "num_token"),
                "hidden_size": hidden,
                "num_topk": top_k,
                "num_experts": experts,
                "copies": copies,
                "row_bytes": hidden * ROW_BYTES[sent] + header,
                "processors": np.ones(len(rows)) if is_low else numbers(rows, f"{way}_sms"),
                "latency_ms": 1e-3 * numbers(rows, column),
            }
            parts.append(_part(kind, way, values, rows))
    return pa.concat_tables(parts)


def _of_nvlink(table: pa.Table) -> pa.Table:
    """Return both ways of exchanges over NVLink that TensorRT-LLM's collector measured."""
    prepared = {
        _case(row): row["latency"]
        for row in table.filter(pc.equal(table["op_name"], "alltoall_prepare")).to_pylist()
    }
    parts = []
    for source, kind in _NVLINK_KINDS.items():
        for way in ("dispatch", "combine"):
            is_way = pc.and_(
                pc.equal(table["op_name"], f"alltoall_{way}"),
                pc.equal(table["kernel_source"], source),
            )
            rows = table.filter(is_way)
            ranks, hidden, top_k = (
                numbers(rows, name) for name in ("moe_ep_size", "hidden_size", "topk")
            )
            formats = [_FORMATS[name] for name in rows["moe_dtype"].to_pylist()]
            width = np.array([ROW_BYTES[name] for name in formats])
            ahead = [prepared.get(_case(row), 0.0) for row in rows.to_pylist()]
            values = {
                "ranks": ranks,
                "num_token": numbers(rows, "num_tokens"),
                "hidden_size": hidden,
                "num_topk": top_k,
                "num_experts": numbers(rows, "num_experts"),
                "copies": np.minimum(top_k, ranks),
                "row_bytes": hidden * (width if way == "dispatch" else ROW_BYTES["bf16"]),
                "processors": np.ones(len(rows)),
                "latency_ms": numbers(rows, "latency")
                + (np.array(ahead) if way == "dispatch" else 0.0),
            }
            parts.append(_part(kind, way, values, rows))
    return pa.concat_tables(parts)


def _case(row: dict[str, object]) -> tuple[object, ...]:
    keys = ("kernel_source", "moe_dtype", "num_tokens", "hidden_size", "topk", "num_experts")
    return tuple(row[key] for key in (*keys, "moe_ep_size", "system", "version"))


def _part(kind: str, way: str, values: dict[str, Array], rows: pa.Table) -> pa.Table:
    count = len(rows)
    columns: dict[str, object] = {"exchange": pa.array([kind] * count, pa.string())}
    columns["way"] = pa.array([way] * count, pa.string())
    columns |= {name: pa.array(of_name, pa.float64()) for name, of_name in values.items()}
    for name in ("system", "version"):
        columns[name] = rows[name].cast(pa.string())
    return pa.table(columns)


def _reached(experts: Array, top_k: Array, ranks: Array) -> Array:
    """Return the mean number of devices that hold experts of a token, in each row."""
    shapes, place = np.unique(np.stack([experts, top_k, ranks]), axis=1, return_inverse=True)
    means = [
        reached_devices(Experts(count=int(count), top_k=int(drawn), ffn=1), int(parts))
        for count, drawn, parts in shapes.T
    ]
    return np.array(means)[place.reshape(-1)]
