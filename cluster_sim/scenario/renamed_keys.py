"""Keys of scenario files that have a new name; the old names keep working."""

from __future__ import annotations

from typing import Final

from cluster_sim.schema import NewNames

NEW_NAMES: Final[NewNames] = {
    ("cluster", "hand_over"): "disaggregation",
    ("capacity", "most_nodes"): "max_nodes",
}
"""New name of a key, by the trail to its old name in a scenario."""

NEW_NAMES_IN_FILES: Final[NewNames] = {
    **NEW_NAMES,
    **{("variants", "*", *trail): name for trail, name in NEW_NAMES.items()},
}
"""New name of a key, by the trail to its old name in a scenario file, variants included."""
