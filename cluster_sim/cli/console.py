"""Where commands write: results to stdout, progress and warnings to stderr, texts to files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa
    from rich.console import Console

    from cluster_sim.scenario.scenario import Scenario


def stdout() -> Console:
    """Return the console for results, as wide as the terminal, or 140 characters."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140)


def stderr() -> Console:
    """Return the console for progress and warnings."""
    from rich.console import Console

    return Console(stderr=True)


def print_line(text: str) -> None:
    """Print a line of results that is neither marked up nor broken."""
    stdout().print(text, highlight=False, soft_wrap=True, markup=False)


def say_wrote(path: Path) -> None:
    """Name a file or folder that has been written."""
    stderr().print(f"wrote {path}", style="dim", highlight=False, soft_wrap=True, markup=False)


def warn(text: str) -> None:
    """Print a warning to stderr."""
    print(f"warning: {text}", file=sys.stderr)


def warn_of(scenarios: Iterable[Scenario]) -> None:
    """Print the warnings of scenarios, each once."""
    for warning in dict.fromkeys(
        warning for scenario in scenarios for warning in scenario.warnings()
    ):
        warn(warning)


def write_text(path: Path, text: str) -> None:
    """Write a text file. Raises ScenarioError where it cannot be written."""
    from cluster_sim.errors import ScenarioError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise ScenarioError.at(str(path), f"cannot be written: {fault.strerror}") from fault


def write_table(table: pa.Table, path: Path) -> None:
    """Write the table of a study as Parquet, and name the file."""
    from cluster_sim.studies.store import write_table as write

    write(table, path)
    say_wrote(path)
