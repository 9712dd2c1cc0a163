"""Measured serving runs -> scenarios -> predictions beside the measurements, and the errors. Nothing is fitted here."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from io import StringIO
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cluster_sim.calibration.serving import ServingRow
from cluster_sim.calibration.wafer import QWEN3_32B
from cluster_sim.checks import faults_of
from cluster_sim.errors import Fault, ScenarioError
from cluster_sim.hardware import Device, Node, Precision
from cluster_sim.metrics import finished
from cluster_sim.model import Model
from cluster_sim.reading import CATALOG, Document, catalog_entry, catalog_names, describe, under
from cluster_sim.scenario import Scenario
from cluster_sim.simulation import simulate

REFERENCE = CATALOG / "reference.csv"
"""Published figures, each with its source, in the columns of `COLUMNS`."""

COLUMNS = (
    "dataset", "source", "hardware", "n_devices", "parallelism", "model", "precision", "isl", "osl", "concurrency_or_rate",
    "metric", "value", "unit", "date", "framework", "spec_decoding", "kind", "confidence", "split_key", "notes",
)  # fmt: skip

METRICS = {
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    "output_per_s": "output tokens/s",
    "ttft_p99_ms": "TTFT p99",
    "tpot_p99_ms": "TPOT p99",
    "kv_tokens": "KV tokens",
}
"""What is compared, and what tables and figures call it."""

TTFT_RULE = "TTFT counts on vLLM and in MLPerf only: TensorRT-LLM waits for batches and sends every tenth token, and SGLang's order is not simulated."

# What a table calls it, with its unit -> what is compared, and whether the figure is of one device.
_COMPARED = {
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
}
_NODES = {"B200": "dgx-b200", "H200": "dgx-h200", "H100": "dgx-h100", "A100-80GB": "dgx-a100", "GB200": "gb200-nvl72"}
_MODELS = {
    "Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "llama3.1-8b": "llama-3.1-8b",
    "Llama-3.3-70B-Instruct": "llama-3.3-70b",
    "llama2-70b": "llama-2-70b",
    "Llama-2-70B": "llama-2-70b",
    "Llama-3.1-405B-Instruct": "llama-3.1-405b",
    "llama3.1-405b": "llama-3.1-405b",
    "DeepSeek-R1": "deepseek-r1",
    "DeepSeek-R1-0528": "deepseek-r1",
}
_INLINE = {"Qwen3-32B": QWEN3_32B}
_MIXTURES = ("gpt-oss", "DeepSeek", "deepseek", "Scout", "Mixtral", "Qwen3-235B")
_PRECISIONS: dict[str, Precision] = {"bf16": "bf16", "fp16": "bf16", "fp8": "fp8", "fp4": "fp4"}

# Shares of requests (the keys) whose prompt or answer is not longer: the MLPerf data sets. The answers are those of the
# reference implementation; both are scaled to the mean lengths that the row gives. Source: mlperf-data/summaries of
# openshift-psap/performance-dashboard@71007029fb5b (Apache-2.0). The 8B run stops every answer at the same length.
_AT = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_MLPERF_PROMPTS = {
    "llama-2-70b": (48, 73, 109, 152, 266, 519, 614, 791, 1021),
    "llama-3.1-405b": (476, 2783, 5996, 10112, 12281, 14156, 15831, 18956, 19988),
    "llama-3.1-8b": (79, 327, 544, 784, 1109, 1479, 1750, 2118, 2540),
}
_MLPERF_ANSWERS = {
    "llama-2-70b": (3, 15, 84, 190, 303, 449, 563, 779, 1016),
    "llama-3.1-405b": (3, 210, 436, 753, 855, 974, 1048, 1174, 1830),
}
# (max_sequences, max_batched_tokens) of NVIDIA's 8 x B200 submission, v5.1: closed/NVIDIA/configs. Other submitters of the
# same machine mostly copy them.
_MLPERF_LIMITS = {
    "llama-2-70b": {"Offline": (2048, 3584), "Server": (2048, 3584), "Interactive": (768, 768)},
    "llama-3.1-405b": {"Offline": (128, 1536), "Server": (256, 2048), "Interactive": (256, 1536)},
    "llama-3.1-8b": {"Offline": (6000, 12000), "Server": (6000, 12000), "Interactive": (6000, 12000)},
    "deepseek-r1": {"Offline": (512, 8192), "Server": (512, 8192), "Interactive": (512, 8192)},
}
# CUDA graphs of TensorRT-LLM's throughput tables: the batch sizes of the configuration that they were run with (perf-overview.md).
_TABLE_GRAPHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512, 1024, 2048, 4096, 8192)
_MOST_REQUESTS = 100_000
"""No run is simulated with more: MLPerf's go on for 10 min (Offline) or 40 min (Server) at up to a thousand requests a second."""


