"""`cluster-sim workload`: traffic alone, without a cluster."""

from __future__ import annotations

import typer

from cluster_sim.cli.commands.workload.fetch import fetch
from cluster_sim.cli.commands.workload.fit import fit
from cluster_sim.cli.commands.workload.show import show

workload = typer.Typer(
    name="workload",
    help="Show, fit or fetch traffic, without a cluster.",
    no_args_is_help=True,
)
for command in (show, fit, fetch):
    workload.command()(command)
