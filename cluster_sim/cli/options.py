"""Arguments and options that several commands have."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cluster_sim.sim.limits import RunLimits

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="A scenario file, or example:NAME.", show_default=False),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
Variants = Annotated[
    list[str] | None,
    typer.Option(
        "--variant",
        metavar="NAME",
        help="Only this variant; may be given again.",
        show_default=False,
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another value for a key, such as cluster.pools[0].nodes=2; may be given again.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="In place of the file's seed.", show_default=False),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="Processes; default one a core; 0: only this one.",
        show_default=False,
    ),
]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        "--time-limit",
        metavar="TIME",
        help="End a simulation after this wall time, such as '10 min'.",
        show_default=False,
    ),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="End a simulation that holds more memory, such as '8 GB'.",
        show_default=False,
    ),
]


def run_limits(time_limit: str | None, memory_limit: str | None) -> RunLimits:
    """Return the limits that two options give.

    Raises
    ------
    ScenarioError
        One is no positive amount of its unit.
    """
    from cluster_sim.sim.limits import RunLimits

    return RunLimits(
        _amount("--time-limit", time_limit, "s"), _amount("--memory-limit", memory_limit, "B")
    )


def _amount(option: str, text: str | None, unit: str) -> float:
    """Return the amount that an option gives, in `unit`; inf where it is not given."""
    from cluster_sim.errors import ScenarioError
    from cluster_sim.units import parse

    if text is None:
        return inf
    try:
        amount = parse(text, unit)
    except ValueError as fault:
        raise ScenarioError.at(option, str(fault)) from fault
    if not amount > 0.0:
        raise ScenarioError.at(option, f"got '{text}'; expected more than 0 {unit}")
    return amount