Load = Literal["clients", "queued", "poisson", "none"]


@dataclass(frozen=True)
class Measured:
    """One run of a serving benchmark, with all that was measured of it."""

    dataset: str
    source: str
    hardware: str
    model: str
    precision: str
    framework: str
    tensor_parallel: int
    data_parallel: int
    expert_parallel: int
    replicas: int
    isl: float
    """Nominal or mean prompt [tokens]."""
    osl: float
    """Nominal or mean answer [tokens]."""
    load: Load
    amount: float
    """Clients, requests queued at once (0: not stated), or requests a second."""
    split_key: str
    notes: str
    values: Mapping[str, float]
    """Measured, by the keys of `METRICS`."""
    steady: bool = False
    """Its throughput was worked out from TTFT and TPOT as if every client were always being served."""

    @property
    def name(self) -> str:
        """What the run is called in messages."""
        return f"{self.hardware} {self.model} {self.precision} {self.layout} {self.isl:.0f}/{self.osl:.0f} {self.load} {self.amount:g}"

    @property
    def layout(self) -> str:
        """Tensor, attention data and expert parallelism, as tables write them."""
        parts = (("TP", self.tensor_parallel), ("DP", self.data_parallel), ("EP", self.expert_parallel))
        return "".join(f"{name}{size}" for name, size in parts if size > 1 or name == "TP")

    @property
    def devices(self) -> int:
        """Of all replicas."""
        return self.tensor_parallel * self.data_parallel * self.replicas

    @property
    def spread(self) -> bool:
        """Whether lengths are uniform in [0.8, 1.0] x nominal, as InferenceMAX draws them."""
        return "uniform in [0.8,1.0]" in self.notes

    def scored(self) -> Iterator[str]:
        """Which of its figures count: all but those of `TTFT_RULE`."""
        for metric in self.values:
            if metric != "ttft_ms" or self.dataset.startswith("mlperf") or self.framework.lower().startswith("vllm"):
                yield metric


@dataclass(frozen=True)
class Measurements:
    """A table of measurements: the runs that can be set up, and how many rows were left out by which rule."""

    runs: list[Measured]
    left_out: dict[str, int]
    """Rows by rule; each row under the first rule that it meets, in the order of `RULES`."""


@dataclass(frozen=True)
class Prediction:
    """What the simulator says of a measured run; `fault` where it cannot be set up."""

    measured: Measured
    values: Mapping[str, float]
    fault: str = ""

    def error(self, metric: str) -> float:
        """(predicted - measured) / measured."""
        return self.values[metric] / self.measured.values[metric] - 1.0


@dataclass(frozen=True)
class ErrorRow:
    """Errors of one metric over a group of runs; all are shares of the measured value."""

    dataset: str
    hardware: str
    model: str
    metric: str
    count: int
    median: float
    """Of the errors without their signs."""
    p90: float
    bias: float
    """Median of the signed errors: above 0, predictions are too high."""


_LAYOUT = re.compile(r"TP(?P<tensor>\d+)(?:[ /]EP(?P<expert>\d+))?(?P<attention> attn-DP)?(?: x(?P<replicas>\d+) replicas)?")
_DEP = re.compile(r"DEP(?P<devices>\d+)(?: \(attention DP(?P=devices), EP(?P=devices)\))?")
_LOADS: tuple[tuple[re.Pattern[str], Load], ...] = (
    (re.compile(r"concurrency=(\d+)"), "clients"),
    (re.compile(r"offline, all (\d+) requests queued"), "queued"),
    (re.compile(r"offline \(all queued\)"), "queued"),
    (re.compile(r"([\d.]+) qps Poisson target"), "poisson"),
    (re.compile(r""), "none"),
)

