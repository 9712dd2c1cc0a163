"""`cluster-sim workload`: traffic alone, without a cluster."""

from __future__ import annotations

import typer

from cluster_sim.cli.commands.workload.fetch import fetch
from cluster_sim.cli.commands.workload.fit import fit
from cluster_sim.cli.commands.workload.show import show

workload = typer.Typer(
    name="workload",
    help="The traffic alone: how bursty it is, how long requests are, what prompts share. `workload fit TRACE` proposes a process that matches; `workload fetch` names public traces, `workload fetch NAME` downloads one.",
    no_args_is_help=True,
)
for command in (show, fit, fetch):
    workload.command()(command)
