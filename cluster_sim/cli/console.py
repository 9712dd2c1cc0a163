"""Output of commands: results go to stdout, progress and warnings to stderr, texts to files."""

from __future__ import annotations

import sys
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_sim.errors import cannot_write, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa
    from rich.console import Console

    from cluster_sim.scenario.scenario import Scenario

written: list[Path] = []
"""Files and folders that this command has written and reported."""


def stdout() -> Console:
    """Return the console for results: as wide as the terminal, or 140 characters without one."""
    from cluster_sim.cli.literal_console import LiteralConsole

    return LiteralConsole(width=None if sys.stdout.isatty() else 140)


def stderr() -> Console:
    """Return the console for progress and warnings."""
    from cluster_sim.cli.literal_console import LiteralConsole

    return LiteralConsole(stderr=True)


def print_line(text: str) -> None:
    """Print a line of results without wrapping it."""
    print(visible(text))


def print_estimates(path: Path, sets: Sequence[str], scenarios: Iterable[Scenario]) -> None:
    """Print the line on the figures of low confidence that an answer rests on, if there are any."""
    from cluster_sim.studies.low_confidence import rests_on

    if (line := rests_on(path, sets, scenarios)) is not None:
        print_line(line)


def print_validation(scenarios: Iterable[Scenario]) -> None:
    """Print whether measured runs are like those of scenarios; one line for all that are alike."""
    from cluster_sim.deployment.fleet import resolve
    from cluster_sim.deployment.validated_cases import validation_of

    names: dict[str, list[str]] = {}
    for scenario in scenarios:
        name = scenario.variant or scenario.name
        names.setdefault(validation_of(resolve(scenario)).text, []).append(name)
    for text, alike in names.items():
        print_line(text if len(names) == 1 else f"{', '.join(alike)}: {text}")


def say_wrote(path: Path, replaced: str | None = None) -> None:
    """Report on stderr that a file or folder has been written.

    Parameters
    ----------
    path
        Path of the file or folder.
    replaced
        Description of an earlier file or folder at the path that is lost; None if there was none.
    """
    written.append(path)
    if replaced is None:
        stderr().print(f"wrote {path}", style="dim", highlight=False, soft_wrap=True)
    else:
        say_replaced(path, replaced)


def say_replaced(path: Path, earlier: str) -> None:
    """Report on stderr that a file or folder has been replaced, and what it was earlier."""
    stderr().print(f"replaced {path} (was {earlier})", highlight=False, soft_wrap=True)


def kept_so_far() -> str:
    """Return a sentence about the files that a command has saved before it ended early."""
    return f"saved: {', '.join(map(str, written))}" if written else "nothing was saved"


def warn(text: str) -> None:
    """Print a warning to stderr."""
    complain(f"warning: {text}")


def complain(text: object) -> None:
    """Print a message to stderr."""
    print(visible(str(text)), file=sys.stderr)


def warn_of(scenarios: Iterable[Scenario]) -> None:
    """Print the warnings of scenarios to stderr, each warning once."""
    from cluster_sim.deployment.ratings import rating_warnings
    from cluster_sim.deployment.room_warnings import room_warnings

    for warning in dict.fromkeys(
        warning
        for scenario in scenarios
        for warning in (
            *scenario.warnings(),
            *rating_warnings(scenario),
            *room_warnings(scenario),
        )
    ):
        warn(warning)


def warn_of_traces(scenarios: Iterable[Scenario], most: float = inf) -> None:
    """Print warnings about the traces of scenarios.

    Parameters
    ----------
    scenarios
        Scenarios whose traces are read.
    most
        Maximum number of requests that are read of each trace.
    """
    from cluster_sim.analysis.trace_notes import trace_notes

    for sentence in trace_notes(scenarios, most):
        warn(sentence)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises
    ------
    ScenarioError
        The file cannot be written.
    """
    from cluster_sim.whole_files import write_whole

    try:
        write_whole(path, text.encode())
    except OSError as fault:
        raise cannot_write(path, fault) from fault


def check_is_new(path: Path, *, force: bool) -> None:
    """Check that a file that is to be written does not exist, or may be replaced (force).

    Raises
    ------
    ScenarioError
        There is such a file, or a folder.
    """
    from cluster_sim.errors import ScenarioError

    if path.is_dir():
        raise ScenarioError.at(str(path), "is a folder; expected --out with the name of a file")
    if path.exists() and not force:
        raise ScenarioError.at(
            str(path),
            "exists and is not replaced; expected --out with another name, or --force to replace it",
        )


def say_next(*commands: tuple[str, str, str]) -> None:
    """Print the commands that a user may want next.

    Parameters
    ----------
    commands
        Name of each command, its arguments, and what it does.
    """
    lines = [
        (f"cluster-sim {name} {arguments}".rstrip(), does) for name, arguments, does in commands
    ]
    width = max(len(line) for line, _ in lines)
    print_line("next:")
    for line, does in lines:
        print_line(f"  {line:<{width}}   # {does}")


def check_folder_of(path: Path | None) -> None:
    """Check before a study starts that the folder of its output file exists.

    Raises
    ------
    ScenarioError
        The folder does not exist.
    """
    from cluster_sim.errors import ScenarioError

    if path is not None and not path.parent.is_dir():
        raise ScenarioError.at(
            str(path), f"got a file in '{path.parent}'; expected a folder that exists"
        )


def write_table(table: pa.Table, path: Path) -> None:
    """Write the table of a study as Parquet, and report the file on stderr."""
    from cluster_sim.studies.store import write_table as write

    write(table, path)
    say_wrote(path)
