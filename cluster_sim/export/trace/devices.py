"""Tracks of devices: temperatures, clocks and power."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.export.perfetto import TraceWriter
from cluster_sim.export.trace.tables import RunTables, ns


class _Counter(NamedTuple):
    """The counter that a column of the table makes."""

    name: str
    unit: str
    factor: float
    """Number by which the column is multiplied."""


_COUNTERS = {
    "die_c": _Counter("die", "°C", 1.0),
    "memory_c": _Counter("memory", "°C", 1.0),
    "clock": _Counter("clock", "%", 100.0),
    "power_w": _Counter("power", "W", 1.0),
}
"""Counters by column of the table of temperatures."""


def write_devices(tables: RunTables, out: TraceWriter) -> None:
    """Write temperatures, clocks and power of devices, where the site's inlet is known.

    Of devices that are equally warm one stands for all.
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