Row = Mapping[str, str]

RULES: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    ("no serving run with token lengths and a load", lambda row: (row["metric"], row["unit"]) not in _COMPARED and not _load(row)),
    ("not compared: medians, other percentiles, end-to-end times, memory", lambda row: (row["metric"], row["unit"]) not in _COMPARED),
    ("confidence low", lambda row: row["confidence"] == "low"),
    ("marked SUSPECT", lambda row: "SUSPECT" in row["notes"]),
    ("speculative decoding, or possible", lambda row: not re.match(r"no( \(|$)", row["spec_decoding"])),
    ("prefix caching, or answers that end by themselves", lambda row: row["dataset"].startswith("ifx_") and row["metric"] != "kv_cache_tokens"),
    ("MLPerf rounds as secondary copies", lambda row: row["dataset"].startswith("mlperf") and row["confidence"] != "high"),
    ("static batches of 2023 engines", lambda row: row["concurrency_or_rate"].startswith("static batch")),
    ("hardware not in the catalog", lambda row: _node(row) is None),
    ("model not in the catalog", lambda row: _model(row) is None),
    ("precision not known", lambda row: row["precision"].split(" ")[0] not in _PRECISIONS),
    ("layout not stated, or not simulated", lambda row: _layout(row) is None),
    ("fp8 gpt-oss: published in fp4 only", lambda row: row["model"].startswith("gpt-oss") and row["precision"] != "fp4"),
    ("no serving run with token lengths and a load", lambda row: _load(row) is None),
)
"""Which rows are left out, and what the rule is called; the order counts."""


IMPOSSIBLE = "more FLOP/s than the devices' peak"
REPEATED = "said again: throughput of one device beside that of all"
"""The last rules, on whole runs."""


def _layout(row: Row) -> tuple[int, int, int, int] | None:
    """(tensor, attention data, expert parallelism, replicas) that the row states.

    TensorRT-LLM's tables run mixtures of experts with attention data parallelism even where they say TPn.
    """
    if found := _DEP.fullmatch(row["parallelism"]):
        return 1, int(found["devices"]), int(found["devices"]), 1
    if not (found := _LAYOUT.fullmatch(row["parallelism"])):
        return None
    tensor, expert, replicas = (int(found[name] or 1) for name in ("tensor", "expert", "replicas"))
    if found["attention"] or (row["dataset"] == "trtllm_perf_overview" and row["model"].startswith(_MIXTURES)):
        return 1, tensor, tensor, replicas
    return tensor, 1, expert, replicas


def _node(row: Row) -> str | None:
    name = _NODES.get(row["hardware"], row["hardware"])
    return name if name in catalog_names("nodes") else None


def _model(row: Row) -> str | None:
    name = _MODELS.get(row["model"], row["model"])
    return name if name in catalog_names("models") or name in _INLINE else None


def _load(row: Row) -> tuple[Load, float] | None:
    for pattern, load in _LOADS:
        if found := pattern.fullmatch(row["concurrency_or_rate"]):
            if load == "none" and row["metric"] != "kv_cache_tokens":
                return None
            return load, float(found.group(1)) if found.groups() else 0.0
    return None


def read_measurements(path: str | Path) -> Measurements:
    """The runs in the CSV file at `path` (gzip where it ends in .gz), whose columns are `COLUMNS`; one row a figure.

    Rows that agree in everything but metric, value and unit are one run; where two give the same metric the last one counts.
    Raises ScenarioError where the file cannot be read, lacks columns, or holds something else where a number belongs.
    """
    found: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    rows: dict[tuple[str, ...], Row] = {}
    steady: set[tuple[str, ...]] = set()
    left_out: Counter[str] = Counter()
    compared = 0
    same = ("dataset", "source", "hardware", "n_devices", "parallelism", "model", "precision", "isl", "osl", "concurrency_or_rate", "framework", "notes")
    for number, row in _rows(Path(path)):
        where = f"{path}:{number}"
        rule = next((name for name, meets in RULES if meets(row)), None)
        if rule is not None:
            left_out[rule] += 1
            continue
        compared += 1
        metric, each = _COMPARED[row["metric"], row["unit"]]
        value = _number(row, "value", where) * (_number(row, "n_devices", where) if each else 1.0)
        if value <= 0.0:
            raise ScenarioError.at(where, f"value: came {row['value']}; wanted a number above 0")
        key = tuple(row[name] for name in same)
        if each and metric in found[key]:  # the total is there, and is not rounded
            continue
        found[key][metric] = value
        rows.setdefault(key, row)
        if row["metric"].endswith("_derived"):
            steady.add(key)
    if again := compared - sum(map(len, found.values())):
        left_out[REPEATED] = again
    runs = [_run(rows[key], values, key in steady, f"{path}") for key, values in found.items()]
    if impossible := sum(len(run.values) for run in runs if _is_impossible(run)):
        left_out[IMPOSSIBLE] = impossible
    return Measurements([run for run in runs if not _is_impossible(run)], dict(left_out))


