"""Test that two versions of the simulator have equal results: record runs, compare records.

    python benchmarks/same_results.py record CHECKOUT --out before [--seeds 0:200] [--jobs 2]
    python benchmarks/same_results.py compare before after

`record` uses the cluster_sim of CHECKOUT. It runs every variant of the scenario files of CHECKOUT
(long scenarios are shortened) and the random scenarios of this checkout's tests/random_scenarios.py.
For each run it saves the run folder and the output of `cluster-sim explain`, or the reason why there
is no result. It uses only the public API and the command of CHECKOUT, so modules may move.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import tomllib
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 60.0
"""Maximum CPU time of a run [s]."""
SHORTER: dict[str, dict[str, Any]] = {
    "autoscale_day": {"duration": "2 h"},
    "contract_10b": {"duration": "6 min", "warmup": "1 min"},
    "fleet_10000_gpus": {"duration": "40 min"},
    "thermal_burst": {"duration": "7 min"},
    "working_day": {"duration": "40 min"},
}
TRACES = {
    "azure_conversation": "traces/azure2023/AzureLLMInferenceTrace_conv.first2400s.csv",
    "mooncake_trace": "traces/mooncake/conversation_trace.first1800s.jsonl",
}
WALL = {"wall_s", "versions"}
"""Keys of JSON that depend on the machine and the time, and not on the scenario."""


class Task(NamedTuple):
    """One run: a scenario file of CHECKOUT, or the random scenario of a seed."""

    name: str
    file: str = ""
    variant: str | None = None
    overrides: Mapping[str, Any] = MappingProxyType({})
    seed: int = -1


class TimedOut(BaseException):
    """End of a run that takes too long. It is no Exception, so that the run does not catch it."""


def main() -> None:
    """Run the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record", help="run scenarios with the simulator of a checkout")
    recording.add_argument("checkout", type=Path, metavar="CHECKOUT")
    recording.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    recording.add_argument(
        "--seeds",
        default="0:200",
        metavar="FROM:TO",
        help="run the random scenarios of these seeds; default 0:200",
    )
    boolean = argparse.BooleanOptionalAction
    recording.add_argument(
        "--scenarios", action=boolean, default=True, help="run the scenario files of CHECKOUT"
    )
    recording.add_argument(
        "--shared",
        type=Path,
        default=ROOT.parent / "shared",
        metavar="FOLDER",
        help="read recorded traces from this folder",
    )
    recording.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="use N processes; default 1"
    )
    recording.add_argument("--part", type=int, help=argparse.SUPPRESS)
    comparing = verbs.add_parser("compare", help="print every difference between two records")
    comparing.add_argument("one", type=Path, metavar="FOLDER_A")
    comparing.add_argument("other", type=Path, metavar="FOLDER_B")
    arguments = parser.parse_args()
    if arguments.verb == "compare":
        sys.exit(compare(arguments.one, arguments.other))
    if arguments.part is not None:
        return record_part(arguments)
    sys.exit(record(arguments))


# Recording


def record(arguments: argparse.Namespace) -> int:
    """Record all runs in processes that import the cluster_sim of CHECKOUT; return the exit code."""
    if arguments.out.exists() and any(arguments.out.iterdir()):
        print(f"{arguments.out} is not empty; expected another --out", file=sys.stderr)
        return 2
    environment = {**os.environ, "PYTHONPATH": str(arguments.checkout.resolve())}
    command = [sys.executable, __file__, *sys.argv[1:], "--part"]
    commands = [[*command, str(part)] for part in range(arguments.jobs)]
    parts = [subprocess.Popen(one, env=environment) for one in commands]
    failed = [process for process in parts if process.wait()]
    outcomes = [path.read_text().partition("\n")[0] for path in arguments.out.rglob("outcome.txt")]
    for kind in sorted(set(outcomes)):
        print(f"{outcomes.count(kind):6,} {kind}")
    print(f"{len(outcomes):6,} runs in {arguments.out}")
    return 1 if failed else 0


