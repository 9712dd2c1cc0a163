"""Options of `workload show` and `workload fit`, and the reader of their files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster_sim.cli.console import say_wrote, warn

if TYPE_CHECKING:
    from cluster_sim.analysis.demand import Demand

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write the requests: .parquet, or .jsonl in Mooncake's format.",
        show_default=False,
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Draw rates and dispersion to this PNG, SVG or PDF file.",
        show_default=False,
    ),
]
AnswerRate = Annotated[
    float,
    typer.Option(
        "--answer-rate",
        min=1e-6,
        metavar="RATE",
        help="Set the rate of answers that requests wait for, in tokens/s.",
    ),
]
DEFAULT_ANSWER_RATE = 50.0
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


@dataclass(frozen=True)
class TrafficReader:
    """Reader of the traffic in scenario files and traces."""

    variants: Sequence[str]
    """Names of the variants of scenario files that are read; empty for all variants."""
    sets: Sequence[str]
    """Texts of `--set`, KEY=VALUE, applied to scenario files."""
    seed: int | None
    """Seed that replaces the seed of scenario files; None keeps their seed."""
    answer_rate: float
    """Rate of the answers that requests wait for [tokens/s]."""

    def traffics(self, paths: Sequence[Path], options: TraceOptions | None = None) -> list[Demand]:
        """Return the traffic of each file; a scenario file gives one per different workload.

        Parameters
        ----------
        paths
            Scenario files (.yaml, .yml) and traces.
        options
            Options for the traces among `paths`.

        Raises
        ------
        ScenarioError
            A file cannot be read, or options are given and no path is a trace.
        """
        from cluster_sim.errors import ScenarioError
        from cluster_sim.schema import user_file

        paths = [user_file(path) for path in paths]
        options = options or TraceOptions()
        if options.are_given and all(map(_is_scenario, paths)):
            option = "--columns" if options.columns is not None else "--time-unit"
            raise ScenarioError.at(
                option,
                "got no file of a trace; expected one. For a scenario file, give --set workload.trace.columns.arrival=NAME and so on",
            )
        traffics = [traffic for path in paths for traffic in self._of_file(path, options)]
        noted: set[tuple[str, str]] = set()
        for traffic in traffics:
            of = traffic.name if traffic.reading is None else traffic.reading.path
            for note in traffic.notes:
                if (of, note) not in noted:
                    noted.add((of, note))
                    warn(f"{traffic.name}: {note}")
        return traffics

    def _of_file(self, path: Path, options: TraceOptions) -> list[Demand]:
        from cluster_sim.analysis.trace_traffic import of_trace
        from cluster_sim.analysis.traffic import of_scenarios
        from cluster_sim.loading.files import load_variants
        from cluster_sim.workload.traces import find_trace

        if not _is_scenario(path):
            trace = find_trace(path, **options.keys())
            answer_rate = self.answer_rate
            return [of_trace(trace, path.name, self.seed or 0, tokens_per_s=answer_rate)]
        scenarios = load_variants(path, self.variants, self.sets, self.seed)
        return of_scenarios(scenarios, self.answer_rate)


def _is_scenario(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml")


def the_only(traffics: Sequence[Demand], where: str) -> Demand:
    """Return the only traffic.

    Parameters
    ----------
    traffics
        Traffics of the files of a command.
    where
        Name of the command or option, for the message.

    Raises
    ------
    ScenarioError
        There are several traffics, or none.
    """
    from cluster_sim.errors import ScenarioError

    if len(traffics) != 1:
        names = ", ".join(traffic.name for traffic in traffics)
        raise ScenarioError.at(where, f"got {len(traffics)} workloads ({names}); expected one")
    return traffics[0]


def write_and_draw(traffics: Sequence[Demand], out: Path | None, plot: Path | None) -> None:
    """Write the requests of the only traffic to `out`, and draw all traffics to `plot`.

    Parameters
    ----------
    traffics
        Traffics of the files of a command.
    out
        File for the requests; None writes no requests.
    plot
        File for the figure; None draws no figure.

    Raises
    ------
    ScenarioError
        `out` is given and there are several traffics.
    """
    if out is not None:
        from cluster_sim.analysis.traffic_files import losses, write

        traffic = the_only(traffics, "--out")
        write(traffic, out)
        for loss in losses(traffic, out):
            warn(f"{out}: {loss}")
        say_wrote(out)
    if plot is not None:
        from cluster_sim import figures
        from cluster_sim.figures.arrivals import of_traffic

        figures.save(of_traffic({traffic.name: traffic.arrival_s for traffic in traffics}), plot)
        say_wrote(plot)