def _is_impossible(run: Measured) -> bool:
    """Whether prompts and answers together take more FLOP/s than the peak of all devices: a lower bound, attention left out."""
    if "output_per_s" not in run.values:
        return False
    model, device = _machine(run.model, run.hardware)
    tokens_per_s = run.values["output_per_s"] * (run.isl + run.osl) / run.osl
    _, peak_flop_per_s = device.peak.of(_PRECISIONS[run.precision])
    layers = model.active_parameters - model.vocabulary * model.hidden  # not every token passes the output head
    return 2.0 * layers * tokens_per_s > peak_flop_per_s * run.devices


@cache
def _machine(model: str, hardware: str) -> tuple[Model, Device]:
    name, node = _MODELS.get(model, model), _NODES.get(hardware, hardware)
    described = describe(Model, Document(_INLINE.get(name) or catalog_entry("models", name), name))
    return described, describe(Node, Document(catalog_entry("nodes", node), node)).device


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Lines of the file, with their numbers."""
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") if path.suffix == ".gz" else path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ScenarioError.at(f"{path}:1", f"lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
            for row in reader:
                if None in row or None in row.values():
                    raise ScenarioError.at(f"{path}:{reader.line_num}", f"wanted {len(reader.fieldnames or ())} values, as the heading has")
                yield reader.line_num, row
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as fault:
        raise ScenarioError.at(str(path), f"cannot be read: {getattr(fault, 'strerror', None) or fault}") from fault


def _number(row: Row, column: str, where: str) -> float:
    try:
        number = float(row[column] or "nan")
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise ScenarioError.at(where, f"{column}: came '{row[column]}'; wanted a number")
    return number


def _run(row: Row, values: dict[str, float], steady: bool, where: str) -> Measured:
    layout, load = _layout(row), _load(row)
    assert layout is not None and load is not None
    lengths = (1.0, 1.0) if load[0] == "none" else (_number(row, "isl", where), _number(row, "osl", where))
    return Measured(
        # gap-analysis runs sit in the same data set, but are of another maker, with lengths and precision partly presumed
        dataset="aic_gap_analysis" if "gap-analysis" in row["notes"] else row["dataset"],
        source=row["source"],
        hardware=row["hardware"],
        model=row["model"],
        precision=row["precision"].split(" ")[0],
        framework=row["framework"],
        tensor_parallel=layout[0],
        data_parallel=layout[1],
        expert_parallel=layout[2],
        replicas=layout[3],
        isl=lengths[0],
        osl=lengths[1],
        load=load[0],
        amount=load[1],
        split_key=row["split_key"],
        notes=row["notes"],
        values=values,
        steady=steady,
    )


def serving_rows(runs: Iterable[Measured], hardware: str) -> list[ServingRow]:
    """The runs that a device's constants are fitted on (`calibration.serving.fit_serving`): InferenceMAX's closed loops on `hardware`.

    Llama 3.3 70B and gpt-oss-120b by vLLM and TensorRT-LLM, whose KV cache holds all clients at once: a batch that is cut short
    has no closed formula. TTFT of vLLM only. Left out by rule: releases of gpt-oss-120b that lie far from all others of their
    engine (previews before its release kernels), named in `_PREVIEWS`, and runs with more than 256 clients, whose client is
    the limit.
    """
    rows = []
    for run in runs:
        engine = {"vllm": "vLLM", "trtllm": "TensorRT-LLM"}.get(run.framework.split(" ")[0])
        name = _MODELS.get(run.model, run.model)
        if run.dataset != "inferencemax_silicon" or run.hardware != hardware or engine is None or name not in ("llama-3.3-70b", "gpt-oss-120b"):
            continue
        if run.data_parallel > 1 or run.expert_parallel > 1:
            continue
        if run.amount > 256 or (name == "gpt-oss-120b" and (hardware, run.framework) in _PREVIEWS):
            continue
        scenario = scenario_of(run)
        pool = scenario.cluster.pools[0]
        prompt, output = 0.9 * run.isl, 0.9 * run.osl
        if run.amount * (prompt + output) >= pool.kv_tokens(scenario.model):
            continue
        ttft_s = run.values["ttft_ms"] / 1e3 if engine == "vLLM" and "ttft_ms" in run.values else None
        rows.append(
            ServingRow(
                run.split_key, scenario.model, run.tensor_parallel, pool.weights(scenario.model), pool.replica.kv_cache, engine,
                int(run.amount), prompt, output, pool.max_batched_tokens, run.values["tpot_ms"] / 1e3, ttft_s,
            )
        )  # fmt: skip
    return rows


_PREVIEWS = {
    ("H100", "vllm"),
    ("H100", "vllm 0.11.2"),
    ("H100", "trtllm 1.3.0rc1"),
    ("H200", "trtllm gpt-oss-dev"),
}


def scenario_of(measured: Measured) -> Scenario:
    """`measured` as a scenario.

    Clients: a closed loop of 10 requests a client. Queued: everything at time zero, at most `_MOST_REQUESTS` of them, in
    batches limited by KV room alone, up to the 8,192 for which trtllm-bench records CUDA graphs. Poisson: 40 min of arrivals,
    at most `_MOST_REQUESTS`. The KV cache is fp8, bf16 where the weights are. MLPerf: NVIDIA's limits, see `_MLPERF_LIMITS`.
    Raises ScenarioError where it does not fit.
    """
    model, node = _MODELS.get(measured.model, measured.model), _NODES.get(measured.hardware, measured.hardware)
    framework = measured.framework.lower()
    engine = "vllm" if framework.startswith("vllm") else "sglang" if framework.startswith("sglang") else "trtllm"
    precision = _PRECISIONS[measured.precision]
    prompts, answers = _lengths(measured, model)
    data = {
        "name": re.sub(r"[^A-Za-z0-9_.-]+", "-", measured.name),
        "seed": 1,
        "drain": "1000 h",
        "model": _INLINE.get(model, model),
        "workload": {"arrivals": _arrivals(measured), "prompt_tokens": prompts, "output_tokens": answers},
        "cluster": {
            "pools": [
                {
                    "name": "pool",
                    "node": node,
                    "replicas": measured.replicas,
                    "replica": {
                        "tensor_parallel": measured.tensor_parallel,
                        "data_parallel": measured.data_parallel,
                        "expert_parallel": measured.expert_parallel,
                        "weights": precision,
                        "kv_cache": "bf16" if precision == "bf16" else "fp8",
                        "engine": engine,
                    },
                    "batching": _limits(measured, model, engine),
                    "kv": {},
                }
            ]
        },
    }
    scenario = describe(Scenario, Document(data, measured.name))
    if engine == "trtllm":
        scenario = describe(Scenario, Document(_as_tensorrt_llm(data, scenario, measured), measured.name))
    if faults := [Fault(measured.name, f"{under(trail)}{what}") for trail, what in faults_of(scenario)]:
        raise ScenarioError(faults)
    return scenario


def _as_tensorrt_llm(data: dict[str, Any], scenario: Scenario, measured: Measured) -> dict[str, Any]:
    """`data` with memory and admission as TensorRT-LLM has them.

    It gives the KV cache 0.9 of what is free once the weights are loaded, where the engine's profile means 0.9 of all memory;
    and it admits a request only when its whole answer will fit, so that none is preempted: for requests of one length that
    is a limit on how many are there at once.
    """
    pool = scenario.cluster.pools[0]
    placement, capacity = pool.placement(scenario.model), pool.node.device.memory.capacity_bytes
    settings = data["cluster"]["pools"][0]
    if measured.dataset == "trtllm_perf_overview":
        settings["replica"]["engine"] = pool.replica.engine.model_dump(mode="json", by_alias=True) | {"graph_batches": list(_TABLE_GRAPHS)}
    settings["kv"] = {"memory_fraction": 0.9 + 0.1 * min((placement.weight_bytes + pool.replica.engine.reserved_bytes) / capacity, 1.0)}
    if measured.load == "queued" and not measured.dataset.startswith("mlperf"):
        room = describe(Scenario, Document(data, measured.name)).cluster.pools[0].kv_tokens(scenario.model)
        blocks = ceil((measured.isl + measured.osl) / pool.block_tokens)
        settings["batching"]["max_sequences"] = min(max(room // (blocks * pool.block_tokens), 1), settings["batching"]["max_sequences"])
    return data


def _arrivals(measured: Measured) -> dict[str, Any]:
    if measured.load == "clients":
        return {"process": "closed_loop", "concurrency": int(measured.amount), "requests": 10 * int(measured.amount)}
    if measured.load == "poisson":
        return {"process": "poisson", "rate": f"{measured.amount:g} /s", "requests": min(round(2400.0 * measured.amount), _MOST_REQUESTS)}
    return {"process": "at_once", "requests": 1 if measured.load == "none" else min(round(measured.amount) or _MOST_REQUESTS, _MOST_REQUESTS)}


def _lengths(measured: Measured, model: str) -> tuple[Any, Any]:
    """Distributions of prompts and answers: as nominal, spread as InferenceMAX does, or as in the MLPerf data sets."""
    if measured.dataset.startswith("mlperf") and model in _MLPERF_PROMPTS:
        answers = _MLPERF_ANSWERS.get(model)
        return _scaled(_MLPERF_PROMPTS[model], measured.isl), _scaled(answers, measured.osl) if answers else round(measured.osl)
    if measured.spread:
        spread = [{"distribution": "uniform", "low": round(0.8 * nominal), "high": round(nominal)} for nominal in (measured.isl, measured.osl)]
        return spread[0], spread[1]
    return round(measured.isl), round(measured.osl)


def _scaled(lengths: Sequence[float], mean: float) -> dict[str, Any]:
    factor = mean / float(np.trapezoid(lengths, _AT))
    return {"distribution": "empirical", "quantiles": {at: max(factor * length, 1.0) for at, length in zip(_AT, lengths, strict=True)}}


def _limits(measured: Measured, model: str, engine: str) -> dict[str, int]:
    """Batching limits that differ from the engine's profile."""
    if measured.dataset.startswith("mlperf") and model in _MLPERF_LIMITS:
        scenario = next((name for name in ("Interactive", "Server") if f"|{name}" in measured.split_key), "Offline")
        sequences, tokens = _MLPERF_LIMITS[model][scenario]
        return {"max_sequences": sequences, "max_batched_tokens": tokens}
    if measured.load == "queued":
        return {"max_sequences": 8192, "max_batched_tokens": 16384}
    return {"max_batched_tokens": 16384} if engine == "trtllm" else {}


