"""Arguments and options of several commands."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_sim.sim.limits import RunLimits

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="Scenario file, or example:NAME.", show_default=False),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.", show_default=False)]
Variants = Annotated[
    list[str] | None,
    typer.Option(
        "--variant",
        metavar="NAME",
        help="Use only this variant; repeatable.",
        show_default=False,
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a key, such as cluster.pools[0].nodes=2; repeatable.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Use this seed instead of the file's.", show_default=False),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        metavar="N",
        help="Use N processes; default: one per core; 0: only this process.",
        show_default=False,
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Run on this Dask scheduler, such as tcp://head:8786.",
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
        help="End a simulation that uses more memory, such as '8 GB'.",
        show_default=False,
    ),
]

Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="COLUMN=VALUE",
        help="Use only rows of a study with this value; repeatable.",
        show_default=False,
    ),
]


def conditions(texts: Sequence[str] | None) -> dict[str, str]:
    """Return values by column from the texts of `--where`.

    Parameters
    ----------
    texts
        Conditions such as "variant=b200"; None for no condition.

    Raises
    ------
    ScenarioError
        A text has no equals sign.

    Examples
    --------
    >>> conditions(["variant=b200"])
    {'variant': 'b200'}
    """
    from cluster_sim.errors import ScenarioError

    pairs = {}
    for text in texts or ():
        column, equals, value = text.partition("=")
        if not equals:
            raise ScenarioError.at(
                f"--where {text}", "got no '='; expected COLUMN=VALUE, such as --where variant=b200"
            )
        pairs[column] = value
    return pairs


def run_limits(time_limit: str | None, memory_limit: str | None) -> RunLimits:
    """Return the limits of a run from the texts of two options.

    Parameters
    ----------
    time_limit
        Text of `--time-limit`, such as "10 min"; None for no limit.
    memory_limit
        Text of `--memory-limit`, such as "8 GB"; None for no limit.

    Returns
    -------
    RunLimits
        Limits of wall time [s] and memory [bytes].

    Raises
    ------
    ScenarioError
        A text is no positive amount of time or memory.

    Examples
    --------
    >>> run_limits("10 min", None)
    RunLimits(time_s=600.0, memory_bytes=inf)
    """
    from cluster_sim.sim.limits import RunLimits

    return RunLimits(
        _amount("--time-limit", time_limit, "s"), _amount("--memory-limit", memory_limit, "B")
    )


def _amount(option: str, text: str | None, unit: str) -> float:
    """Return the amount in an option's text, in `unit`; inf if the option is not given."""
    from cluster_sim.errors import ScenarioError
    from cluster_sim.units import parse

    if text is None:
        return inf
    try:
        amount = parse(text, unit)
    except ValueError as fault:
        example = "a time such as '10 min'" if unit == "s" else "a size such as '8 GB'"
        raise ScenarioError.at(option, f"{fault}; expected {example}") from fault
    if not amount > 0.0:
        raise ScenarioError.at(option, f"got '{text}'; expected more than 0 {unit}")
    return amount
