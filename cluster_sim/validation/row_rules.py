"""Statements of one row of a table of measurements, and the rules by which rows are omitted."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from cluster_sim.calibration.measured_models import is_known_model
from cluster_sim.validation.agents import is_of_agents, lacks_load, states_load
from cluster_sim.validation.drafting_recipes import stated_drafts
from cluster_sim.validation.layouts import stated_layout
from cluster_sim.validation.measured import Load
from cluster_sim.validation.mlperf_rounds import is_known
from cluster_sim.validation.names import PRECISIONS, model_name, node_name
from cluster_sim.validation.releases import release_of
from cluster_sim.validation.table_rows import Row, number_in


class Compared(NamedTuple):
    """Metric that a value of a table is compared as."""

    metric: str
    """Key of `METRICS`."""
    factor: float = 1.0
    """Metric per value."""
    is_per_device: bool = False
    """Whether the value is per device, and the metric is not."""
    is_batch_time: bool = False
    """Whether the value is the time of a whole batch of requests, and the metric a throughput."""


_STATISTICS = {"": "", "_mean": "", "_p50": "_p50", "_p90": "_p90", "_p99": "_p99"}
_COMPARED = (
    {
        (f"{metric}{text}", "ms"): Compared(f"{metric}{statistic}_ms")
        for metric in ("ttft", "tpot")
        for text, statistic in _STATISTICS.items()
    }
    | {
        ("decode_time_mean", "ms"): Compared("decode_ms"),
        ("output_throughput_total", "tok/s"): Compared("output_per_s"),
        ("output_throughput_total_derived", "tok/s"): Compared("output_per_s"),
        ("output_throughput_per_gpu", "tok/s/GPU"): Compared("output_per_s", is_per_device=True),
        ("kv_cache_tokens", "tokens"): Compared("kv_tokens"),
        ("kv_cache_memory_per_gpu", "GiB"): Compared("kv_gb", 2.0**30 / 1e9),
        ("kv_cache_memory_per_gpu", "GB"): Compared("kv_gb"),
        ("per_user_output_speed", "tok/s/user"): Compared("user_per_s"),
    }
    | {
        (f"{phase}_throughput_per_gpu", unit): Compared(f"{phase}_per_device")
        for phase in ("decode", "prefill")
        for unit in ("tok/s/GPU", "tok/s")
    }
)
"""Metrics that are compared, by the table's name and unit."""
_BATCH_TIME = Compared("output_per_s", is_batch_time=True)
_MEMORY = ("kv_cache_tokens", "kv_cache_memory_per_gpu")
"""Metrics that do not depend on a load."""


def compared(row: Row) -> Compared | None:
    """Return what the value of a row is compared as; None if it is not compared.

    SGLang prints GiB and calls them GB: 509,157 tokens of 70,272 B are 33.32 GiB
    (`mem_cache/memory_pool.py`, 0.5).
    """
    if row["metric"] == "e2e_latency" and row["unit"] == "s":
        return _BATCH_TIME if row["concurrency_or_rate"].startswith("batch=") else None
    unit = row["unit"].replace("tokens/s", "tok/s")
    if unit == "GB" and row["framework"].startswith("sglang"):
        unit = "GiB"
    return _COMPARED.get((row["metric"], unit))


_LOADS: tuple[tuple[re.Pattern[str], Load], ...] = (
    (re.compile(r"concurrency=(\d+)"), "clients"),
    (re.compile(r"clients=(\d+) \(closed loop\)"), "sessions"),
    (re.compile(r"(1) \(API, single stream\)"), "clients"),
    (re.compile(r"offline, all (\d+) requests queued"), "queued"),
    (re.compile(r"batch=(\d+)"), "queued"),
    (re.compile(r"offline \(all queued\)"), "queued"),
    (re.compile(r"([\d.]+) qps Poisson target"), "poisson"),
    (re.compile(r""), "none"),
)
_ALONE: dict[str, Load] = {
    "decode_throughput_per_gpu": "decode",
    "prefill_throughput_per_gpu": "prefill",
}
"""Loads of one group of devices that decodes or prefills alone, by the metric of its rows."""
_PER_DEVICE = re.compile(r"(?:([\d,]+) (?:sequences|prompts|requests) (?:a|per) GPU)?")
"""Load of one group alone; an empty one states no number."""
_API_LENGTHS = (1000.0, 1000.0)
"""Assumed lengths of prompts and answers of public APIs [tokens]. Their rows do not state lengths;
these are typical of a chat. The time per token on wafers hardly depends on lengths."""
_RELEASE_KEYS = ("framework", "date", "dataset", "hardware")
_NONE = re.compile(r"no( \(|$)")
_UNKNOWN = re.compile(r"$|unknown|not stated|yes-likely|mixed")
_MULTITURN = "ifx_llama70b_fp4_b200_multiturn"


def stated_load(row: Row) -> tuple[Load, float] | None:
    """Return the kind and amount of load of a row; None if it states no load that is simulated."""
    if (alone := _ALONE.get(row["metric"])) is not None:
        match = _PER_DEVICE.fullmatch(row["concurrency_or_rate"])
        return (alone, float((match[1] or "0").replace(",", ""))) if match else None
    for pattern, load in _LOADS:
        if match := pattern.fullmatch(row["concurrency_or_rate"]):
            if load == "none" and row["metric"] not in _MEMORY:
                return None
            amount = float(match.group(1)) if match.groups() else 0.0
            return "agents" if is_of_agents(row) else load, amount
    return None


