"""Kernels among the rows of a table of measurements -> tables with the columns of aiconfigurator's,
which calibration reads.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = ("model", "hardware", "precision", "concurrency_or_rate", "value", "framework", "metric")
"""Of the table of measurements; of `metric` operator_latency, `value` is in ms."""

_GEMM = re.compile(r"operator:gemm n=(\d+) k=(\d+)")
_DECODE = re.compile(r"operator:generation_attention heads=(\d+) kv=(\d+) hd=(\d+).* past=(\d+)")
_PREFILL = re.compile(r"operator:context_attention heads=(\d+) kv=(\d+) hd=(\d+).* isl=(\d+)")
_COUNT = re.compile(r"(?:m|batch)=(\d+)")


def tables(measurements: pa.Table) -> list[pa.Table]:
    """Matrix products and attention, where there are any, each a table; `H100` and `A100-80GB` are
    the systems h100_sxm and a100_sxm.

    Of an operator like `operator:gemm n=8192 k=8192 (70B o_proj)` the shape is in the column model,
    the tokens or sequences are in concurrency_or_rate (`m=16`, `batch=4`), precisions like
    `bfloat16/kv fp8`. Other rows, and other operators, are left out.
    """
    products, attention = [], []
    for row in (
        measurements.filter(pc.equal(measurements["metric"], "operator_latency"))
        .select(COLUMNS)
        .to_pylist()
    ):
        operator, count = str(row["model"]), _COUNT.match(str(row["concurrency_or_rate"]))
        if count is None:
            continue
        measured = {
            "system": system(row["hardware"]),
            "version": row["framework"],
            "latency_ms": float(row["value"]),
        }
        if found := _GEMM.match(operator):
            n, k = map(int, found.groups())
            products.append(
                measured | {"gemm_dtype": row["precision"], "m": int(count[1]), "n": n, "k": k}
            )
        elif found := _DECODE.match(operator) or _PREFILL.match(operator):
            heads, kv_heads, head_dim, tokens = map(int, found.groups())
            queries, _, cache = str(row["precision"]).partition("/kv ")
            measured |= {
                "num_heads": heads,
                "num_key_value_heads": kv_heads,
                "head_dim": head_dim,
                "window_size": 0,
                "batch_size": int(count[1]),
            }
            measured |= {"attn_dtype": queries, "kv_cache_dtype": cache}
            decode = found.re is _DECODE
            measured |= (
                {"op": "generation_attention", "isl": 1, "step": tokens}
                if decode
                else {"op": "context_attention", "isl": tokens, "step": 0}
            )
            attention.append(measured)
    return [pa.Table.from_pylist(rows) for rows in (products, attention) if rows]


def system(hardware: str) -> str:
    """What aiconfigurator's tables call it.

    >>> system("A100-80GB")
    'a100_sxm'
    """
    return f"{hardware.lower().split('-')[0]}_sxm"
