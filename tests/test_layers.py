"""Who may import whom: the rooms of the house, and what may not be in them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "cluster_sim"

# From the bottom up: a file imports from rooms below its own and from its own line. Packages are rooms.
ROOMS = [
    {"errors", "units"},
    {"reading"},
    {"hardware", "model", "request", "prices"},
    {"topology", "physics"},
    {"workload", "serving"},
    {
        "scenario",
        "questions",
        "checks",
        "loading",
        "results",
        "contention",
        "bandwidth",
        "metrics",
        "energy",
        "work",
        "heat",
        "site",
        "caps",
        "explain",
        "paths",
        "demand",
        "download",
        "calibration",
        "costs",
    },
    {"sim"},
    {"simulation", "tables", "heat_table"},
    {"figures", "report"},
    {"validation", "studies", "console", "live"},
    {"cli", "__init__"},
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}

# Third-party packages and the rooms that may import them; those not named here may be imported by none.
ALLOWED = {
    "pint": {"units"},
    "pydantic": {"units", "reading", "hardware", "model", "prices", "workload", "serving", "scenario", "site", "questions", "calibration", "download"},
    "pydantic_core": {"units", "reading", "prices"},
    "ruamel": {"reading"},
    "numpy": {
        "sim",
        "topology",
        "physics",
        "workload",
        "serving",
        "scenario",
        "results",
        "contention",
        "metrics",
        "energy",
        "bandwidth",
        "costs",
        "work",
        "heat",
        "explain",
        "calibration",
        "tables",
        "heat_table",
        "figures",
        "report",
        "live",
        "validation",
        "demand",
        "studies",
    },
    "networkx": {"topology"},
    "orjson": {"workload"},
    "pooch": {"download"},
    "pyarrow": {"results", "metrics", "tables", "heat_table", "calibration", "demand", "figures", "report", "studies"},
    "scipy": {"metrics", "calibration", "report", "studies"},
    "simpy": {"sim", "simulation"},
    "matplotlib": {"figures"},
    "dask": {"studies"},
    "SALib": {"studies"},
    "typer": {"cli", "console", "studies"},
    "rich": {"cli", "console", "live", "studies"},
}
NOT_EACH_OTHER = ({"workload"}, {"serving"})

FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module or "", node.lineno
            if node.module == "cluster_sim":
                yield from ((f"cluster_sim.{alias.name}", node.lineno) for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_rooms_below_its_own(path: Path) -> None:
    mine = room_of(path)
    assert mine in LEVEL, f"{mine} has no place in the house"
    for name, line in imports(path):
        if name.startswith("cluster_sim."):
            other = name.split(".")[1]
            if other == mine:
                continue
            assert other in LEVEL, f"{path}:{line}: {name}"
            same_line = LEVEL[other] == LEVEL[mine] and not {frozenset({mine}), frozenset({other})} <= {frozenset(rooms) for rooms in NOT_EACH_OTHER}
            assert LEVEL[other] < LEVEL[mine] or same_line, f"{path}:{line}: {mine} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_package_is_imported_only_where_it_belongs(path: Path) -> None:
    import sys

    for name, line in imports(path):
        top = name.split(".")[0]
        if top == "cluster_sim" or top in sys.stdlib_module_names:
            assert top != "random", f"{path}:{line}: random numbers come from a generator that is handed in"
            continue
        assert room_of(path) in ALLOWED.get(top, set()), f"{path}:{line}: {room_of(path)} imports {top}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_prints_but_the_command_line_and_no_generator_is_global(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            assert room_of(path) == "cli", f"{path}:{node.lineno}: print"
    for statement in tree.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            text = ast.unparse(statement)
            assert "default_rng" not in text, f"{path}:{statement.lineno}: a generator at module level"


def test_every_room_is_in_use() -> None:
    assert {room_of(path) for path in FILES} == set(LEVEL)


def test_help_loads_none_of_the_slow_packages() -> None:
    import subprocess
    import sys

    code = "import sys, cluster_sim.cli; print(sorted({'numpy', 'pyarrow', 'pydantic', 'pint', 'matplotlib', 'simpy', 'networkx', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
