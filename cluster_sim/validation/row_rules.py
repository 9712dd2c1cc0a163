"""Statements of one row of a table of measurements, and the rules by which rows are omitted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cluster_sim.calibration.measured_models import is_known_model
from cluster_sim.validation.measured import Load
from cluster_sim.validation.names import PRECISIONS, model_name, node_name

Row = Mapping[str, str]
"""Row of a table, by column."""

COMPARED = {
    ("ttft", "ms"): ("ttft_ms", False),
    ("ttft_mean", "ms"): ("ttft_ms", False),
    ("ttft_p99", "ms"): ("ttft_p99_ms", False),
    ("tpot", "ms"): ("tpot_ms", False),
    ("tpot_mean", "ms"): ("tpot_ms", False),
    ("tpot_p99", "ms"): ("tpot_p99_ms", False),
    ("output_throughput_total", "tok/s"): ("output_per_s", False),
    ("output_throughput_total_derived", "tok/s"): ("output_per_s", False),
    ("output_throughput_per_gpu", "tok/s/GPU"): ("output_per_s", True),
    ("kv_cache_tokens", "tokens"): ("kv_tokens", False),
    ("per_user_output_speed", "tok/s/user"): ("user_per_s", False),
}
"""Metric, and whether the value is per device, by the table's name and unit of the metric."""

_MIXTURES = ("gpt-oss", "DeepSeek", "deepseek", "Scout", "Mixtral", "Qwen3-235B")
_LAYOUT = re.compile(
    r"TP(?P<tensor>\d+)(?:[ /]EP(?P<expert>\d+))?(?P<attention> attn-DP)?"
    r"(?: x(?P<replicas>\d+) replicas)?"
)
_DEP = re.compile(r"DEP(?P<devices>\d+)(?: \(attention DP(?P=devices), EP(?P=devices)\))?")
_LOADS: tuple[tuple[re.Pattern[str], Load], ...] = (
    (re.compile(r"concurrency=(\d+)"), "clients"),
    (re.compile(r"clients=(\d+) \(closed loop\)"), "sessions"),
    (re.compile(r"(1) \(API, single stream\)"), "clients"),
    (re.compile(r"offline, all (\d+) requests queued"), "queued"),
    (re.compile(r"offline \(all queued\)"), "queued"),
    (re.compile(r"([\d.]+) qps Poisson target"), "poisson"),
    (re.compile(r""), "none"),
)
_NONE = re.compile(r"no( \(|$)")
_MTP = re.compile(r"MTP(\d+)")
_ACCEPTED = re.compile(r"acceptance length ([\d.]+) tokens/step")
_MULTITURN = "ifx_llama70b_fp4_b200_multiturn"
_API_SPECULATION = (4, 3.5)
"""Assumed drafted tokens and acceptance length of public APIs, whose rows do not state them. Vendors
state that a small model of the same family drafts. 2,100 tokens/s against 450 tokens/s with kernels
of the same age give 3 to 4 tokens per step (estimate)."""


class StatedLayout(NamedTuple):
    """Parallelism and number of replicas that a row states."""

    tensor_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int = 1
    replicas: int = 1


def stated_layout(row: Row) -> StatedLayout | None:
    """Return the parallelism that a row states; None if it states no layout that is simulated.

    The tables of TensorRT-LLM ran mixtures of experts with attention data parallelism, even in rows
    that state TPn.
    """
    if row["parallelism"].startswith("pipeline over wafers"):
        return StatedLayout()
    if match := _DEP.fullmatch(row["parallelism"]):
        return StatedLayout(1, int(match["devices"]), int(match["devices"]))
    if not (match := _LAYOUT.fullmatch(row["parallelism"])):
        return None
    tensor, expert, replicas = (int(match[name] or 1) for name in ("tensor", "expert", "replicas"))
    if match["attention"] or (
        row["dataset"] == "trtllm_perf_overview" and row["model"].startswith(_MIXTURES)
    ):
        return StatedLayout(1, tensor, tensor, replicas)
    return StatedLayout(tensor, 1, expert, replicas)


def stated_speculation(row: Row) -> tuple[int, float] | None:
    """Return the drafted tokens per step and the acceptance length [tokens per step] of a row.

    They are an estimate for public APIs that state `yes`. None if they are not stated.
    """
    if row["hardware"] == "CS-3" and re.match(r"yes( \(|$)", row["spec_decoding"]):
        return _API_SPECULATION
    drafted, accepted = _MTP.fullmatch(row["spec_decoding"]), _ACCEPTED.search(row["notes"])
    return (int(drafted[1]), float(accepted[1])) if drafted and accepted else None


def stated_load(row: Row) -> tuple[Load, float] | None:
    """Return the kind and amount of load of a row; None if it states no load that is simulated."""
    for pattern, load in _LOADS:
        if match := pattern.fullmatch(row["concurrency_or_rate"]):
            if load == "none" and row["metric"] != "kv_cache_tokens":
                return None
            return load, float(match.group(1)) if match.groups() else 0.0
    return None


RULES: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    (
        "no serving run with token lengths and a load",
        lambda row: (row["metric"], row["unit"]) not in COMPARED and not stated_load(row),
    ),
    (
        "not compared: medians, other percentiles, end-to-end times, memory",
        lambda row: (row["metric"], row["unit"]) not in COMPARED,
    ),
    ("confidence low", lambda row: row["confidence"] == "low"),
    ("marked SUSPECT", lambda row: "SUSPECT" in row["notes"]),
    (
        "speculation possible, or its acceptance not stated",
        lambda row: not _NONE.match(row["spec_decoding"]) and stated_speculation(row) is None,
    ),
    ("KV offload to the host's memory", lambda row: "KV offload to CPU on" in row["notes"]),
    (
        "prefix caching of unknown conversations, or answers that end by themselves",
        lambda row: (
            row["dataset"].startswith("ifx_")
            and row["dataset"] != _MULTITURN
            and row["metric"] != "kv_cache_tokens"
        ),
    ),
    (
        "MLPerf rounds as secondary copies",
        lambda row: row["dataset"].startswith("mlperf") and row["confidence"] != "high",
    ),
    (
        "static batches of 2023 engines",
        lambda row: row["concurrency_or_rate"].startswith("static batch"),
    ),
    ("hardware not in the catalog", lambda row: node_name(row["hardware"]) is None),
    ("model not in the catalog", lambda row: not is_known_model(model_name(row["model"]))),
    ("precision not known", lambda row: row["precision"].split(" ")[0] not in PRECISIONS),
    ("layout not stated, or not simulated", lambda row: stated_layout(row) is None),
    (
        "gpt-oss in fp8: the model is published in fp4 only",
        lambda row: row["model"].startswith("gpt-oss") and row["precision"] != "fp4",
    ),
    ("no serving run with token lengths and a load", lambda row: stated_load(row) is None),
)
"""Rules by which rows are omitted, with their names. A row counts for the first rule it meets."""