def stated_lengths(row: Row, load: Load, where: str) -> tuple[float, float]:
    """Return the lengths of prompts and answers [tokens]."""
    if load == "none":
        return 1.0, 1.0
    if "API" in row["concurrency_or_rate"] and not row["isl"]:
        return _API_LENGTHS
    answer = (
        number_in(row, "osl", where) if row["osl"] or load not in ("decode", "prefill") else 0.0
    )
    return number_in(row, "isl", where), answer


OF_LOAD = "load of agents: requests per second, hits, times in the server"
"""Rule that omits values which a set-up is made from."""
WITHOUT_LOAD = "agents whose answers, rate or times are not stated"
"""Rule that omits agents for which a load cannot be set up."""


def _waits_for_compilation(row: Row) -> bool:
    """Return whether a value is a mean over requests that waited for kernels to be compiled.

    SGLang of 10 November 2025 on B200 has mean TTFTs of 5 to 12 s, beside a median of 0.45 s and a
    99th percentile of 68 s where these are known.
    """
    is_run = row["framework"] == "sglang" and row["hardware"] == "B200"
    what = compared(row)
    is_mean = what is not None and what.metric in ("ttft_ms", "tpot_ms", "output_per_s")
    return is_run and is_mean and row["date"] == "2025-11-10"


def _lacks_kernels(row: Row) -> bool:
    """Return whether the engine had no proper kernels for prompts on the device.

    On B300, prompts of 8,192 tokens took SGLang 0.5.10 up to 13 May 2026 six times as long as four
    days later.
    """
    is_run = row["framework"].startswith("sglang") and row["hardware"] == "B300"
    return is_run and "2026-04-17" <= row["date"] < "2026-05-17"


def _is_probably_cached(row: Row) -> bool:
    """Return whether the prompts of a run were probably cached, although its table does not say so.

    NVIDIA's runs of 8B and Qwen3-32B in fp8 on vLLM 0.12 differ from all others. With equal
    clients, lengths and layout SGLang took 1.3 to 3.7 times the TPOT and 2 to 7 times the TTFT (8B
    on H200). Three runs would compute their prompts at 0.73 to 0.91 of the peak.
    """
    return (
        "gap-analysis" in row["notes"]
        and row["framework"].startswith("vllm 0.12")
        and row["precision"].startswith("fp8")
    )


RULES: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    (WITHOUT_LOAD, lacks_load),
    (OF_LOAD, states_load),
    (
        "no serving run with token lengths and a load",
        lambda row: compared(row) is None and not stated_load(row),
    ),
    (
        "not compared: other percentiles, gaps between chunks, end-to-end times, memory",
        lambda row: compared(row) is None,
    ),
    ("confidence low", lambda row: row["confidence"] == "low"),
    ("marked SUSPECT", lambda row: "SUSPECT" in row["notes"]),
    (
        "drafting unknown, or labelled mixed",
        lambda row: _UNKNOWN.match(row["spec_decoding"]) is not None,
    ),
    (
        "drafts whose number or acceptance is not stated",
        lambda row: not _NONE.match(row["spec_decoding"]) and stated_drafts(row) is None,
    ),
    ("means over requests that waited for kernels to be compiled", _waits_for_compilation),
    ("SGLang 0.5.10 on B300, without kernels for prompts", _lacks_kernels),
    ("KV offload to the host's memory", lambda row: "KV offload to CPU on" in row["notes"]),
    (
        "prefix caching of unknown conversations, or answers that end by themselves",
        lambda row: (
            row["dataset"].startswith("ifx_")
            and row["dataset"] != _MULTITURN
            and row["metric"] not in _MEMORY
        ),
    ),
    ("prompts probably cached, without a statement", _is_probably_cached),
    (
        "MLPerf rounds as secondary copies",
        lambda row: (
            row["dataset"].startswith("mlperf")
            and row["confidence"] != "high"
            and not is_known(row)
        ),
    ),
    (
        "static batches of 2023 engines",
        lambda row: row["concurrency_or_rate"].startswith("static batch"),
    ),
    ("hardware not in the catalog", lambda row: node_name(row["hardware"]) is None),
    ("model not in the catalog", lambda row: not is_known_model(model_name(row["model"]))),
    ("precision not known", lambda row: row["precision"].split(" ")[0] not in PRECISIONS),
    (
        "engine without a profile",
        lambda row: release_of(*(row[key] for key in _RELEASE_KEYS)) is None,
    ),
    ("layout not stated, or not simulated", lambda row: stated_layout(row) is None),
    (
        "gpt-oss in fp8: the model is published in fp4 only",
        lambda row: row["model"].startswith("gpt-oss") and row["precision"] != "fp4",
    ),
    ("no serving run with token lengths and a load", lambda row: stated_load(row) is None),
)
"""Rules by which rows are omitted, with their names. A row counts for the first rule it meets."""