def predict(measured: Measured) -> Prediction:
    """Simulate `measured` as it was run.

    Throughput is of the whole run, or, where the measured one was worked out from TTFT and TPOT as if the run were steady,
    worked out in the same way: clients x answer / (TTFT + TPOT x (answer - 1)).
    """
    try:
        scenario = scenario_of(measured)
        if measured.load == "none":
            return Prediction(measured, {"kv_tokens": float(scenario.cluster.pools[0].kv_tokens(scenario.model))})
        done = finished(simulate(scenario))
    except ScenarioError as error:
        return Prediction(measured, {}, str(error))
    ttft_ms, tpot_ms = 1e3 * done.ttft_s, 1e3 * done.tpot_s
    values = {
        "ttft_ms": float(np.mean(ttft_ms)),
        "tpot_ms": float(np.mean(tpot_ms)),
        "ttft_p99_ms": float(np.percentile(ttft_ms, 99)),
        "tpot_p99_ms": float(np.percentile(tpot_ms, 99)),
        "output_per_s": float(np.sum(done.output_tokens) / (np.max(done.finish_s) - np.min(done.arrival_s))),
        "kv_tokens": float(scenario.cluster.pools[0].kv_tokens(scenario.model)),
    }
    if measured.steady:
        answer = float(np.mean(done.output_tokens))
        values["output_per_s"] = measured.amount * answer / (values["ttft_ms"] + values["tpot_ms"] * (answer - 1)) * 1e3
    return Prediction(measured, values)


