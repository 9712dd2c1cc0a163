"""Arguments that both kinds of calibration have."""

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
        help="Measured kernels, blocks or collectives, Parquet or CSV, with the columns of aiconfigurator's tables, or op, ranks, size_bytes, latency_ms.",
        show_default=False,
    ),
]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="A device of the catalog, or the path of a device file.",
        show_default=False,
    ),
]
System = Annotated[
    str | None,
    typer.Option(
        "--system", help="Which system's rows; default: the device's name.", show_default=False
    ),
]
Collector = Annotated[
    str,
    typer.Option(
        "--collector", metavar="PREFIX", help="Only rows whose version begins so, such as vllm."
    ),
]


def measured_kernels(
    file: Path, device: str, system: str | None, collector: str
) -> tuple[Device, list[pa.Table]]:
    """Return the device that is named, and the tables of its kernels in the file."""
    from cluster_sim.calibration.kernel_tables import read_kernels
    from cluster_sim.hardware.device import device_named

    described = device_named(device)
    system = system or Path(device).stem.replace("-", "_")
    return described, read_kernels(file, system, collector)
