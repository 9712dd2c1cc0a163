"""Who may import whom: the rooms of the house, and what may not be in them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    "workload serving",
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
    "pydantic": "limits typing units schema hardware llm economics workload serving scenario loading calibration claims",
    "pydantic_core": "limits units schema economics",
    "ruamel": "schema",
    "numpy": (
        "typing economics sim topology physics workload serving deployment results analysis calibration figures "
        "export report validation studies starters claims"
    ),
    "networkx": "topology",
    "orjson": "workload",
    "pooch": "workload",
    "tokenizers": "workload",
    "requests": "workload",  # which Pooch brings
    "pyarrow": "workload results analysis calibration figures export report studies claims cli",
    "scipy": "results calibration report studies export",
    "simpy": "sim",
    "jinja2": "report",
    "matplotlib": "figures report",
    "dask": "studies",
    "SALib": "studies",
    "typer": "cli",
    "rich": "cli",
}

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
def test_a_file_imports_only_from_rows_below_its_own(path: Path) -> None:
    mine = room_of(path)
    assert mine in ROW, f"{mine} is in no row"
    for name, line in imports(path):
        other = name.split(".")[1] if name.startswith("cluster_sim.") else mine
        if other != mine and (PACKAGE / other).exists() | (PACKAGE / f"{other}.py").exists():
            assert ROW[other] < ROW[mine], f"{path}:{line}: {mine} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_package_is_imported_only_where_it_belongs(path: Path) -> None:
    import sys

    for name, line in imports(path):
        top = name.split(".")[0]
        if top == "cluster_sim" or top in sys.stdlib_module_names:
            assert top != "random", (
                f"{path}:{line}: random numbers come from a generator that is handed in"
            )
            continue
        assert room_of(path) in ALLOWED.get(top, "").split(), (
            f"{path}:{line}: {room_of(path)} imports {top}"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_prints_but_the_command_line_and_no_generator_is_global(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ):
            assert room_of(path) == "cli", f"{path}:{node.lineno}: print"
    for statement in tree.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            text = ast.unparse(statement)
            assert "default_rng" not in text, (
                f"{path}:{statement.lineno}: a generator at module level"
            )


def test_every_room_is_in_use() -> None:
    assert {room_of(path) for path in FILES} == set(ROW)


def test_help_loads_none_of_the_slow_packages() -> None:
    import subprocess
    import sys

    code = "import sys, cluster_sim.cli.app; print(sorted({'numpy', 'pyarrow', 'pydantic', 'pint', 'matplotlib', 'simpy', 'networkx', 'scipy', 'jinja2'} & set(sys.modules)))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
