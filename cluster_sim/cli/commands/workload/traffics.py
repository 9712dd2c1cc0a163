"""What `workload show` and `workload fit` share: their options, and the traffics that files hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

    def traffics(self, paths: Sequence[Path]) -> list[Demand]:
        """Return the traffic of each file, of a scenario file one per different workload."""
        traffics = [traffic for path in paths for traffic in self._of_file(path)]
        for traffic in traffics:
            for note in traffic.notes:
                warn(f"{traffic.name}: {note}")
        return traffics

    def _of_file(self, path: Path) -> list[Demand]:
        from cluster_sim.analysis.traffic import of_scenarios, of_trace
        from cluster_sim.loading.files import load_variants
        from cluster_sim.workload.traces import find_trace

        if path.suffix.lower() not in (".yaml", ".yml"):
            trace = find_trace(path)
            answer_rate = self.answer_rate
            return [of_trace(trace, path.name, self.seed or 0, tokens_per_s=answer_rate)]
        scenarios = load_variants(path, self.variants, self.sets, self.seed)
        return of_scenarios(scenarios, self.answer_rate)


def the_only(traffics: Sequence[Demand], where: str) -> Demand:
    """Return the only traffic. Raises ScenarioError, which names `where`, for several."""
    from cluster_sim.errors import ScenarioError

    if len(traffics) != 1:
        names = ", ".join(traffic.name for traffic in traffics)
        raise ScenarioError.at(where, f"takes one traffic; came {len(traffics)}: {names}")
    return traffics[0]


def write_and_draw(traffics: Sequence[Demand], out: Path | None, plot: Path | None) -> None:
    """Write the requests of the only traffic, and draw all traffics, where files are named."""
    if out is not None:
        from cluster_sim.analysis.traffic_files import write

        write(the_only(traffics, "--out"), out)
        say_wrote(out)
    if plot is not None:
        from cluster_sim import figures
        from cluster_sim.figures.arrivals import of_traffic

        figures.save(of_traffic({traffic.name: traffic.arrival_s for traffic in traffics}), plot)
        say_wrote(plot)
