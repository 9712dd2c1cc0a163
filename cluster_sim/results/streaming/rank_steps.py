"""Attention ranks whose decoding sequences hold still at different times, from the table of events.

Each rank of a replica has the steps of the replica, except for those in which it prefills and its
sequences hold still. The steps of a rank have a key: number of the replica + rank x number of
replicas. It is the number of the replica for rank 0 and for replicas with a single rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cluster_sim.results.streaming.replica_steps import ReplicaSteps

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


class RankSteps:
    """Decode steps of each replica, or of each of its ranks if they prefill apart."""

    def __init__(self, results: RunData) -> None:
        """Read the holds of ranks from the table of events."""
        self.replicas = len(results.fleet.replicas)
        """Number of replicas of the run."""
        self._results = results
        events = results.events
        what, at_s, replica, request, value = (
            events[name].to_numpy() for name in ("what", "at_s", "replica", "request", "value")
        )
        is_sent = what == "on_rank"
        self._at_s = at_s[is_sent]
        keys = replica[is_sent] + self.replicas * value[is_sent].astype(np.int64)
        self._key_of = dict(
            zip(
                zip(request[is_sent].tolist(), replica[is_sent].tolist(), strict=True),
                keys.tolist(),
                strict=True,
            )
        )
        self._keys = keys
        ranks = int(np.max(value[is_sent], initial=0.0)) + 1
        self.latencies_s: Array = np.tile(np.array(results.fleet.answer_latencies_s), ranks)
        """Time of an answer's way to the front door, by key [s]."""

    def key(self, request: int, replica: int) -> int:
        """Return the key of the steps of a request on a replica."""
        key: int = self._key_of.get((request, replica), replica)
        return key

    def steps(self) -> dict[int, ReplicaSteps]:
        """Return the steps of each replica or rank by its key."""
        numbers = np.unique(self._results.stretches["replica"].to_numpy()).astype(int).tolist()
        ranked = {int(number) for number in np.unique(self._keys % self.replicas)}
        found = {n: ReplicaSteps(self._results, n) for n in numbers if n not in ranked}
        for key in np.unique(self._keys).tolist():
            held_s = self._at_s[self._keys == key]
            if key % self.replicas in numbers:
                found[key] = ReplicaSteps(self._results, key % self.replicas, held_s)
        return found