def record_part(arguments: argparse.Namespace) -> None:
    """Record every n-th run in this process, for n processes."""
    import cluster_sim

    checkout, out = arguments.checkout.resolve(), arguments.out.resolve()
    if not Path(cluster_sim.__file__).is_relative_to(checkout):
        sys.exit(f"cluster_sim comes from {cluster_sim.__file__}, not from {checkout}")
    signal.signal(signal.SIGPROF, _give_up)
    tasks = list(_random_tasks(arguments.seeds))
    if arguments.scenarios:
        tasks += _file_tasks(checkout, arguments.shared.resolve())
    command = _command(checkout)
    for task in tasks[arguments.part :: arguments.jobs]:
        folder = out / task.name
        folder.mkdir(parents=True)
        os.chdir(folder if task.seed >= 0 else checkout)
        file = "written.yaml" if task.seed >= 0 else task.file
        if task.seed >= 0:
            _write_random(task.seed, Path(file))
        _run(task, file, folder / "run", folder / "outcome.txt")
        (folder / "explain.txt").write_text(_explained(command, task, file))


def _random_tasks(seeds: str) -> Iterator[Task]:
    first, _, end = seeds.partition(":")
    for seed in range(int(first), int(end)):
        yield Task(f"random/{seed:04}", seed=seed)


def _file_tasks(checkout: Path, shared: Path) -> Iterator[Task]:
    """Yield every variant of every scenario file; print the files whose trace is missing."""
    for path in sorted((checkout / "scenarios").glob("*.yaml")):
        overrides = SHORTER.get(path.stem, {})
        if path.stem in TRACES:
            trace = shared / TRACES[path.stem]
            if not trace.is_file():
                print(f"skipped {path.name}: no {trace}", file=sys.stderr)
                continue
            overrides = {**overrides, "workload.trace.path": str(trace)}
        for variant in YAML(typ="safe").load(path).get("variants") or [None]:
            name = "/".join(filter(None, ("files", path.stem, variant)))
            yield Task(name, f"scenarios/{path.name}", variant, overrides)


def _write_random(seed: int, path: Path) -> None:
    sys.path.insert(1, str(ROOT / "tests"))
    random_scenario = importlib.import_module("random_scenarios").random_scenario
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(random_scenario(Random(seed)), file)


def _run(task: Task, file: str, folder: Path, outcome: Path) -> None:
    """Simulate one scenario and save its run folder; write the kind of outcome to `outcome`."""
    import cluster_sim

    def simulate() -> str:
        scenario = cluster_sim.load_scenario(file, task.variant, task.overrides)
        results = cluster_sim.simulate(scenario)
        results.save(folder)
        return f"simulated, {'some' if results.requests.num_rows else 'no'} requests"

    try:
        text = _patiently(simulate)
    except cluster_sim.ScenarioError as error:
        text = f"refused\n{error}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1].name
        text = f"failed: {type(error).__name__}\n{error}"
        print(f"{task.name}: {type(error).__name__} in {place}: {error}", file=sys.stderr)
    except TimedOut:
        text = f"not done after {PATIENCE_S:g} s"
        print(f"{task.name}: {text}", file=sys.stderr)
    outcome.write_text(text + "\n")


def _explained(command: Callable[[], None], task: Task, file: str) -> str:
    """Return the output of `cluster-sim explain` for a scenario, and its exit code."""
    sets = [f"--set={key}={json.dumps(value)}" for key, value in task.overrides.items()]
    variant = [f"--variant={task.variant}"] if task.variant else []
    sys.argv = ["cluster-sim", "explain", file, *variant, *sets]
    printed, status = io.StringIO(), "0"
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            _patiently(command)
        except SystemExit as end:
            status = str(end.code)
        except TimedOut:
            status = "timed out"
    return f"{printed.getvalue()}exit status {status}\n"


