"""Kernels in a table of measurements, converted to tables for calibration.

The columns of the result are those of aiconfigurator's tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = ("model", "hardware", "precision", "concurrency_or_rate", "value", "framework", "metric")
"""Columns of the table of measurements. If `metric` is operator_latency, `value` is in ms."""

_GEMM = re.compile(r"operator:gemm n=(\d+) k=(\d+)")
_DECODE = re.compile(r"operator:generation_attention heads=(\d+) kv=(\d+) hd=(\d+).* past=(\d+)")
_PREFILL = re.compile(r"operator:context_attention heads=(\d+) kv=(\d+) hd=(\d+).* isl=(\d+)")
_COUNT = re.compile(r"(?:m|batch)=(\d+)")


def tables(measurements: pa.Table) -> list[pa.Table]:
    """Return the matrix products and the attention kernels: one table for each that has rows.

    For an operator such as `operator:gemm n=8192 k=8192 (70B o_proj)` the column model gives the
    shape, and concurrency_or_rate gives the tokens or sequences (`m=16`, `batch=4`). Precisions are
    written like `bfloat16/kv fp8`. Other rows and operators are omitted. `H100` and `A100-80GB`
    become the systems h100_sxm and a100_sxm.
    """
    products, attention = [], []
    latencies = measurements.filter(pc.equal(measurements["metric"], "operator_latency"))
    for row in latencies.select(COLUMNS).to_pylist():
        operator, count = str(row["model"]), _COUNT.match(str(row["concurrency_or_rate"]))
        if count is None:
            continue
        if shape := _GEMM.match(operator):
            n, k = map(int, shape.groups())
            products.append(
                _measured(row)
                | {"gemm_dtype": row["precision"], "m": int(count[1]), "n": n, "k": k}
            )
        elif shape := _DECODE.match(operator) or _PREFILL.match(operator):
            attention.append(_measured(row) | _attention(row, shape, int(count[1])))
    return [pa.Table.from_pylist(rows) for rows in (products, attention) if rows]


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "system": system(row["hardware"]),
        "version": row["framework"],
        "latency_ms": float(row["value"]),
    }


def _attention(row: Mapping[str, Any], shape: re.Match[str], batch: int) -> dict[str, Any]:
    heads, kv_heads, head_dim, tokens = map(int, shape.groups())
    queries, _, cache = str(row["precision"]).partition("/kv ")
    columns = {
        "num_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "window_size": 0,
        "batch_size": batch,
        "attn_dtype": queries,
        "kv_cache_dtype": cache,
    }
    if shape.re is _DECODE:
        return columns | {"op": "generation_attention", "isl": 1, "step": tokens}
    return columns | {"op": "context_attention", "isl": tokens, "step": 0}


def system(hardware: str) -> str:
    """Return the name of a device (`hardware`) in aiconfigurator's tables.

    >>> system("A100-80GB")
    'a100_sxm'
    """
    return f"{hardware.lower().split('-')[0]}_sxm"
