"""Reader of tables of measurements."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from cluster_sim.calibration.measured_models import model_keys
from cluster_sim.calibration.wafer_models import LAUNCH
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.node import Node
from cluster_sim.llm.model import Model
from cluster_sim.physics.wafer_placement import wafers_needed
from cluster_sim.schema import CATALOG, Document, catalog_entry, describe
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import NODES, PRECISIONS, model_name
from cluster_sim.validation.row_rules import (
    COMPARED,
    RULES,
    Row,
    stated_layout,
    stated_load,
    stated_speculation,
)

REFERENCE = CATALOG / "reference.csv"
"""CSV file of published measurements with their sources, in the columns of `COLUMNS`."""
COLUMNS = (
    "dataset", "source", "hardware", "n_devices", "parallelism", "model", "precision", "isl", "osl",
    "concurrency_or_rate", "metric", "value", "unit", "date", "framework", "spec_decoding", "kind",
    "confidence", "split_key", "notes",
)  # fmt: skip
"""Columns of a table of measurements."""
_SAME = (
    "dataset", "source", "hardware", "n_devices", "parallelism", "model", "precision", "isl", "osl",
    "concurrency_or_rate", "framework", "notes",
)  # fmt: skip
"""Columns that are equal in all rows of one run."""

IMPOSSIBLE = "more FLOP/s than the devices' peak"
"""Rule that omits whole runs."""
REPEATED = "repeated: throughput per device of a run whose total throughput is given"
"""Rule that omits values of a run that the table gives twice."""

_HITS = re.compile(r"GPU prefix hit ([\d.]+)%")
_API_LENGTHS = (1000.0, 1000.0)
"""Assumed lengths of prompts and answers of public APIs [tokens]. Their rows do not state lengths;
these are typical of a chat. The time per token on wafers hardly depends on lengths."""


@dataclass(frozen=True)
class Measurements:
    """Runs of a table of measurements, with the numbers of omitted rows."""

    runs: list[MeasuredRun]
    """Runs that can be simulated."""
    left_out: dict[str, int]
    """Number of omitted rows by rule. Each row is counted for the first rule that it meets, in the
    order of `RULES`."""


def read_measurements(path: str | Path) -> Measurements:
    """Read the runs in a CSV file of measurements.

    The file has the columns `COLUMNS` and one row per measured value. Rows that differ only in
    metric, value and unit are one run. If a run has two rows for a metric, the last row is used.

    Parameters
    ----------
    path
        Path of the file; a file that ends in .gz is decompressed.

    Raises
    ------
    ScenarioError
        The file cannot be read, lacks columns, or has no number in a column of numbers.

    Examples
    --------
    >>> len(read_measurements(REFERENCE).runs) > 10
    True
    """
    figures: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    rows: dict[tuple[str, ...], Row] = {}
    steady: set[tuple[str, ...]] = set()
    left_out: Counter[str] = Counter()
    compared = 0
    for number, row in _rows(Path(path)):
        where = f"{path}:{number}"
        rule = next((name for name, meets in RULES if meets(row)), None)
        if rule is not None:
            left_out[rule] += 1
            continue
        compared += 1
        metric, is_per_device = COMPARED[row["metric"], row["unit"]]
        devices = _number(row, "n_devices", where) if is_per_device else 1.0
        value = _number(row, "value", where) * devices
        if value <= 0.0:
            raise ScenarioError.at(where, f"value: got {row['value']}; expected a number above 0")
        key = tuple(row[name] for name in _SAME)
        if is_per_device and metric in figures[key]:  # the total is known, and not rounded
            continue
        figures[key][metric] = value
        rows.setdefault(key, row)
        if row["metric"].endswith("_derived"):
            steady.add(key)
    if repeated := compared - sum(map(len, figures.values())):
        left_out[REPEATED] = repeated
    runs = [
        _run(rows[key], values, f"{path}", steady=key in steady) for key, values in figures.items()
    ]
    if impossible := sum(len(run.values) for run in runs if _is_impossible(run)):
        left_out[IMPOSSIBLE] = impossible
    return Measurements([run for run in runs if not _is_impossible(run)], dict(left_out))


def _is_impossible(run: MeasuredRun) -> bool:
    """Return whether prompts and answers need more FLOP/s than the peak of all devices.

    The FLOP are a lower bound, since attention is omitted.
    """
    if "output_per_s" not in run.values:
        return False
    model, device = _machine(run.model, run.hardware)
    tokens_per_s = run.values["output_per_s"] * (run.isl + run.osl) / run.osl
    _, peak_flop_per_s = device.peak.of(PRECISIONS[run.precision])
    # without the output head, which not every token passes
    layers = model.active_parameters - model.vocabulary * model.hidden
    return 2.0 * layers * tokens_per_s > peak_flop_per_s * run.devices


@cache
def _machine(model: str, hardware: str) -> tuple[Model, Device]:
    name, node = model_name(model), NODES.get(hardware, hardware)
    described = describe(Model, Document(model_keys(name), name))
    return described, describe(Node, Document(catalog_entry("nodes", node), node)).device


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the rows of the file, with the numbers of their lines."""
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
                        f"got another number of values than the heading; expected {len(reader.fieldnames or ())}",
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
        raise ScenarioError.at(where, f"{column}: got '{row[column]}'; expected a number")
    return number


def _wafers(row: Row, where: str) -> int:
    """Return the number of wafers that the row states, or that the weights need."""
    if row["n_devices"]:
        return round(_number(row, "n_devices", where))
    return wafers_needed(
        *_machine(row["model"], row["hardware"]), PRECISIONS[row["precision"].split(" ")[0]]
    )


def _run(row: Row, values: dict[str, float], where: str, *, steady: bool) -> MeasuredRun:
    """Return the run that `row` belongs to, with all its measured values."""
    layout, stated = stated_layout(row), stated_load(row)
    assert layout is not None and stated is not None
    load, amount = stated
    if load == "none":
        lengths = 1.0, 1.0
    elif "API" in row["concurrency_or_rate"] and not row["isl"]:
        lengths = _API_LENGTHS
    else:
        lengths = _number(row, "isl", where), _number(row, "osl", where)
    if load == "sessions" and (hits := _HITS.search(row["notes"])):
        values = values | {"prefix_hits": float(hits[1]) / 100.0}
    return MeasuredRun(
        # gap-analysis runs of this data set have another source; their lengths and precision are
        # partly assumed
        dataset="aic_gap_analysis" if "gap-analysis" in row["notes"] else row["dataset"],
        source=row["source"],
        hardware=row["hardware"],
        model=row["model"],
        precision=row["precision"].split(" ")[0],
        framework=row["framework"],
        tensor_parallel=layout.tensor_parallel,
        data_parallel=layout.data_parallel,
        expert_parallel=layout.expert_parallel,
        replicas=layout.replicas,
        isl=lengths[0],
        osl=lengths[1],
        load=load,
        amount=amount,
        split_key=row["split_key"],
        notes=row["notes"],
        values=values,
        steady=steady,
        speculation=stated_speculation(row),
        wafers=_wafers(row, where) if row["hardware"] == "CS-3" else None,
        at_launch=row["hardware"] == "CS-3" and row["date"].startswith(LAUNCH),
    )
