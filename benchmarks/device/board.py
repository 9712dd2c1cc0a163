"""Sensors of the board: read through NVML if its Python package is installed, else by nvidia-smi."""

from __future__ import annotations

import shutil
import statistics
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_QUERY = "power.draw.instant,power.limit,temperature.gpu,clocks.sm"
# NVML_FI_DEV_POWER_INSTANT; on recent boards the usual power reading is a mean over a second
_POWER_INSTANT = 186


class Board(NamedTuple):
    """Reading of the board's sensors; None for a sensor that the board does not report."""

    power_w: float | None
    power_limit_w: float | None
    temperature_c: float | None
    sm_clock_mhz: float | None


NOTHING = Board(None, None, None, None)


def reader(identity: str) -> tuple[Callable[[], Board], str]:
    """Return a function that reads the board of a UUID (`GPU-…`), and the name of its interface."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(identity)
        _nvml(pynvml, handle)
    except Exception:  # no package, no library, an unknown UUID: each raises a different exception
        if shutil.which("nvidia-smi") is None:
            return lambda: NOTHING, "nothing"
        return lambda: _smi(identity), "nvidia-smi"
    return lambda: _nvml(pynvml, handle), "NVML"


def parsed(line: str) -> Board:
    """Return power, limit, temperature and clock from a line of nvidia-smi.

    The line has the format of `nvidia-smi --format=csv,noheader,nounits`.
    """
    values: list[float | None] = []
    for cell in line.split(","):
        try:
            values.append(float(cell))
        except ValueError:  # a text such as [N/A]
            values.append(None)
    return Board(*values) if len(values) == len(Board._fields) else NOTHING


def middle(readings: Sequence[Board]) -> Board:
    """Return the medians of consecutive readings, without the first third, in which power rises."""
    late = readings[len(readings) // 3 :]
    columns = (
        [value for value in column if value is not None] for column in zip(*late, strict=True)
    )
    medians = [statistics.median(column) if column else None for column in columns]
    return Board(*medians) if medians else NOTHING


def _smi(identity: str) -> Board:
    command = [
        "nvidia-smi",
        "-i",
        identity,
        f"--query-gpu={_QUERY}",
        "--format=csv,noheader,nounits",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return parsed(done.stdout.strip()) if done.returncode == 0 else NOTHING


def _nvml(nvml: Any, handle: Any) -> Board:
    field = nvml.nvmlDeviceGetFieldValues(handle, [_POWER_INSTANT])[0]
    power_mw = (
        field.value.uiVal
        if field.nvmlReturn == nvml.NVML_SUCCESS
        else nvml.nvmlDeviceGetPowerUsage(handle)
    )
    return Board(
        power_mw / 1e3,
        nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1e3,
        float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
    )
