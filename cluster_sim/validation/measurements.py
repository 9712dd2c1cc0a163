"""Reader of tables of measurements: rows of one run are gathered, and rows are omitted by rule."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster_sim.errors import ScenarioError
from cluster_sim.physics.wafer_placement import wafers_needed
from cluster_sim.schema import CATALOG
from cluster_sim.validation.agents import agent_load, is_whole
from cluster_sim.validation.drafting_labels import LABELS, DraftingLabels, read_labels
from cluster_sim.validation.drafting_recipes import stated_drafts
from cluster_sim.validation.engine_flags import FLAGS, Setting, read_flags
from cluster_sim.validation.layouts import stated_layout
from cluster_sim.validation.machines import machine_of
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.mlperf_rounds import completed
from cluster_sim.validation.names import PRECISIONS
from cluster_sim.validation.row_rules import (
    OF_LOAD,
    RULES,
    WITHOUT_LOAD,
    Compared,
    compared,
    stated_lengths,
    stated_load,
)
from cluster_sim.validation.table_rows import Row, number_in, table_rows

REFERENCE = CATALOG / "reference.csv"
"""CSV file of published measurements with their sources, in the columns of `COLUMNS`."""
_SAME = (
    "dataset", "source", "hardware", "n_devices", "parallelism", "model", "precision", "isl", "osl",
    "concurrency_or_rate", "framework", "date", "notes",
)  # fmt: skip
"""Columns that are equal in all rows of one run."""

IMPOSSIBLE = "more FLOP/s than the devices' peak"
"""Rule that omits whole runs."""
REPEATED = "repeated: throughput per device of a run whose total throughput is given"
"""Rule that omits values of a run that the table gives twice."""

_HITS = re.compile(r"GPU prefix hit ([\d.]+)%")


@dataclass(frozen=True)
class Measurements:
    """Runs of tables of measurements, with the numbers of omitted rows."""

    runs: list[MeasuredRun]
    """Runs that can be simulated."""
    left_out: dict[str, int]
    """Number of omitted rows by rule. Each row is counted for the first rule that it meets, in the
    order of `RULES`."""
    unset: dict[str, int] = field(default_factory=dict)
    """Number of values that are not compared, by the engine setting that changes them and that the
    profile does not have."""


@dataclass
class _Gathered:
    """Rows of one run."""

    row: Row
    where: str
    values: dict[str, float] = field(default_factory=dict)
    steady: bool = False
    load: dict[str, float] = field(default_factory=dict)
    """Values that state the load, by metric."""


def read_measurements(
    paths: str | Path | Sequence[str | Path],
    labels: Path | None = None,
    flags: Path | None = None,
) -> Measurements:
    """Read the runs in CSV files of measurements.

    The files have the columns `COLUMNS` and one row per measured value. Rows that differ only in
    metric, value and unit are one run. If a run has two rows for a metric, the last row is used.

    Parameters
    ----------
    paths
        Path of a file, or paths of several; a file that ends in .gz is decompressed.
    labels
        Path of a file that says which rows ran with drafts. Default: `drafting_labels.csv` beside
        each file of measurements, if there is one.
    flags
        Path of a file of engine settings. Default: `engine_flags.csv` beside each file, if there
        is one.

    Raises
    ------
    ScenarioError
        A file cannot be read, lacks columns, or has no number in a column of numbers.

    Examples
    --------
    >>> len(read_measurements(REFERENCE).runs) > 10
    True
    """
    runs: list[MeasuredRun] = []
    left_out: Counter[str] = Counter()
    for path in [paths] if isinstance(paths, str | Path) else paths:
        beside = Path(path).parent
        drafting = labels or _if_there(beside / LABELS)
        settings = flags or _if_there(beside / FLAGS)
        gathered = _gathered(
            Path(path), read_labels(drafting) if drafting else DraftingLabels([]), left_out
        )
        stated = read_flags(settings) if settings else ()
        runs += [_run(each, stated) for each in gathered]
    if impossible := sum(len(run.values) for run in runs if _is_impossible(run)):
        left_out[IMPOSSIBLE] = impossible
    runs = [run for run in runs if not _is_impossible(run)]
    unset = Counter(
        setting.name
        for run in runs
        for setting in run.unset
        for _ in setting.changes & run.values.keys()
    )
    return Measurements(runs, dict(left_out), dict(unset))


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _gathered(path: Path, labels: DraftingLabels, left_out: Counter[str]) -> Iterable[_Gathered]:
    """Return the rows of a file by run, and count the omitted rows in `left_out`."""
    runs: dict[tuple[str, ...], _Gathered] = {}
    loads: defaultdict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    rows = list(table_rows(path))
    labels = labels.for_rows(row for _, row in rows)
    for number, given in rows:
        row = completed(labels.labelled(given))
        rule = next((name for name, meets in RULES if meets(row)), None)
        key = (*(row[name] for name in _SAME), (stated_load(row) or ("none",))[0])
        if rule is not None:
            left_out[rule] += 1
            if rule == OF_LOAD:
                loads[key][row["metric"]] = number_in(row, "value", f"{path}:{number}")
            continue
        what = compared(row)
        assert what is not None
        value = _value(row, what, f"{path}:{number}")
        run = runs.setdefault(key, _Gathered(row, f"{path}", load=loads[key]))
        run.steady |= row["metric"].endswith("_derived")
        if what.metric in run.values:
            left_out[REPEATED] += 1
            if what.is_per_device:  # the total is known, and not rounded
                continue
        run.values[what.metric] = value
    for run in runs.values():
        if not is_whole(run.row, run.load, run.values):
            left_out[WITHOUT_LOAD] += len(run.values)
    return [run for run in runs.values() if is_whole(run.row, run.load, run.values)]


def _value(row: Row, what: Compared, where: str) -> float:
    """Return the value of a row in the unit of its metric."""
    value = number_in(row, "value", where) * what.factor
    if value <= 0.0:
        raise ScenarioError.at(where, f"value: got {row['value']}; expected a number above 0")
    if what.is_per_device:
        value *= number_in(row, "n_devices", where)
    if what.is_batch_time:
        stated = stated_load(row)
        assert stated is not None
        value = stated[1] * number_in(row, "osl", where) / value
    return value


def _is_impossible(run: MeasuredRun) -> bool:
    """Return whether prompts and answers need more FLOP/s than the peak of all devices.

    The FLOP are a lower bound, since attention is omitted.
    """
    if "output_per_s" not in run.values:
        return False
    model, device = machine_of(run.model, run.hardware)
    tokens_per_s = run.values["output_per_s"] * (run.isl + run.osl) / run.osl
    _, peak_flop_per_s = device.peak.of(PRECISIONS[run.precision])
    # without the output head, which not every token passes
    layers = model.active_parameters - model.vocabulary * model.hidden
    return 2.0 * layers * tokens_per_s > peak_flop_per_s * run.devices


def _wafers(row: Row, where: str) -> int:
    """Return the number of wafers that the row states, or that the weights need."""
    if row["n_devices"]:
        return round(number_in(row, "n_devices", where))
    return wafers_needed(
        *machine_of(row["model"], row["hardware"]), PRECISIONS[row["precision"].split(" ")[0]]
    )


def _run(gathered: _Gathered, stated: Iterable[Setting]) -> MeasuredRun:
    """Return the run that rows belong to, with all its measured values."""
    row, where, values = gathered.row, gathered.where, gathered.values
    layout, load = stated_layout(row), stated_load(row)
    assert layout is not None and load is not None
    if load[0] == "sessions" and (hits := _HITS.search(row["notes"])):
        values = values | {"prefix_hits": float(hits[1]) / 100.0}
    lengths = stated_lengths(row, load[0], where)
    return MeasuredRun(
        # gap-analysis runs of this data set have another source; their lengths and precision are
        # partly assumed
        dataset="aic_gap_analysis" if "gap-analysis" in row["notes"] else row["dataset"],
        source=row["source"],
        hardware=row["hardware"],
        model=row["model"],
        precision=row["precision"].split(" ")[0],
        framework=row["framework"],
        tensor_parallel=layout.main.tensor_parallel,
        data_parallel=layout.main.data_parallel,
        expert_parallel=layout.main.expert_parallel,
        replicas=layout.main.replicas,
        isl=lengths[0],
        osl=lengths[1],
        load=load[0],
        amount=load[1],
        split_key=row["split_key"],
        notes=row["notes"],
        values=values,
        steady=gathered.steady,
        drafts=stated_drafts(row),
        wafers=_wafers(row, where) if row["hardware"] == "CS-3" else None,
        date=row["date"],
        prefill=layout.prefill,
        settings=tuple(setting for setting in stated if setting.is_of(row)),
        agents=agent_load(row["notes"], gathered.load, values["decode_ms"])
        if load[0] == "agents"
        else None,
    )
