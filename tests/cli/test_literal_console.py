"""The terminal shows texts as they are: no markup, no commands to the terminal."""

from __future__ import annotations

import ast
import json
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.live import Live
from rich.progress import Progress

import cluster_sim
from cluster_sim.cli import progress
from cluster_sim.cli.literal_console import LiteralConsole
from cluster_sim.cli.tables import side_by_side
from cluster_sim.errors import is_printable, visible
from tests.commands import BURST, call

CLI = Path(cluster_sim.__file__).parent / "cli"
PRINTABLE = st.text(
    st.characters(categories=["L", "N", "P", "S"]).filter(cell_len), min_size=1, max_size=30
)
"""Names of letters that take a cell of the terminal each, or two."""
UGLY = "[/b] [red]r[/red] :smile: \x1b[31m\x9b2J\a"


def rendered(thing: object, **options: object) -> str:
    text = StringIO()
    console = LiteralConsole(file=text, width=200, **options)
    console.print(thing, highlight=False, soft_wrap=isinstance(thing, str))
    return text.getvalue()


@given(PRINTABLE)
def test_a_printable_name_stands_for_itself_in_lines_and_tables(name: str) -> None:
    assert rendered(name) == f"{name}\n"
    table = rendered(side_by_side([name], [(name, [name])], title=name))
    assert table.count(name) >= 4


@given(st.text(max_size=40))
def test_no_text_reaches_the_terminal_as_a_command(text: str) -> None:
    table = side_by_side([text], [(text, [text])], title=text)
    for shown in (rendered(text), rendered(table)):
        assert all(is_printable(sign) or sign in "\n\t" for sign in shown)


def test_bars_of_progress_show_texts_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    text = StringIO()
    monkeypatch.setattr(progress, "is_watched", lambda: True)
    monkeypatch.setattr(
        progress, "stderr", lambda: LiteralConsole(file=text, width=200, force_terminal=True)
    )
    with progress.counter("{7*7} [/b] points", total=2) as done:
        done(1, 2)
    assert "{7*7} [/b] points" in text.getvalue()
    scenario = cluster_sim.Scenario.model_construct(
        name=UGLY, variant="[x]", duration_s=1.0, workload=None
    )
    with progress.simulation_bar(scenario):
        pass
    assert visible(UGLY) + "/[x]" in text.getvalue()
    assert "\x1b[31m\x9b" not in text.getvalue()


def test_faults_and_warnings_escape_what_a_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(BURST.replace("llama-3.1-8b", '"\\e]0;title\\a[/b]"'))
    code, out, err = call(capsys, "check", path)
    assert code == 2
    assert r"\x1b]0;title\x07[/b]" in err
    assert "\x1b" not in out + err and "\a" not in out + err


def test_json_has_names_as_they_are(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(
        capsys, "run", scenario, "--variant", "b200", "--set", "name=日 [/b] $x", "--json"
    )
    assert code == 0
    assert json.loads(out)["name"] == "日 [/b] $x"
    assert (scenario.parent / "runs" / "日 [%2Fb] $x" / "b200" / "manifest.json").is_file()


def test_every_console_is_the_literal_one() -> None:
    for path in CLI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
                called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                assert called not in ("Console", "from_markup"), f"{path}:{node.lineno}"
                is_marked = any(word.arg == "markup" and word.value for word in node.keywords)
                assert not is_marked or "markup=False" in ast.unparse(node), f"{path}:{node.lineno}"
                assert called != "TextColumn" or is_marked, f"{path}:{node.lineno}"


def test_dashboards_take_the_console_that_they_are_given() -> None:
    """Live and Progress render strings by their console, so that it decides on markup."""
    text = StringIO()
    console = LiteralConsole(file=text, width=80, force_terminal=True, highlight=False)
    with Live("[/b] :smile:", console=console):
        pass
    with Progress(progress._text("description"), console=console) as bar:
        bar.add_task("[/c]")
    assert "[/b] :smile:" in text.getvalue() and "[/c]" in text.getvalue()