def _command(checkout: Path) -> Callable[[], None]:
    """Return the function of the command `cluster-sim`, from pyproject.toml."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["cluster-sim"].partition(":")
    function: Callable[[], None] = getattr(importlib.import_module(module), name)
    return function


def _patiently(work: Callable[[], Any]) -> Any:
    """Return the result of `work`.

    Raises
    ------
    TimedOut
        The work takes more than PATIENCE_S of CPU time.
    """
    signal.setitimer(signal.ITIMER_PROF, PATIENCE_S)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def _give_up(*_: object) -> None:
    raise TimedOut


# Comparing


def compare(one: Path, other: Path) -> int:
    """Print a line for each difference; return the exit code."""
    runs = sorted(_runs(one) | _runs(other))
    differing = 0
    for run in runs:
        differences = list(_differences(one / run, other / run))
        differing += bool(differences)
        for difference in differences:
            print(f"{run}: {difference}")
    print(f"{len(runs):,} runs compared, {differing:,} differ")
    return 1 if differing or not runs else 0


def _runs(folder: Path) -> set[Path]:
    return {path.parent.relative_to(folder) for path in folder.rglob("outcome.txt")}


def _differences(one: Path, other: Path) -> Iterator[str]:
    """Yield the differences between two records of a run, file by file."""
    for file in sorted(_files(one) | _files(other)):
        lacking = [folder for folder in (one, other) if not (folder / file).is_file()]
        if lacking:
            yield f"{file} is not in {lacking[0]}"
        elif difference := _difference(one / file, other / file):
            yield f"{file}: {difference}"


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def _difference(one: Path, other: Path) -> str:
    """Return the first difference of two files; "" if only wall times and versions differ."""
    if one.read_bytes() == other.read_bytes():
        return ""
    if one.suffix == ".parquet":
        return _in_tables(one, other)
    if one.suffix == ".json":
        return _in_json(json.loads(one.read_text()), json.loads(other.read_text()))
    lines = [path.read_text().splitlines() for path in (one, other)]
    for number, both in enumerate(zip(*lines, strict=False), start=1):
        if both[0] != both[1]:
            return f"line {number}: {both[0]!r} and {both[1]!r}"
    return f"{len(lines[0])} and {len(lines[1])} lines"


def _in_tables(one: Path, other: Path) -> str:
    """Return the first difference of two tables: first column, and its first row, that differs."""
    table, other_table = pq.read_table(one), pq.read_table(other)
    if table.schema != other_table.schema:
        return f"columns {_columns(table)} and {_columns(other_table)}"
    if table.num_rows != other_table.num_rows:
        return f"{table.num_rows:,} and {other_table.num_rows:,} rows"
    for name in table.column_names:
        rows = zip(table[name].to_pylist(), other_table[name].to_pylist(), strict=True)
        for row, (value, other_value) in enumerate(rows):
            if repr(value) != repr(other_value):
                return f"column {name}, row {row}: {value!r} and {other_value!r}"
    return "equal values in different bytes"


def _columns(table: Any) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in table.schema)


def _in_json(one: Any, other: Any, key: str = "") -> str:
    """Return the first key that differs in value or order; wall times and versions are ignored."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys, other_keys = ([name for name in half if name not in WALL] for half in (one, other))
        if keys != other_keys:
            return f"{key or 'top'}: keys {', '.join(keys)} and {', '.join(other_keys)}"
        pairs = [(one[name], other[name], f"{key}.{name}".lstrip(".")) for name in keys]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        both = zip(one, other, strict=True)
        pairs = [(*pair, f"{key}[{place}]") for place, pair in enumerate(both)]
    else:
        return "" if repr(one) == repr(other) else f"{key}: {one!r} and {other!r}"
    return next(filter(None, (_in_json(*pair) for pair in pairs)), "")


if __name__ == "__main__":
    main()
