"""Damaged files of every kind, and the commands that are let loose on them."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.schema import CATALOG, yaml_text
from tests.fuzz import seeds
from tests.fuzz.mutations import damaged_bytes, damaged_data

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
    """A trace of any format, packed or not."""
    if rng.random() < 0.15:
        return _servegen(rng)
    name, text = rng.choice(list(seeds.TRACES.items()))
    content = text.encode()
    lines = text.splitlines()
    if rng.random() < 0.6:
        if name.endswith(".csv"):
            rows = [line.split(",") for line in lines]
            content = "\n".join(",".join(map(str, row)) if isinstance(row, list) else str(row) for row in damaged_data(rng, rows)).encode()  # fmt: skip
        else:
            documents = damaged_data(rng, [json.loads(line) for line in lines])
            content = "\n".join(map(json.dumps, documents)).encode()
    else:
        content = damaged_bytes(rng, content)
    if rng.random() < 0.1:
        name, content = f"{name}.tar", _archive(rng, name, content)
    elif rng.random() < 0.2:
        name, content = f"{name}.gz", gzip.compress(content, mtime=0)
        content = damaged_bytes(rng, content) if rng.random() < 0.5 else content
    Path(name).write_bytes(content)
    sessions = {"concurrency": 2, "requests": 4, "trace": {"path": name}}
    _small(workload={"sessions": sessions} if rng.random() < 0.2 else {"trace": {"path": name}})
    shown: tuple[tuple[str, ...], ...] = (("workload", "show", name),) if rng.random() < 0.3 else ()
    return Damage((name, "x.yaml"), (*_read_by(rng), *shown))


def _archive(rng: Random, name: str, content: bytes) -> bytes:
    """A file in a tar archive, packed in one of the usual ways; half of them are damaged."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=rng.choice(("w", "w:gz", "w:xz", "w:bz2"))) as archive:
        entry = tarfile.TarInfo(name.replace(".jsonl", ".json"))
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
    """Lose, rename, retype or empty a column, or lose rows."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError):  # damaged before
        return
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
    pq.write_table(table, path)


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


def kind_of(number: int) -> str:
    """The kind of files that a case damages."""
    return _TURNS[number % len(_TURNS)]


def generator(seed: int, number: int) -> Random:
    """The generator of a case: the same for the same seed and number, whatever else is run."""
    return Random(f"{seed}/{number}")


def files_of(folder: Path) -> Iterator[Path]:
    """All files in a folder, for those who look at a case that failed."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
