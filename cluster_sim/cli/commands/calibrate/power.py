"""`cluster-sim calibrate power`: board power of kernels, fitted to measurements."""

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
    "spread of equal kernels",
    "median |error|",
    "p90 |error|",
    "median of repeated",
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
            str(file),
            "got too few kernels with power_w, power_limit_w and version; expected more of one kind",
        )
    stdout().print(table)
    print(
        f"Each kind uses the collector whose equal kernels have the smallest spread; a kind with a spread above {WORST:.0%} is not fitted."
    )


def _cells(calibrated: CalibratedPower) -> Iterator[str]:
    """Yield the cells of one kind of kernel; only the first four if it was not fitted."""
    yield from (calibrated.kind, calibrated.collector, f"{calibrated.rows:,}")
    yield f"{calibrated.difference:.1%}"
    errors, repeating, fit = calibrated.errors, calibrated.repeating, calibrated.fit
    if errors is None or repeating is None or fit is None:
        return
    yield from (f"{share:.1%}" for share in (*errors, repeating.median))
    yield from (f"{fit.busy_w:.0f} W", f"{fit.active_w:.0f} W", f"{1e6 * fit.start_s:.1f} us")
    yield from (f"{1e12 * fit.memory_j_per_byte:.0f}", f"{1e12 * fit.flop_j_per_flop:.2f}")
