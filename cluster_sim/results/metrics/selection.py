"""Selection: the whole run, or the part of a run, for which a metric is computed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.results.run_data import RunData
from cluster_sim.results.states import States, states_of
from cluster_sim.typing import Array

Found = TypeVar("Found")


class Selection:
    """A whole run, one of its pools, or one of its classes of traffic.

    Values that several metrics share are cached: `once` computes a value on first use.
    """

    def __init__(
        self,
        run: RunData,
        pool: str | None = None,
        class_: str | None = None,
        whole: Selection | None = None,
    ) -> None:
        self.run = run
        self.pool = pool
        """Name of the pool; None for all pools."""
        self.class_ = class_
        """Name of the class of traffic; None for all traffic."""
        self.whole = whole or self
        """Selection of the whole run."""
        self._kept: dict[Callable[[Selection], Any], Any] = {}

    def once(self, compute: Callable[[Selection], Found]) -> Found:
        """Return `compute(self)`, computed on the first call only."""
        if compute not in self._kept:
            self._kept[compute] = compute(self)
        found: Found = self._kept[compute]
        return found

    @cached_property
    def machines(self) -> Selection:
        """Selection with the same replicas: the whole run if one pool has all replicas."""
        is_part = self.pool is not None and len(self.run.scenario.cluster.pools) > 1
        return self if is_part else self.whole

    @cached_property
    def by_pool(self) -> dict[str, Selection]:
        """Selections of all pools of the run, by name."""
        return {
            pool.name: Selection(self.run, pool=pool.name, whole=self.whole)
            for pool in self.run.scenario.cluster.pools
        }

    @cached_property
    def by_class(self) -> dict[str, Selection]:
        """Selections of all classes of the run's traffic, by name."""
        return {
            traffic_class.name: Selection(self.run, class_=traffic_class.name, whole=self.whole)
            for traffic_class in self.run.scenario.workload.classes
        }

    @cached_property
    def states(self) -> States:
        """States of all replicas of the run."""
        return states_of(self.run) if self.whole is self else self.whole.states

    @cached_property
    def replicas(self) -> list[int]:
        """Numbers of the replicas of the selected pools."""
        return [
            number
            for deployment in self.deployments
            for number in self.run.fleet.numbers(deployment.name)
        ]

    @cached_property
    def deployments(self) -> list[Deployment]:
        """Deployments of the selected pools."""
        return [
            deployment
            for deployment in self.run.fleet.deployments
            if self.pool is None or deployment.name == self.pool
        ]

    def is_of_replicas(self, numbers: Array) -> Array:
        """Return whether each of these replicas, given by number, is of a selected pool."""
        if self.pool is None:
            return np.ones(len(numbers), dtype=bool)
        return np.isin(numbers, self.run.fleet.numbers(self.pool))
