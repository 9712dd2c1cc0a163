"""Who may import whom: the rooms of the house, and what may not be in them."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.xdist_group("sources")  # the process that has read the package's files

PACKAGE = Path(__file__).resolve().parents[1] / "cluster_sim"

# From the bottom up. A file imports only from rows above its own here or from its own room: rooms
# of one
# row do not import each other. Plain, lazy and type-only imports count.
ROWS = [
    "errors",
    "limits",
    "typing units version whole_files",
    "schema",
    "request economics",
    "hardware",
    "llm topology",
    "physics",
    "workload serving reliability facility",
    "scenario",
    "deployment",
    "loading analysis results",
    "sim figures export",
    "studies starters",
    "calibration",
    "report validation",
    "claims",
    "cli __init__",
]
ROW = {room: number for number, rooms in enumerate(ROWS) for room in rooms.split()}

# Third-party packages and the rooms that may import them; those not named here may be imported by
# none.
ALLOWED = {
    "pint": "units",
    "pydantic": "limits typing units schema hardware llm economics workload serving reliability facility scenario loading calibration claims",
    "pydantic_core": "limits units schema economics",
    "ruamel": "schema",
    "yaml": "schema",
    "numpy": (
        "typing economics sim topology physics facility workload serving reliability deployment results analysis calibration figures "
        "export report validation studies starters claims"
    ),
    "networkx": "topology",
    "orjson": "workload",
    "pooch": "workload",
    "tokenizers": "workload",
    "requests": "workload",  # which Pooch brings
    "pyarrow": "workload reliability results analysis calibration figures export report studies claims cli",
    "scipy": "results calibration report studies export",
    "simpy": "sim",
    "jinja2": "report",
    "matplotlib": "figures report",
    "dask": "studies",
    "SALib": "studies",
    "optuna": "studies",
    "typer": "cli",
    "rich": "cli",
}

FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


class Source(NamedTuple):
    """What a file imports, prints and makes when it is imported."""

    imports: list[tuple[str, int]]
    """Imported modules, each with its line."""
    prints: list[int]
    """Lines that call `print`."""
    generators: list[int]
    """Lines of assignments to the module that make a generator of random numbers."""


@cache
def source_of(path: Path) -> Source:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    source = Source([], [], [])
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                source.imports.extend((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=module, names=names):
                assert node.level == 0, f"{path}:{node.lineno}: relative import"
                source.imports.append((module or "", node.lineno))
                if module == "cluster_sim":
                    whole = ((f"cluster_sim.{alias.name}", node.lineno) for alias in names)
                    source.imports.extend(whole)
            case ast.Call(func=ast.Name(id="print")):
                source.prints.append(node.lineno)
    for statement in tree.body:
        assigns = isinstance(statement, (ast.Assign, ast.AnnAssign))
        if assigns and "default_rng" in ast.unparse(statement):
            source.generators.append(statement.lineno)
    return source


def test_a_file_imports_only_from_rows_below_its_own() -> None:
    rooms = {path: room_of(path) for path in FILES}
    assert set(rooms.values()) <= set(ROW)
    assert [
        f"{path}:{line}: {mine} imports {other}"
        for path, mine in rooms.items()
        for name, line in source_of(path).imports
        if (other := imported_room(name, mine)) != mine and ROW[other] >= ROW[mine]
    ] == []


@cache
def imported_room(name: str, mine: str) -> str:
    """Return the room that an import of `name` is from: `mine` where it is from no other."""
    other = name.split(".")[1] if name.startswith("cluster_sim.") else mine
    exists = (PACKAGE / other).exists() or (PACKAGE / f"{other}.py").exists()
    return other if exists else mine


def test_a_package_is_imported_only_where_it_belongs() -> None:
    assert [
        f"{path}:{line}: {room_of(path)} imports {top}"
        for path in FILES
        for name, line in source_of(path).imports
        if (top := name.split(".")[0]) != "cluster_sim" and top not in sys.stdlib_module_names
        if room_of(path) not in ALLOWED.get(top, "").split()
    ] == []


def test_random_numbers_come_from_a_generator_that_is_handed_in() -> None:
    assert [
        f"{path}:{line}: imports {name}"
        for path in FILES
        for name, line in source_of(path).imports
        if name.split(".")[0] == "random"
    ] == []
    assert [
        (path, source_of(path).generators) for path in FILES if source_of(path).generators
    ] == []


def test_nothing_prints_but_the_command_line() -> None:
    loud = [path for path in FILES if source_of(path).prints]
    assert [(path, source_of(path).prints) for path in loud if room_of(path) != "cli"] == []


def test_every_room_is_in_use() -> None:
    assert {room_of(path) for path in FILES} == set(ROW)


def test_help_loads_none_of_the_slow_packages() -> None:
    import subprocess

    code = "import sys, cluster_sim.cli.app; print(sorted({'numpy', 'pyarrow', 'pydantic', 'pint', 'matplotlib', 'simpy', 'networkx', 'scipy', 'jinja2'} & set(sys.modules)))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
