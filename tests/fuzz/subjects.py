"""Damaged files of every kind, and the commands that are let loose on them."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster_sim.schema import CATALOG, yaml_text
from tests.fuzz import seeds
from tests.fuzz.changes.case import untouched
from tests.fuzz.meanings import MEANINGS, encoded, rearranged
from tests.fuzz.mutations import damaged_bytes, damaged_data
from tests.fuzz.traces import FORMS, PACKINGS, cells_as_text, content_of

RUN = ("run", "x.yaml", "--out", "out", "--json", "--time-limit", "2 s", "--memory-limit", "8 GB")
FIGURES = ("latency_cdf", "timeline", "kv_occupancy", "power", "topology", "phase_breakdown")
CLIENTS = ("vllm", "aiperf", "guidellm", "mlperf")


@dataclass(frozen=True)
class Damage:
    """Files that were damaged, and the commands that read them one after another.

    A command whose predecessor refused the files is not called.
    """

    files: tuple[str, ...]
    """Names of which the message of a refusal must have one."""
    commands: tuple[tuple[str, ...], ...]
    trace: str = ""
    """Name of a trace, whose refusal has a place in it; empty where the files are no trace."""


Subject = Callable[[Random, Path], Damage]
"""Writes damaged files into the empty working folder; the second argument holds a good run."""


def _written(rng: Random, data: Any, *, as_json: bool = False) -> bytes:
    """Damaged keys as a file; now and then it is the text that is damaged."""
    write = json.dumps if as_json else yaml_text
    if rng.random() < 0.25:
        return damaged_bytes(rng, write(data).encode())
    return write(damaged_data(rng, data)).encode("utf-8", "surrogatepass")


def _read_by(rng: Random) -> tuple[tuple[str, ...], ...]:
    """Commands on `x.yaml`: it is always checked, and now and then explained or simulated."""
    commands: list[tuple[str, ...]] = [("check", "x.yaml")]
    if rng.random() < 0.3:
        commands.append(("explain", "x.yaml"))
    if rng.random() < 0.45:
        commands.append(RUN)
    return tuple(commands)


def scenario(rng: Random, run: Path) -> Damage:
    """A scenario as somebody wrote it, with everything written out, or drawn at random."""
    data = rng.choice((seeds.scenario_file, seeds.resolved_scenario, seeds.drawn_scenario))(rng)
    if rng.random() < 0.15:
        data = data | seeds.sections(rng)
    Path("x.yaml").write_bytes(_written(rng, data))
    return Damage(("x.yaml",), _read_by(rng))


def _small(**changes: Any) -> None:
    """Write a good scenario that names other files."""
    pool = {"name": "p", "node": "dgx-h100"} | changes.pop("pool", {})
    traffic = {"arrivals": {"process": "poisson", "rate": "4 /s"}, "prompt_tokens": 100, "output_tokens": 8}  # fmt: skip
    keys = {"name": "x", "duration": "2 s", "model": "llama-3.1-8b", "workload": traffic}
    Path("x.yaml").write_text(yaml_text(keys | {"cluster": {"pools": [pool]}} | changes))


def trace(rng: Random, run: Path) -> Damage:
    """A trace of any format, encoding and packing."""
    if rng.random() < 0.1:
        return _servegen(rng)
    name, content, keys = _damaged_trace(rng)
    if rng.random() < 0.3 and not name.endswith(".parquet"):
        content = encoded(rng, content)
    if rng.random() < 0.1:
        name, content = f"{name}.tar", _archive(rng, name, content)
    elif rng.random() < 0.3:
        packing, pack = rng.choice(sorted(PACKINGS.items()))
        name, content = f"{name}.{packing}", pack(content)
        content = damaged_bytes(rng, content) if rng.random() < 0.3 else content
    Path(name).write_bytes(content)
    _small(workload=_traffic(rng, {"path": name} | keys))
    shown: tuple[tuple[str, ...], ...] = (("workload", "show", name),) if rng.random() < 0.3 else ()
    return Damage((name, "x.yaml"), (*_read_by(rng), *shown), name)


def _damaged_trace(rng: Random) -> tuple[str, bytes, dict[str, Any]]:
    """Name, content and keys beside the path: values, cells or bytes of a trace are damaged."""
    if rng.random() < 0.2:
        name, text = rng.choice(sorted(seeds.TRACES.items()))
        documents = [json.loads(line) for line in text.splitlines()]
        if rng.random() < 0.6:
            text = "".join(json.dumps(each) + "\n" for each in damaged_data(rng, documents))
            return name, text.encode("utf-8", "surrogatepass"), {}
        return name, damaged_bytes(rng, text.encode()), {}
    form = rng.choice(FORMS)
    rows = rearranged(rng)
    if rng.random() < 0.25:
        meaning = rng.choice(sorted(MEANINGS))
        case = MEANINGS[meaning](rng, form, rows) or untouched(rng, form, rows)
        return form.name, case.content, case.keys
    data = form.write(rows)
    if form.kind == "parquet":
        content = content_of(form, _damaged_table(rng, data) if rng.random() < 0.7 else data)
        return form.name, content if rng.random() < 0.7 else damaged_bytes(rng, content), form.keys
    if rng.random() < 0.6:
        data = damaged_data(rng, data)
        if form.kind == "table":
            cells = [row if isinstance(row, list) else [row] for row in data]
            return form.name, cells_as_text(cells).encode("utf-8", "replace"), form.keys
        return form.name, content_of(form, data), form.keys
    return form.name, damaged_bytes(rng, content_of(form, data)), form.keys


def _traffic(rng: Random, keys: dict[str, Any]) -> dict[str, Any]:
    """Replay a trace by the keys of the scenario, some of which are beside the mark."""
    beside: tuple[dict[str, Any], ...] = (
        {"replay": "sessions"},
        {"replay": "timestamps"},
        *({"time_unit": unit} for unit in ("s", "ms", "us", "ns", "iso")),
        {"columns": {"arrival": "when", "prompt": "asked", "output": "told"}},
        {"columns": {"arrival": "timestamp", "prompt": "input_length", "output": "output_length", "session": "chat_id"}},
        {"start": "1 s"}, {"sample": 0.5}, {"speedup": 100}, {"limit": 3}, {"dejitter": "1 s"}, {"block_tokens": 64},
    )  # fmt: skip
    if rng.random() < 0.25:
        keys = keys | rng.choice(beside)
    if rng.random() < 0.15:
        return {"sessions": {"concurrency": 2, "requests": 4, "trace": keys}}
    return {"trace": keys}


def _archive(rng: Random, name: str, content: bytes) -> bytes:
    """A file in a tar archive or a zip, packed in one of the usual ways; half of them are damaged."""
    packed = io.BytesIO()
    inside = name.replace(".jsonl", ".json")
    if rng.random() < 0.3:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr(inside, content)
            zipped.writestr("other.json", content)
    else:
        mode = rng.choice(("w", "w:gz", "w:xz", "w:bz2"))
        with tarfile.open(fileobj=packed, mode=mode) as archive:
            entry = tarfile.TarInfo(inside)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return damaged_bytes(rng, packed.getvalue()) if rng.random() < 0.5 else packed.getvalue()


def _servegen(rng: Random) -> Damage:
    folder = Path("clients")
    folder.mkdir()
    windows, tables = seeds.WINDOWS.encode(), json.dumps(seeds.TABLES).encode()
    if rng.random() < 0.5:
        windows = damaged_bytes(rng, windows)
    else:
        tables = _written(rng, seeds.TABLES, as_json=True)
    (folder / "chunk-0-trace.csv").write_bytes(windows)
    if rng.random() < 0.9:
        (folder / "chunk-0-dataset.json").write_bytes(tables)
    _small(workload={"trace": {"path": "clients", "limit": 50}})
    return Damage(("clients", "x.yaml"), _read_by(rng))


def model(rng: Random, run: Path) -> Damage:
    """A config.json of Hugging Face, or a model file as the catalog has them."""
    if rng.random() < 0.7:
        name, content = "config.json", _written(rng, rng.choice(seeds.CONFIGS), as_json=True)
    else:
        name, content = "model.yaml", _written(rng, rng.choice(seeds.catalog("models"))[1])
    Path(name).write_bytes(content)
    _small(model=name)
    return Damage((name, "x.yaml"), _read_by(rng))


def device(rng: Random, run: Path) -> Damage:
    """A device file in a good node."""
    name, keys = rng.choice(seeds.catalog("devices"))
    nodes = [node for _, node in seeds.catalog("nodes") if node["device"] == name]
    node = rng.choice(nodes) if nodes else seeds.catalog("nodes")[0][1]
    Path("device.yaml").write_bytes(_written(rng, keys))
    Path("node.yaml").write_text(yaml_text(node | {"device": "device.yaml"}))
    _small(pool={"node": "node.yaml"} | _plan(node))
    return Damage(("device.yaml", "node.yaml", "x.yaml"), _read_by(rng))


def node(rng: Random, run: Path) -> Damage:
    """A node file of a device of the catalog."""
    _, keys = rng.choice(seeds.catalog("nodes"))
    Path("node.yaml").write_bytes(_written(rng, keys))
    _small(pool={"node": "node.yaml"} | _plan(keys))
    return Damage(("node.yaml", "x.yaml"), _read_by(rng))


def _plan(node: dict[str, Any]) -> dict[str, Any]:
    """Return what suits the node of a pool: wafers need another engine."""
    is_wafer = str(node["device"]).startswith("wse")
    return {"replica": {"engine": "cerebras" if is_wafer else "vllm"}, "replicas": 1}


def run_folder(rng: Random, run: Path) -> Damage:
    """The folder of a run in which files are missing, cut, or of another content."""
    shutil.copytree(run / "run", "run")
    for _ in range(rng.choice((1, 1, 2))):
        files = sorted(path for path in Path("run").iterdir() if path.is_file())
        if files:
            _damage_file(rng, rng.choice(files))
    command: tuple[str, ...] = rng.choice(
        (
            ("report", "run", "--out", "page.html"),
            ("plot", rng.choice(FIGURES), "run", "--out", "figure.svg"),
            ("export", "run", "--format", rng.choice(CLIENTS), "--out", "exported"),
            ("trace", "run", "--out", "run.pftrace"),
            ("run", "run/scenario.yaml", *RUN[2:]),
        )
    )
    return Damage(("run",), (command,))


def _damage_file(rng: Random, path: Path) -> None:
    if rng.random() < 0.15:
        path.unlink()
    elif path.suffix == ".json" and rng.random() < 0.7 and (data := _parsed(path)) is not None:
        path.write_text(json.dumps(damaged_data(rng, data)))
    elif path.suffix == ".parquet" and rng.random() < 0.7:
        _damage_table(rng, path)
    else:
        path.write_bytes(damaged_bytes(rng, path.read_bytes()))


def _parsed(path: Path) -> Any:
    """The values of a JSON file; None where it was damaged before."""
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


def _damage_table(rng: Random, path: Path) -> None:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError):  # damaged before
        return
    pq.write_table(_damaged_table(rng, table), path)


def _damaged_table(rng: Random, table: Any) -> Any:
    """Lose, rename, retype or empty a column, or lose rows."""
    if not table.column_names:  # temperatures were not simulated
        return table
    name = rng.choice(table.column_names)
    match rng.randrange(6):
        case 0:
            table = table.drop_columns([name])
        case 1:
            table = table.rename_columns([f"{each}x" if each == name else each for each in table.column_names])  # fmt: skip
        case 2:
            values = [None if value is None else str(value) for value in table[name].to_pylist()]
            table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))  # fmt: skip
        case 3:
            table = table.set_column(table.column_names.index(name), name, pa.nulls(len(table), table[name].type))  # fmt: skip
        case 4:
            table = table.slice(0, rng.choice((0, 1, len(table) // 2)))
        case _:
            table = pa.concat_tables([table, table])
    return table


def measured(rng: Random, run: Path) -> Damage:
    """A file that a benchmark client wrote, beside a run; or a row of the published figures."""
    if rng.random() < 0.15:
        lines = (CATALOG / "reference.csv").read_bytes().splitlines(keepends=True)
        rows = lines[0] + rng.choice(lines[1:])
        Path("rows.csv").write_bytes(damaged_bytes(rng, rows))
        return Damage(("rows.csv",), (("validate", "--data", "rows.csv", "--workers", "1"),))
    path = rng.choice(sorted(each for each in (run / "clients").rglob("*") if each.is_file()))
    if path.suffix == ".json" and rng.random() < 0.7:
        content = _written(rng, json.loads(path.read_bytes()), as_json=True)
    else:
        content = damaged_bytes(rng, path.read_bytes())
    Path(path.name).write_bytes(content)
    return Damage((path.name,), (("compare", str(run / "run"), "--measured", path.name),))


SUBJECTS: dict[str, Subject] = {
    "scenario": scenario, "trace": trace, "model": model, "device": device, "node": node, "run folder": run_folder, "measured": measured,
}  # fmt: skip
"""Kinds of files by name."""
_TURNS = ("scenario",) * 5 + ("trace", "model", "device", "node", "run folder", "run folder", "measured")  # fmt: skip


def cases(metafunc: pytest.Metafunc, quick: int) -> None:
    """Give a test the numbers of its cases; the first ones are not slow together."""
    numbers = [
        pytest.param(number, marks=() if number < quick else pytest.mark.slow, id=str(number))
        for number in range(metafunc.config.getoption("--fuzz"))
    ]
    metafunc.parametrize("number", numbers)


def kind_of(number: int) -> str:
    """The kind of files that a case damages."""
    return _TURNS[number % len(_TURNS)]


def generator(seed: int, number: int) -> Random:
    """The generator of a case: the same for the same seed and number, whatever else is run."""
    return Random(f"{seed}/{number}")


def files_of(folder: Path) -> Iterator[Path]:
    """All files in a folder, for those who look at a case that failed."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
