"""`cluster-sim workload fit`: a process that a trace could have come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.commands.workload.traffics import (
    DEFAULT_ANSWER_RATE,
    AnswerRate,
    Columns,
    Out,
    Plot,
    TimeUnitOption,
    TraceOptions,
    TrafficReader,
    the_only,
    write_and_draw,
)
from cluster_sim.cli.options import Seed, Sets, Variants

if TYPE_CHECKING:
    from cluster_sim.analysis.demand import Demand
    from cluster_sim.calibration.traffic import Proposal


def fit(  # noqa: PLR0913 - a parameter is an option of the command
    trace: Annotated[
        Path | None,
        typer.Argument(metavar="TRACE", help="A trace, or a scenario file.", show_default=False),
    ] = None,
    *,
    variant: Variants = None,
    set_: Sets = None,
    seed: Seed = None,
    out: Out = None,
    plot: Plot = None,
    answer_rate: AnswerRate = DEFAULT_ANSWER_RATE,
    columns: Columns = None,
    time_unit: TimeUnitOption = None,
) -> None:
    """Propose a workload that matches a trace, and say how well it does."""
    from cluster_sim.calibration.traffic import propose
    from cluster_sim.errors import ScenarioError

    if trace is None:
        raise ScenarioError.at(
            "fit", "expected a trace, or a scenario file, for which a workload is proposed"
        )
    traffics = TrafficReader(variant or (), set_ or (), seed, answer_rate).traffics(
        [trace], TraceOptions(columns, time_unit)
    )
    traffic = the_only(traffics, "fit")
    proposal = propose(traffic)
    write_and_draw(traffics, out, plot)
    _print_proposal(traffic, proposal)


def _print_proposal(traffic: Demand, proposal: Proposal) -> None:
    """Print a workload as YAML, and above it as comments what it matches."""
    from cluster_sim.calibration.traffic import SEEDS
    from cluster_sim.schema import yaml_text

    print(
        f"# Fitted to {len(traffic.arrival_s):,} requests of {traffic.name}; beside each statistic the middle 90 % of {SEEDS} seeds of what is proposed."
    )
    sessions = None if traffic.reading is None else traffic.reading.sessions
    if sessions:
        print(
            f"# These are arrivals of single requests. That the turns of {sessions:,} sessions wait for answers is not kept; a trace that is replayed keeps it."
        )
    for key, match in proposal.matches.items():
        missed = f", missed by {match.miss:.0%}" if match.miss else ""
        print(f"#   {key:20} {match.trace:10.4g}  [{match.p5:.4g}, {match.p95:.4g}]{missed}")
    tried = "; ".join(f"{name} {error:.0%}" for name, error in proposal.tried.items())
    print(f"# Tried, with the mean error of a statistic and a price for each number: {tried}")
    print(yaml_text({"workload": proposal.workload}), end="")
