"""`cluster-sim calibrate kernels`: constants of kernel times, fitted to measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster_sim.cli.commands.calibrate.options import (
    Collector,
    DeviceName,
    Kernels,
    System,
    measured_kernels,
)
from cluster_sim.cli.console import complain, stdout, write_text


def kernels(  # noqa: PLR0913 - a parameter is an option of the command
    file: Kernels,
    *,
    device: DeviceName,
    system: System = None,
    collector: Collector = "",
    processors: Annotated[
        int | None,
        typer.Option(
            "--processors",
            min=1,
            metavar="N",
            help="Set the number of SMs; default: the device file's.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="Store the fits under this engine, such as vLLM.",
        ),
    ] = "",
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="NAME",
            help="Take constants that too few kernels determine from this device.",
            show_default=False,
        ),
    ] = None,
    widest_fp8: Annotated[
        int,
        typer.Option(
            "--widest-fp8",
            metavar="VALUES",
            min=1,
            help="Omit attention on an fp8 cache with more values per head.",
            show_default=False,
        ),
    ] = 10**6,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the device with its fitted kernels to this file.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fit the times of kernels; print errors beside the roofline's.

    The first errors are cross-validated: they are of kernels that the fit has not used.
    """
    from rich.table import Table

    from cluster_sim.calibration.fit_options import FitOptions
    from cluster_sim.calibration.kernels import calibrate, processors_of, with_kernels
    from cluster_sim.errors import ScenarioError
    from cluster_sim.hardware.device import device_named
    from cluster_sim.schema import yaml_text

    described, tables = measured_kernels(file, device, system, collector)
    options = FitOptions(
        processors or processors_of(described, tables),
        engine,
        device_named(like) if like else None,
        widest_fp8,
    )
    table = Table(title=described.name, title_justify="left")
    for column in (
        "kernel",
        "rows",
        "median |error|",
        "p90 |error|",
        "fitted median",
        "fitted p90",
        "roofline median",
        "roofline p90",
    ):
        table.add_column(column, justify="left" if column == "kernel" else "right")
    fits = []
    for calibrated in calibrate(tables, described, options):
        complain(f"fitted {calibrated.kind}")
        fits.append(calibrated.fits)
        in_sample = [_percent(share) for share in calibrated.fitted or ()] or ["–", "–"]
        left_out, naive = map(_percent, calibrated.errors), map(_percent, calibrated.naive)
        table.add_row(calibrated.kind, f"{calibrated.rows:,}", *left_out, *in_sample, *naive)
    if not fits:
        few = f"got fewer than {options.fewest} usable kernels of any kind that {described.name} runs, and fewer than 24 collectives; expected more of one kind"
        raise ScenarioError.at(str(file), few)
    stdout().print(table)
    if out is not None:
        rows = sum(map(len, tables))
        fitted = yaml_text(with_kernels(described, fits))
        write_text(out, f"# Kernels fitted to {rows:,} rows of {file.name}.\n{fitted}")


def _percent(share: float) -> str:
    return f"{share:.1%}"
