"""Options of `workload show` and `workload fit`, and the reader of their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import say_wrote, warn
from cluster_sim.cli.trace_options import TraceOptions

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
            raise ScenarioError.at(
                options.name,
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
