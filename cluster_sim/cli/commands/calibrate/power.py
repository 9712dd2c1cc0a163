"""`cluster-sim calibrate power`: what kernels draw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cluster_sim.cli.commands.calibrate.options import (
    Collector,
    DeviceName,
    Kernels,
    System,
    measured_kernels,
)
from cluster_sim.cli.console import complain, stdout

if TYPE_CHECKING:
    from cluster_sim.calibration.power import CalibratedPower

_COLUMNS = (
    "kernel",
    "collector",
    "rows",
    "like kernels differ",
    "median |error|",
    "p90",
    "where they repeat",
    "busy",
    "active",
    "start",
    "pJ/B",
    "pJ/FLOP",
)


def power(
    file: Kernels, *, device: DeviceName, system: System = None, collector: Collector = ""
) -> None:
    """Fit the board power of kernels; print errors by kind of kernel."""
    from rich.table import Table

    from cluster_sim.calibration.power import WORST, calibrate
    from cluster_sim.errors import ScenarioError

    described, tables = measured_kernels(file, device, system, collector)
    table = Table(title=f"{described.name}: board power", title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in ("kernel", "collector") else "right")
    for calibrated in calibrate(tables):
        complain(f"fitted {calibrated.kind}")
        table.add_row(*_cells(calibrated))
    if not table.row_count:
        raise ScenarioError.at(
            str(file), "holds too few kernels with power_w, power_limit_w and version"
        )
    stdout().print(table)
    print(
        f"Of each kind the collector whose like kernels differ least; not fitted where they differ by more than {WORST:.0%}."
    )


def _cells(calibrated: CalibratedPower) -> Iterator[str]:
    """Yield the cells of one kind of kernel; only the first four where nothing was fitted."""
    yield from (calibrated.kind, calibrated.collector, f"{calibrated.rows:,}")
    yield f"{calibrated.difference:.1%}"
    errors, repeating, fit = calibrated.errors, calibrated.repeating, calibrated.fit
    if errors is None or repeating is None or fit is None:
        return
    yield from (f"{share:.1%}" for share in (*errors, repeating.median))
    yield from (f"{fit.busy_w:.0f} W", f"{fit.active_w:.0f} W", f"{1e6 * fit.start_s:.1f} us")
    yield from (f"{1e12 * fit.memory_j_per_byte:.0f}", f"{1e12 * fit.flop_j_per_flop:.2f}")
