"""Readable labels of columns."""

from __future__ import annotations

_UNITS = (
    ("_bytes_per_s", "B/s"),
    ("_per_s", "1/s"),
    ("_ms", "ms"),
    ("_s", "s"),
    ("_w", "W"),
    ("_kwh", "kWh"),
    ("_c", "°C"),
    ("_bytes", "B"),
)
"""Suffixes of names, with the units that they mean."""


def short_name(name: str) -> tuple[str, str]:
    """Return the last two parts of a key without its unit, and the unit.

    >>> short_name("workload.arrivals.rate_per_s")
    ('arrivals.rate', '1/s')
    """
    short = ".".join(name.split(".")[-2:])
    for suffix, unit in _UNITS:
        if short.endswith(suffix):
            return short.removesuffix(suffix), unit
    return short, ""


def label_of(name: str) -> str:
    """Return the label of an axis that shows a column.

    >>> label_of("workload.arrivals.rate_per_s")
    'arrivals.rate [1/s]'
    """
    short, unit = short_name(name)
    return short.replace("_", " ") + (f" [{unit}]" if unit else "")
