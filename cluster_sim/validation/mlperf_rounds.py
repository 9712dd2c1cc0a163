"""Runs of MLPerf that later rounds give as secondary copies: what the copy does not state."""

from __future__ import annotations

from typing import Any

from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.table_rows import Row

_ROUND, _MODEL, _SCENARIO = "mlperf_v6_0", "deepseek-r1", "|Offline|"
_GROUP = 8
"""Number of devices of a replica, in all published configurations of that round."""
_ANSWER = 3660
"""Mean length of an answer [tokens]: 3,650 to 3,668 in the results of v5.1."""
_LARGE = ("B300", "GB300")
_SMALL_LIMITS = {"max_sequences": 512, "max_batched_tokens": 4608}
_LARGE_LIMITS = {"max_sequences": 1024, "max_batched_tokens": 6144}
_SMALL_GRAPHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512)
_LARGE_GRAPHS = (*_SMALL_GRAPHS, 640, 768, 896, 1024)


def is_known(row: Row) -> bool:
    """Return whether a row of a secondary copy has a published configuration.

    They are DeepSeek-R1 of v6.0, offline, on B200, B300, GB200 and GB300.
    """
    return (
        row["dataset"] == _ROUND
        and row["model"] == _MODEL
        and _SCENARIO in row["split_key"]
        and row["hardware"] in ("B200", "GB200", *_LARGE)
    )


def completed(row: Row) -> Row:
    """Return a row with the layout, precision, answers and engine of its published configuration.

    Larger machines ran independent replicas of eight devices each. Such a row becomes one of one
    replica, with its share of the throughput. Other rows are returned unchanged.

    Source
    ------
    closed/{CoreWeave,Dell,NVIDIA,Nebius}/configs/*/Offline/deepseek-r1.py of the results of v6.0
    (gbeezybez/inference_results_v6.0@ab33b214): TensorRT-LLM, nvfp4, KV cache in fp8, tensor and
    expert parallelism of eight, attention data parallel, without drafts.
    """
    if not is_known(row):
        return row
    groups = max(round(float(row["n_devices"] or _GROUP)) // _GROUP, 1)
    return {
        **row,
        "n_devices": str(_GROUP),
        "value": str(float(row["value"]) / groups),
        "parallelism": f"DEP{_GROUP}",
        "precision": "fp4",
        "osl": str(_ANSWER),
        "framework": "TensorRT-LLM 1.2",
        "spec_decoding": "no (published configuration)",
    }


def limits_v6(measured: MeasuredRun) -> tuple[dict[str, Any], dict[str, Any], float] | None:
    """Return batching, engine keys and the share of free memory of a run of v6.0; None for others.

    Some submitters with a B300 kept the limits of the B200; the tables do not state which.
    """
    if measured.dataset != _ROUND:
        return None
    is_large = measured.hardware in _LARGE
    batching = {
        **(_LARGE_LIMITS if is_large else _SMALL_LIMITS),
        "capacity_scheduler_policy": "max_utilization",
        "attention_dp_timeout_iterations": 500,
        "attention_dp_batching_wait_iterations": 10,
    }
    graphs = {"sizes": list(_LARGE_GRAPHS if is_large else _SMALL_GRAPHS), "ranges": []}
    return batching, {"graph_sizes": graphs}, 0.95 if is_large else 0.9
