"""What the board says about itself while a kernel runs: through NVML where its Python package is
there, otherwise nvidia-smi.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_QUERY = "power.draw.instant,power.limit,temperature.gpu,clocks.sm"
# NVML_FI_DEV_POWER_INSTANT; the plain power reading is a mean over a second on recent boards
_POWER_INSTANT = 186


class Board(NamedTuple):
    """One reading; None for what the board does not tell."""

    power_w: float | None
    power_limit_w: float | None
    temperature_c: float | None
    sm_clock_mhz: float | None


NOTHING = Board(None, None, None, None)


def reader(identity: str) -> tuple[Callable[[], Board], str]:
    """A function that reads the board of that UUID (`GPU-…`), and what it reads with."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(identity)
        _nvml(pynvml, handle)
    except (
        Exception
    ):  # no package, no library, a UUID it does not know: each with an exception of its own
        if shutil.which("nvidia-smi") is None:
            return lambda: NOTHING, "nothing"
        return lambda: _smi(identity), "nvidia-smi"
    return lambda: _nvml(pynvml, handle), "NVML"


def parsed(line: str) -> Board:
    """Return power, limit, temperature and clock from a line of nvidia-smi.

    The line is that of `nvidia-smi --format=csv,noheader,nounits`.
    """
    values: list[float | None] = []
    for cell in line.split(","):
        try:
            values.append(float(cell))
        except ValueError:  # [N/A] and its like
            values.append(None)
    return Board(*values) if len(values) == len(Board._fields) else NOTHING


def middle(readings: Sequence[Board]) -> Board:
    """The medians of readings taken one after the other, without the first third, in which power
    still comes up.
    """
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
