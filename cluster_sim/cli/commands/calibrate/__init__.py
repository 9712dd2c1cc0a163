"""`cluster-sim calibrate`: constants of devices, fitted to measurements."""

from __future__ import annotations

import typer

from cluster_sim.cli.commands.calibrate.kernels import kernels
from cluster_sim.cli.commands.calibrate.power import power

calibrate = typer.Typer(
    name="calibrate",
    help="Fit a device's kernel times or power to measured kernels.",
    no_args_is_help=True,
)
for command in (kernels, power):
    calibrate.command()(command)
