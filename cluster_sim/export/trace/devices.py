"""Tracks of devices, with counters of temperature, clock and power."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.export.perfetto import TraceWriter
from cluster_sim.export.trace.tables import RunTables, ns


class _Counter(NamedTuple):
    """Counter of a column of the table."""

    name: str
    """Name of the counter."""
    unit: str
    """Unit of the counter."""
    factor: float
    """Factor on the values of the column."""


_COUNTERS = {
    "die_c": _Counter("die", "°C", 1.0),
    "memory_c": _Counter("memory", "°C", 1.0),
    "clock": _Counter("clock", "%", 100.0),
    "power_w": _Counter("power", "W", 1.0),
}
"""Counters by column of the table of temperatures."""


def write_devices(tables: RunTables, out: TraceWriter) -> None:
    """Write temperatures, clocks and power of devices, if the run has a thermal model.

    One device represents all devices with equal temperatures.
    """
    if not tables.has("thermal"):
        return
    group, devices, counters = 0, dict[str, int](), dict[tuple[str, str], int]()
    for row in tables.rows("thermal"):
        device = row["device"]
        if device not in devices:
            group = group or out.track("Devices", rank=5)
            devices[device] = out.track(device, group, len(devices))
        for rank, (column, (name, unit, factor)) in enumerate(_COUNTERS.items()):
            if row[column] is None:
                continue
            if (device, name) not in counters:
                counters[device, name] = out.counter(name, unit, devices[device], rank)
            out.value(counters[device, name], ns(row["at_s"]), factor * row[column])
