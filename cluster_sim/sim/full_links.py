"""FullLinks: time in which links were saturated and slowed transfers down."""

from __future__ import annotations

from collections.abc import Container

from simpy import Environment

from cluster_sim.physics.max_min_fairness import Resource
from cluster_sim.results.recorder import Recorder


class FullLinks:
    """Saturated links, with the time since when they are saturated."""

    def __init__(self, env: Environment, recorder: Recorder, memories: Container[Resource]) -> None:
        self._env, self._recorder, self._memories = env, recorder, memories
        self._since_s: dict[Resource, float] = {}

    def note_full(self, resource: Resource) -> None:
        """Record that a link is saturated from now on."""
        self._since_s.setdefault(resource, self._env.now)

    def note_room(self, resource: Resource) -> None:
        """Record the time for which a link was saturated, at the end of it; skip memories."""
        since_s = self._since_s.pop(resource, None)
        if since_s is not None and resource not in self._memories:
            full_s = self._recorder.full_s
            full_s[resource] = full_s.get(resource, 0.0) + self._env.now - since_s

    def stop(self) -> None:
        """End the run: record the time for which links were saturated."""
        for resource in list(self._since_s):
            self.note_room(resource)
