"""Tables of measurements: their columns, which rows count by which rule, and the runs in them."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from cluster_sim.calibration.wafer import LAUNCH
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.node import Node
from cluster_sim.llm.model import Model
from cluster_sim.physics.wafer_placement import wafers_needed
from cluster_sim.schema import CATALOG, Document, catalog_entry, catalog_names, describe
from cluster_sim.validation.measured import INLINE, MODELS, NODES, PRECISIONS, Load, MeasuredRun

REFERENCE = CATALOG / "reference.csv"
"""Published figures, each with its source, in the columns of `COLUMNS`."""

COLUMNS = (
    "dataset", "source", "hardware", "n_devices", "parallelism", "model", "precision", "isl", "osl", "concurrency_or_rate",
    "metric", "value", "unit", "date", "framework", "spec_decoding", "kind", "confidence", "split_key", "notes",
)  # fmt: skip


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
    ("per_user_output_speed", "tok/s/user"): ("user_per_s", False),
}
_MIXTURES = ("gpt-oss", "DeepSeek", "deepseek", "Scout", "Mixtral", "Qwen3-235B")


@dataclass(frozen=True)
class Measurements:
    """A table of measurements: the runs that can be set up, and how many rows were left out by
    which rule.
    """

    runs: list[MeasuredRun]
    left_out: dict[str, int]
    """Rows by rule; each row under the first rule that it meets, in the order of `RULES`."""


_LAYOUT = re.compile(
    r"TP(?P<tensor>\d+)(?:[ /]EP(?P<expert>\d+))?(?P<attention> attn-DP)?(?: x(?P<replicas>\d+) replicas)?"
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
_HITS = re.compile(r"GPU prefix hit ([\d.]+)%")
_MULTITURN = "ifx_llama70b_fp4_b200_multiturn"
# Rows of public APIs do not say how long prompts and answers were: about those of a chat. A token's
# time
# on wafers hardly depends on them.
_API_LENGTHS = (1000.0, 1000.0)
# Nor how they speculate. Vendors say that a small model of the same family drafts; 2,100 over 450
# tokens/s with kernels of the same
# age leaves 3 to 4 tokens a step. (estimate)
_API_SPECULATION = (4, 3.5)

Row = Mapping[str, str]

RULES: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    (
        "no serving run with token lengths and a load",
        lambda row: (row["metric"], row["unit"]) not in _COMPARED and not _load(row),
    ),
    (
        "not compared: medians, other percentiles, end-to-end times, memory",
        lambda row: (row["metric"], row["unit"]) not in _COMPARED,
    ),
    ("confidence low", lambda row: row["confidence"] == "low"),
    ("marked SUSPECT", lambda row: "SUSPECT" in row["notes"]),
    (
        "speculation possible, or its acceptance not stated",
        lambda row: not _NONE.match(row["spec_decoding"]) and _speculation(row) is None,
    ),
    ("KV offload on", lambda row: "KV offload to CPU on" in row["notes"]),
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
    ("hardware not in the catalog", lambda row: _node(row) is None),
    ("model not in the catalog", lambda row: _model(row) is None),
    ("precision not known", lambda row: row["precision"].split(" ")[0] not in PRECISIONS),
    ("layout not stated, or not simulated", lambda row: _layout(row) is None),
    (
        "fp8 gpt-oss: published in fp4 only",
        lambda row: row["model"].startswith("gpt-oss") and row["precision"] != "fp4",
    ),
    ("no serving run with token lengths and a load", lambda row: _load(row) is None),
)
"""Which rows are left out, and what the rule is called; the order counts."""


IMPOSSIBLE = "more FLOP/s than the devices' peak"
REPEATED = "said again: throughput of one device beside that of all"


"""The last rules, on whole runs."""


def _layout(row: Row) -> tuple[int, int, int, int] | None:
    """(tensor, attention data, expert parallelism, replicas) that the row states.

    TensorRT-LLM's tables run mixtures of experts with attention data parallelism even where they
    say TPn.
    """
    if row["parallelism"].startswith("pipeline over wafers"):
        return 1, 1, 1, 1
    if found := _DEP.fullmatch(row["parallelism"]):
        return 1, int(found["devices"]), int(found["devices"]), 1
    if not (found := _LAYOUT.fullmatch(row["parallelism"])):
        return None
    tensor, expert, replicas = (int(found[name] or 1) for name in ("tensor", "expert", "replicas"))
    if found["attention"] or (
        row["dataset"] == "trtllm_perf_overview" and row["model"].startswith(_MIXTURES)
    ):
        return 1, tensor, tensor, replicas
    return tensor, 1, expert, replicas


def _speculation(row: Row) -> tuple[int, float] | None:
    """(drafted tokens, acceptance length) that the row states; for public APIs that say `yes`, the
    estimate.
    """
    if row["hardware"] == "CS-3" and re.match(r"yes( \(|$)", row["spec_decoding"]):
        return _API_SPECULATION
    drafted, accepted = _MTP.fullmatch(row["spec_decoding"]), _ACCEPTED.search(row["notes"])
    return (int(drafted[1]), float(accepted[1])) if drafted and accepted else None


def _node(row: Row) -> str | None:
    name = NODES.get(row["hardware"], row["hardware"])
    return name if name in catalog_names("nodes") else None


def _model(row: Row) -> str | None:
    name = MODELS.get(row["model"], row["model"])
    return name if name in catalog_names("models") or name in INLINE else None


def _load(row: Row) -> tuple[Load, float] | None:
    for pattern, load in _LOADS:
        if found := pattern.fullmatch(row["concurrency_or_rate"]):
            if load == "none" and row["metric"] != "kv_cache_tokens":
                return None
            return load, float(found.group(1)) if found.groups() else 0.0
    return None


def read_measurements(path: str | Path) -> Measurements:
    """The runs in the CSV file at `path` (gzip where it ends in .gz), whose columns are `COLUMNS`;
    one row a figure.

    Rows that agree in everything but metric, value and unit are one run; where two give the same
    metric the last one counts. Raises ScenarioError where the file cannot be read, lacks columns,
    or holds something else where a number belongs.
    """
    found: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    rows: dict[tuple[str, ...], Row] = {}
    steady: set[tuple[str, ...]] = set()
    left_out: Counter[str] = Counter()
    compared = 0
    same = (
        "dataset",
        "source",
        "hardware",
        "n_devices",
        "parallelism",
        "model",
        "precision",
        "isl",
        "osl",
        "concurrency_or_rate",
        "framework",
        "notes",
    )
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


def _is_impossible(run: MeasuredRun) -> bool:
    """Whether prompts and answers together take more FLOP/s than the peak of all devices: a lower
    bound, attention left out.
    """
    if "output_per_s" not in run.values:
        return False
    model, device = _machine(run.model, run.hardware)
    tokens_per_s = run.values["output_per_s"] * (run.isl + run.osl) / run.osl
    _, peak_flop_per_s = device.peak.of(PRECISIONS[run.precision])
    layers = (
        model.active_parameters - model.vocabulary * model.hidden
    )  # not every token passes the output head
    return 2.0 * layers * tokens_per_s > peak_flop_per_s * run.devices


@cache
def _machine(model: str, hardware: str) -> tuple[Model, Device]:
    name, node = MODELS.get(model, model), NODES.get(hardware, hardware)
    described = describe(Model, Document(INLINE.get(name) or catalog_entry("models", name), name))
    return described, describe(Node, Document(catalog_entry("nodes", node), node)).device


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Lines of the file, with their numbers."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", newline="")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8", newline="") as file
        ):
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ScenarioError.at(
                    f"{path}:1",
                    f"lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
                )
            for row in reader:
                if None in row or None in row.values():
                    raise ScenarioError.at(
                        f"{path}:{reader.line_num}",
                        f"wanted {len(reader.fieldnames or ())} values, as the heading has",
                    )
                yield reader.line_num, row
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as fault:
        raise ScenarioError.at(
            str(path), f"cannot be read: {getattr(fault, 'strerror', None) or fault}"
        ) from fault


def _number(row: Row, column: str, where: str) -> float:
    try:
        number = float(row[column] or "nan")
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise ScenarioError.at(where, f"{column}: came '{row[column]}'; wanted a number")
    return number


def _wafers(row: Row, where: str) -> int:
    """As many as the row states, or else as the weights need."""
    if row["n_devices"]:
        return round(_number(row, "n_devices", where))
    return wafers_needed(
        *_machine(row["model"], row["hardware"]), PRECISIONS[row["precision"].split(" ")[0]]
    )


def _run(row: Row, values: dict[str, float], steady: bool, where: str) -> MeasuredRun:
    layout, load = _layout(row), _load(row)
    assert layout is not None and load is not None
    if load[0] == "none":
        lengths = 1.0, 1.0
    elif "API" in row["concurrency_or_rate"] and not row["isl"]:
        lengths = _API_LENGTHS
    else:
        lengths = _number(row, "isl", where), _number(row, "osl", where)
    if load[0] == "sessions" and (hits := _HITS.search(row["notes"])):
        values = values | {"prefix_hits": float(hits[1]) / 100.0}
    return MeasuredRun(
        # gap-analysis runs sit in the same data set, but are of another maker, with lengths and
        # precision partly presumed
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
        speculation=_speculation(row),
        wafers=_wafers(row, where) if row["hardware"] == "CS-3" else None,
        at_launch=row["hardware"] == "CS-3" and row["date"].startswith(LAUNCH),
    )
