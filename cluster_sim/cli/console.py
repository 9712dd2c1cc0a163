"""What all commands share: arguments, and where they write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

File = Annotated[Path, typer.Argument(metavar="FILE", help="A scenario file.", show_default=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another value for a key, such as cluster.pools[0].nodes=2; may be given again.",
        show_default=False,
    ),
]


def stdout() -> Console:
    """For results: as wide as the terminal, or 140 characters."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140)


def stderr() -> Console:
    """For progress and warnings."""
    from rich.console import Console

    return Console(stderr=True)


def say_wrote(path: Path) -> None:
    """Name a file or folder that has been written."""
    stderr().print(f"wrote {path}", style="dim", highlight=False, soft_wrap=True, markup=False)
