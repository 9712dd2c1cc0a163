"""`cluster-sim examples`: the scenarios that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import (
    check_is_new,
    print_line,
    say_next,
    say_wrote,
    stdout,
    write_text,
)

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.loading.examples import Example

_GROUPS = {
    "run": "one run for each variant",
    "sweep": "many points",
    "capacity": "the smallest cluster or the highest rate",
    "plan": "the best deployment of each variant",
    "claims": "published claims, judged",
}
"""Outcome of each command that answers an example, by the name of the command."""


def examples(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Copy this scenario.", show_default=False),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the copy to this file; default: NAME.yaml.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """List the scenarios that ship with the package, or copy one."""
    from cluster_sim.errors import ScenarioError
    from cluster_sim.loading.examples import example_command, text_of_copy
    from cluster_sim.loading.examples import examples as shipped
    from cluster_sim.schema import EXAMPLE, example_path

    if name is None:
        if out is not None or force:
            option = "--out" if out is not None else "--force"
            raise ScenarioError.at(option, "got no NAME; expected the example that is to be copied")
        _print_list(shipped())
        return
    source = example_path(name.removeprefix(EXAMPLE))
    path = out or Path(source.name)
    check_is_new(path, force=force)
    text = text_of_copy(source.stem, str(path))
    write_text(path, text)
    say_wrote(path)
    say_next(
        ("check", f"{path}", "reads it and finds every fault"),
        (example_command(text), f"{path}", "answers its question"),
    )


def _print_list(examples: list[Example]) -> None:
    for command, gives in _GROUPS.items():
        print_line(f"cluster-sim {command} example:NAME   ({gives})")
        stdout().print(_table([example for example in examples if example.command == command]))
        print_line("")
    print_line("cluster-sim examples NAME copies one, to be changed.")


def _table(examples: list[Example]) -> Table:
    """Return the names of examples and their questions."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True, min_width=22)
    table.add_column(overflow="fold")
    for example in examples:
        table.add_row(f"  {example.name}", example.question)
    return table
