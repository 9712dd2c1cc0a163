"""What a check finds: where, and what is wrong there."""

from __future__ import annotations

from cluster_sim.schema import Trail

Finding = tuple[Trail, str]
"""Keys that lead to a value, and a sentence that says what is wrong with it."""
