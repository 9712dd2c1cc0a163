"""The finding of a check: its location and its sentence."""

from __future__ import annotations

from cluster_sim.schema import Trail

Finding = tuple[Trail, str]
"""Keys that lead to a value, and a sentence that describes the fault of the value."""
