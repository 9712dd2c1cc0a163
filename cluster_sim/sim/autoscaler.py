"""Autoscaler: process that starts and removes the replicas of one pool.

Replicas are the unit of scaling. They are started in order of number and removed in reverse order,
so that replicas that share a node are neighbours, and nodes become free. A replica that takes whole
nodes starts and frees these. A removed replica goes to sleep if the warm pool lacks one. A replica
that drains does not serve again before it was off, as pods of Kubernetes that terminate. Replicas
with open faults are neither counted nor chosen.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import inf
from typing import Any, NamedTuple

from simpy import Event

from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.autoscaling import Autoscale, PoolLoad, Scaler
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.lifecycle import Lifecycle
from cluster_sim.sim.pool_demand import PoolDemand
from cluster_sim.sim.replica_events import ReplicaEvents


class ScaledPool(NamedTuple):
    """Pool whose number of replicas follows its load."""

    name: str
    """Name of the pool."""
    spec: Autoscale
    """Description of its autoscaling."""
    wake_s: float
    """Time in which a replica of the warm pool becomes ready [s]."""
    nodes: Sequence[range]
    """Numbers of the nodes of each replica."""
    lifecycles: Sequence[Lifecycle]
    """States of the replicas, in order of number."""
    demand: PoolDemand
    """Demand that the replicas themselves do not show."""


class FirstTokens(ReplicaEvents):
    """Times to first token of the requests of a pool since they were last read."""

    def __init__(self) -> None:
        self._ttfts_s: list[float] = []

    def first_token(self, request: Request) -> None:
        """Keep the time to first token of a request."""
        self._ttfts_s.append(request.first_token_s - request.arrival_s)

    def take(self) -> list[float]:
        """Return the times since the last call [s]."""
        taken, self._ttfts_s = self._ttfts_s, []
        return taken


class Autoscaler(ReplicaEvents):
    """Process that evaluates the rule of one pool in every period, and starts or removes replicas."""

    def __init__(self, env: CountingEnvironment, pool: ScaledPool, recorder: Recorder) -> None:
        self._env, self._pool, self._recorder = env, pool, recorder
        self._replicas = [lifecycle.replica for lifecycle in pool.lifecycles]
        self._scaler, self._first_tokens = Scaler(pool.spec), FirstTokens()
        first, warm = pool.spec.begins_with, pool.spec.warm_pool
        self._ready_s = {lifecycle.number: -inf for lifecycle in pool.lifecycles}
        for index, lifecycle in enumerate(pool.lifecycles):
            if index >= first:
                lifecycle.begin_as("asleep" if index < first + warm else "off")
        for replica in self._replicas:
            replica.subscribe(self)
            if pool.spec.reads_first_tokens:
                replica.subscribe(self._first_tokens)
        env.process(self._run())

    def opened(self, number: int) -> None:
        """Remember since when a replica is ready."""
        self._ready_s[number] = self._env.now

    def _run(self) -> Generator[Event, Any, None]:
        while True:
            yield self._env.pause(self._pool.spec.period_s)
            is_over = self._env.is_over
            if is_over and not self._pool.demand.held:
                return
            self._evaluate()
            if is_over and self._env.is_over:  # nothing was started for the requests that wait
                return

    def _evaluate(self) -> None:
        counted = self._counted()
        desired = self._scaler.desired(self._env.now, len(counted), self._load(counted))
        if desired > len(counted):
            self._record("scaled_up", desired, self._start(desired - len(counted)))
        elif desired < len(counted):
            self._record("scaled_down", desired, self._remove(len(counted) - desired))
        self._fill_warm_pool()

    def _counted(self) -> list[Lifecycle]:
        """Return the replicas that are ready, or are being started to become ready."""
        return [lifecycle for lifecycle in self._pool.lifecycles if lifecycle.is_wanted]

    def _load(self, counted: Sequence[Lifecycle]) -> PoolLoad:
        pool, first = self._pool, self._replicas[0].number
        ready = [lifecycle.number for lifecycle in counted if lifecycle.state == "ready"]
        since_s = self._env.now - pool.spec.readiness_delay_s
        known = [number for number in ready if self._ready_s[number] <= since_s]
        held = pool.demand.held
        return PoolLoad(
            loads=[self._replicas[number - first] for number in known],
            unready=len(counted) - len(ready),
            young=len(ready) - len(known),
            held=held,
            inside=held + pool.demand.ahead + sum(replica.requests for replica in self._replicas),
            ttfts_s=self._first_tokens.take(),
        )

    def _start(self, count: int) -> list[int]:
        """Start up to `count` replicas, those of the warm pool first; return their numbers."""
        pool = self._pool
        started = self._warm()[:count]
        for lifecycle in started:
            lifecycle.wake(pool.wake_s)
        off = self._off()[: count - len(started)]
        for lifecycle in off:
            lifecycle.switch_on(self._provision_s(lifecycle))
        return [lifecycle.number for lifecycle in (*started, *off)]

    def _remove(self, count: int) -> list[int]:
        """Remove `count` replicas, those that are not ready yet first; return their numbers."""
        by_number = self._counted()[::-1]
        removed = sorted(by_number, key=lambda lifecycle: lifecycle.state == "ready")[:count]
        for lifecycle in removed:
            sleeps = lifecycle.state == "ready" and self._missing_warm() > 0
            if lifecycle.state == "ready" and self._pool.spec.drain:
                lifecycle.close(then_sleep=sleeps)
            elif sleeps:
                lifecycle.go_to_sleep()
            else:
                lifecycle.switch_off()
        return [lifecycle.number for lifecycle in removed]

    def _fill_warm_pool(self) -> None:
        """Start replicas that will wait with their weights in the host's memory."""
        for lifecycle in self._off()[: max(self._missing_warm(), 0)]:
            lifecycle.switch_on(self._provision_s(lifecycle), then_sleep=True)

    def _provision_s(self, lifecycle: Lifecycle) -> float:
        """Return the time until the nodes of a replica are up [s]; 0 if other replicas use them."""
        pool, first = self._pool, self._replicas[0].number
        up = {
            node
            for other, nodes in zip(pool.lifecycles, pool.nodes, strict=True)
            if other.state not in ("off", "starting")
            for node in nodes
        }
        is_up = up.issuperset(pool.nodes[lifecycle.number - first])
        return 0.0 if is_up else pool.spec.provision_s

    def _missing_warm(self) -> int:
        """Return the number of replicas that the warm pool lacks."""
        warm = sum(lifecycle.will_be_warm for lifecycle in self._pool.lifecycles)
        return self._pool.spec.warm_pool - warm

    def _warm(self) -> list[Lifecycle]:
        """Return the replicas of the warm pool, those first that wait with their weights."""
        warm = [lifecycle for lifecycle in self._pool.lifecycles if lifecycle.is_warm]
        return sorted(warm, key=lambda lifecycle: lifecycle.state != "asleep")

    def _off(self) -> list[Lifecycle]:
        """Return the replicas that can be started, in order of number."""
        return [
            lifecycle
            for lifecycle in self._pool.lifecycles
            if lifecycle.state == "off" and not lifecycle.faults
        ]

    def _record(self, what: str, desired: int, changed: Sequence[int]) -> None:
        """Record the desired number of replicas if any replica was started or removed."""
        if changed:
            row = (self._env.now, what, min(changed), -1, float(desired))
            self._recorder.happens(row, self._pool.name)
