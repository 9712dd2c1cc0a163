"""Changes of loads, passed from replicas to a routing policy that keeps replicas in order."""

from __future__ import annotations

from cluster_sim.serving.routing import Picker
from cluster_sim.sim.replica_events import ReplicaEvents


class LoadChanges(ReplicaEvents):
    """Listener that tells a routing policy of changed loads."""

    def __init__(self, picker: Picker) -> None:
        self._picker = picker

    def load_changed(self, number: int) -> None:
        """Tell the policy that the load of a replica may be lower, or may fall faster."""
        self._picker.changed(number)
