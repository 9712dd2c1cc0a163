"""`cluster-sim workload fit`: an arrival process and lengths that match a trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.commands.workload.traffics import (
    DEFAULT_ANSWER_RATE,
    AnswerRate,
    Out,
    Plot,
    TrafficReader,
    the_only,
    write_and_draw,
)
from cluster_sim.cli.options import Seed, Sets, Variants
from cluster_sim.cli.trace_options import Columns, TimeUnitOption, TraceOptions

if TYPE_CHECKING:
    from cluster_sim.analysis.demand import Demand
    from cluster_sim.calibration.traffic import Proposal


def fit(  # noqa: PLR0913 - a parameter is an option of the command
    trace: Annotated[
        Path | None,
        typer.Argument(metavar="TRACE", help="Trace or scenario file.", show_default=False),
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
    """Propose a workload that matches a trace, with its deviations."""
    from cluster_sim.calibration.traffic import propose
    from cluster_sim.errors import ScenarioError

    if trace is None:
        raise ScenarioError.at("fit", "got no file; expected a trace or a scenario file")
    traffics = TrafficReader(variant or (), set_ or (), seed, answer_rate).traffics(
        [trace], TraceOptions(columns, time_unit)
    )
    traffic = the_only(traffics, "fit")
    proposal = propose(traffic)
    write_and_draw(traffics, out, plot)
    _print_proposal(traffic, proposal)


def _print_proposal(traffic: Demand, proposal: Proposal) -> None:
    """Print a workload as YAML, below comments that compare it with the trace."""
    from cluster_sim.calibration.traffic import SEEDS
    from cluster_sim.schema import yaml_text

    print(
        f"# Fitted to {len(traffic.arrival_s):,} requests of {traffic.name}. Each row: statistic, value of the trace, [5 %, 95 %] of {SEEDS} seeds of the proposed workload."
    )
    sessions = None if traffic.reading is None else traffic.reading.sessions
    if sessions:
        print(
            f"# The proposal has single requests. In the trace, the turns of {sessions:,} sessions wait for answers; only a replay of the trace keeps that."
        )
    for key, match in proposal.matches.items():
        missed = f", missed by {match.miss:.0%}" if match.miss else ""
        print(f"#   {key:20} {match.trace:10.4g}  [{match.p5:.4g}, {match.p95:.4g}]{missed}")
    tried = "; ".join(f"{name} {error:.0%}" for name, error in proposal.tried.items())
    print(
        f"# Tried processes, with the mean error per statistic plus a penalty per parameter: {tried}"
    )
    print(yaml_text({"workload": proposal.workload}), end="")
