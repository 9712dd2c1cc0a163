"""Arguments and options of both kinds of calibration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from cluster_sim.hardware.device import Device

Kernels = Annotated[
    Path,
    typer.Argument(
        metavar="KERNELS",
        help="Measured kernels, blocks or collectives, as Parquet or CSV.",
        show_default=False,
    ),
]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Fit this catalog device, or the device of this file.",
        show_default=False,
    ),
]
System = Annotated[
    str | None,
    typer.Option(
        "--system",
        metavar="NAME",
        help="Use rows of this system; default: the device's name.",
        show_default=False,
    ),
]
Collector = Annotated[
    str,
    typer.Option(
        "--collector",
        metavar="PREFIX",
        help="Use only rows whose version starts with this, such as vllm.",
    ),
]


def measured_kernels(
    file: Path, device: str, system: str | None, collector: str
) -> tuple[Device, list[pa.Table]]:
    """Return a device and the tables of its measured kernels.

    Parameters
    ----------
    file
        Parquet or CSV file with the columns of aiconfigurator's tables, or with op, ranks,
        size_bytes and latency_ms.
    device
        Name of a device in the catalog, or path of a device file.
    system
        Name of the system whose rows are read. Default: the device's name.
    collector
        First characters of the versions whose rows are read; "" for all rows.

    Raises
    ------
    ScenarioError
        The device is unknown, or the file cannot be read.
    """
    from cluster_sim.calibration.kernel_tables import read_kernels
    from cluster_sim.hardware.device import device_named

    described = device_named(device)
    system = system or Path(device).stem.replace("-", "_")
    return described, read_kernels(file, system, collector)
