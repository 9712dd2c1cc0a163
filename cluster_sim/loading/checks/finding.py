"""The finding of a check: its location and its sentence, which begins with the value."""

from __future__ import annotations

from typing import Any

from cluster_sim.schema import Trail

Finding = tuple[Trail, str]
"""Keys that lead to a value, and a sentence that describes the fault of the value."""


def got(value: Any) -> str:
    """Return the beginning of a sentence about a value; a mapping or a list is called rules.

    >>> got("fcfs"), got(0.9), got([1, 2])
    ('got fcfs', 'got 0.9', 'got rules')
    """
    return f"got {value if isinstance(value, str | int | float) else 'rules'}"