def predict_all(runs: Sequence[Measured], workers: int = 2, progress: Callable[[int, int], None] | None = None) -> list[Prediction]:
    """Every run simulated, in `workers` processes, in the order given; `progress` is told how many are done, and of how many.

    Runs of one set-up, measured with several versions of an engine, are simulated once.
    """
    once: dict[tuple[object, ...], Measured] = {}
    for run in runs:
        once.setdefault(_setup(run), run)
    answers: dict[tuple[object, ...], Prediction] = {}
    for setup, answer in zip(once, _predictions(list(once.values()), workers), strict=True):
        answers[setup] = answer
        if progress is not None:
            progress(len(answers), len(once))
    return [replace(answers[_setup(run)], measured=run) for run in runs]


def _predictions(runs: list[Measured], workers: int) -> Iterator[Prediction]:
    """Each as it is ready, in order."""
    if workers == 1:
        yield from map(predict, runs)
        return
    # fresh processes, as threads of numpy's and pyarrow's may hold locks that a fork would copy
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(predict, runs, chunksize=4)


def _setup(run: Measured) -> tuple[object, ...]:
    """All that the scenario of a run depends on."""
    engine = run.framework.lower().split(" ")[0]
    mlperf = run.split_key.rpartition("|x")[2] if run.dataset.startswith("mlperf") else ""
    return (
        run.dataset, run.hardware, run.model, run.precision, engine, run.layout, run.replicas,
        run.isl, run.osl, run.load, run.amount, run.spread, run.steady, mlperf,
    )  # fmt: skip


