"""Options that describe a table of requests which no scenario file describes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

import typer

Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="arrival=A,prompt=P,output=O",
        help="Name the columns of a trace of unknown format; session=S too.",
        show_default=False,
    ),
]
TimeUnitOption = Annotated[
    str | None,
    typer.Option(
        "--time-unit",
        metavar="UNIT",
        help="Set the unit of a trace's arrival times: s, ms, us, ns or iso.",
        show_default=False,
    ),
]
_COLUMN = re.compile(r"(?:^|,)\s*(\w+)=")
"""Pattern of a column's key in `--columns`; names of columns may hold commas and spaces."""


@dataclass(frozen=True)
class TraceOptions:
    """Options of a trace that is read without a scenario file."""

    columns: str | None = None
    """Text of `--columns`."""
    time_unit: str | None = None
    """Text of `--time-unit`."""

    @property
    def are_given(self) -> bool:
        """Whether `--columns` or `--time-unit` is given."""
        return self.columns is not None or self.time_unit is not None

    @property
    def name(self) -> str:
        """Name of an option that is given, for messages."""
        return "--columns" if self.columns is not None else "--time-unit"

    def keys(self) -> dict[str, Any]:
        """Return the options as keys of a scenario's `workload.trace`.

        Raises
        ------
        ScenarioError
            The text of `--columns` has another form than KEY=NAME,KEY=NAME.
        """
        keys: dict[str, Any] = {} if self.time_unit is None else {"time_unit": self.time_unit}
        if self.columns is not None:
            from cluster_sim.errors import ScenarioError, shown

            _, *parts = _COLUMN.split(self.columns)
            if not parts or not _COLUMN.match(self.columns):
                raise ScenarioError.at(
                    "--columns",
                    f"got {shown(self.columns)}; expected arrival=NAME,prompt=NAME,output=NAME",
                )
            names = (name.strip() for name in parts[1::2])
            keys["columns"] = dict(zip(parts[::2], names, strict=True))
        return keys
