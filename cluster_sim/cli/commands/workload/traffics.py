"""What `workload show` and `workload fit` share: their options, and the traffics that files hold."""

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
        help="Write the requests: .parquet, or .jsonl as Mooncake's traces are.",
        show_default=False,
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Draw rates and dispersion: PNG, SVG or PDF.",
        show_default=False,
    ),
]
AnswerRate = Annotated[
    float,
    typer.Option(
        "--answer-rate",
        min=1e-6,
        metavar="N",
        help="Tokens a second of answers, where requests wait for them.",
    ),
]
DEFAULT_ANSWER_RATE = 50.0
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="arrival=A,prompt=P,output=O",
        help="Columns or keys of a trace of no known format; session=S too.",
        show_default=False,
    ),
]
TimeUnitOption = Annotated[
    str | None,
    typer.Option(
        "--time-unit",
        metavar="UNIT",
        help="Unit of a trace's arrival times: s, ms, us, ns or iso.",
        show_default=False,
    ),
]
_COLUMN = re.compile(r"(?:^|,)\s*(\w+)=")
"""What begins a column in `--columns`; names of columns may hold commas and spaces."""


@dataclass(frozen=True)
class TraceOptions:
    """How traces are read that are named without a scenario file."""

    columns: str | None = None
    """Text of `--columns`."""
    time_unit: str | None = None
    """Text of `--time-unit`."""

    @property
    def are_given(self) -> bool:
        """Whether either is given."""
        return self.columns is not None or self.time_unit is not None

    def keys(self) -> dict[str, Any]:
        """Return them as keys of a scenario's `trace`.

        Raises ScenarioError where columns are not spelt as `--columns` wants them.
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
    """Reader of files as traffic."""

    variants: Sequence[str]
    """Variants of scenario files; empty for all."""
    sets: Sequence[str]
    """`key=value` texts applied to scenario files."""
    seed: int | None
    """Seed in place of the files'."""
    answer_rate: float
    """Output tokens per second of the answers that requests wait for [1/s]."""

    def traffics(self, paths: Sequence[Path], options: TraceOptions | None = None) -> list[Demand]:
        """Return the traffic of each file, of a scenario file one per different workload.

        `options` say how traces are read that are not named by a scenario file.
        """
        from cluster_sim.errors import ScenarioError
        from cluster_sim.schema import user_file

        paths = [user_file(path) for path in paths]
        options = options or TraceOptions()
        if options.are_given and all(map(_is_scenario, paths)):
            option = "--columns" if options.columns is not None else "--time-unit"
            raise ScenarioError.at(
                option,
                "got no trace that it is for; expected the file of a trace, or for a scenario file --set workload.trace.columns.arrival=NAME and its like",
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
        from cluster_sim.analysis.traffic import of_scenarios, of_trace
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
    """Return the only traffic. Raises ScenarioError, which names `where`, for several."""
    from cluster_sim.errors import ScenarioError

    if len(traffics) != 1:
        names = ", ".join(traffic.name for traffic in traffics)
        raise ScenarioError.at(where, f"takes one traffic; got {len(traffics)}: {names}")
    return traffics[0]


def write_and_draw(traffics: Sequence[Demand], out: Path | None, plot: Path | None) -> None:
    """Write the requests of the only traffic, and draw all traffics, where files are named."""
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