def errors(predictions: Iterable[Prediction], by: Sequence[str] = ("dataset", "hardware", "model")) -> list[ErrorRow]:
    """Errors by metric and by these fields of the runs, sorted; the others read 'all'. Runs that could not be set up are left out."""
    groups: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for prediction in predictions:
        run = prediction.measured
        group = tuple(getattr(run, name) if name in by else "all" for name in ("dataset", "hardware", "model"))
        for metric in run.scored():
            if metric in prediction.values:
                groups[*group, metric].append(prediction.error(metric))
    order = list(METRICS)
    table = []
    for (dataset, hardware, model, metric), signed in sorted(groups.items(), key=lambda item: (*item[0][:3], order.index(item[0][3]))):
        median, p90 = np.percentile(np.abs(signed), [50, 90])
        table.append(ErrorRow(dataset, hardware, model, metric, len(signed), float(median), float(p90), float(np.median(signed))))
    return table


def points(predictions: Iterable[Prediction]) -> dict[str, list[tuple[float, float, str]]]:
    """(measured, predicted, hardware) of every figure that counts, by metric and unit."""
    found: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for prediction in predictions:
        run = prediction.measured
        for metric in run.scored():
            if metric in prediction.values:
                found[metric].append((run.values[metric], prediction.values[metric], run.hardware))
    units = {metric: " [ms]" for metric in METRICS if metric.endswith("_ms")}
    return {METRICS[metric] + units.get(metric, ""): found[metric] for metric in METRICS if metric in found}


def as_csv(predictions: Iterable[Prediction]) -> str:
    """Every prediction beside its measurement: one row a run, empty where something was not measured or not predicted."""
    about = (
        "dataset", "hardware", "model", "precision", "framework", "layout", "replicas", "isl", "osl", "load",
        "amount", "split_key", "source", "notes",
    )  # fmt: skip
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*about, *(f"{side}_{metric}" for metric in METRICS for side in ("measured", "predicted")), "fault"])
    for prediction in predictions:
        run = prediction.measured
        sides = [f"{side[metric]:.6g}" if metric in side else "" for metric in METRICS for side in (run.values, prediction.values)]
        writer.writerow([*(getattr(run, name) for name in about), *sides, prediction.fault])
    return text.getvalue()
