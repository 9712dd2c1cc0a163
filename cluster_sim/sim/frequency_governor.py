"""FrequencyGovernor: process that locks the clocks of a pool's replicas by a frequency policy.

It does not keep a run going. A decision takes effect after the delay of the policy, and a replica
has at most one decision under way.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import inf
from typing import Any

from simpy import Event

from cluster_sim.deployment.clock_profile import DeploymentProfile
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.frequency import Decider, FrequencyPolicy, Known, Objectives
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_events import ReplicaEvents

_CAUSE = "frequency"


class _Lock(ReplicaEvents):
    """Clock lock of one replica, and the policy that decides on it."""

    def __init__(
        self,
        env: CountingEnvironment,
        replica: Replica[Any],
        decider: Decider,
        delay_s: float,
    ) -> None:
        self._env, self._replica, self.decider, self._delay_s = env, replica, decider, delay_s
        self._share = decider.decide(replica, env.now)
        self._is_under_way = False
        replica.lock_clock(_CAUSE, self._share)

    def load_changed(self, number: int) -> None:
        """Decide when the kind of the steps may have changed."""
        if self._replica.is_running:
            self.decide()

    def decide(self) -> None:
        """Decide on the clock, unless an earlier decision is under way."""
        if self._is_under_way or self._replica.down:
            return
        share = self.decider.decide(self._replica, self._env.now)
        if share == self._share:
            return
        self._share, self._is_under_way = share, True
        self._env.pause(self._delay_s).callbacks.append(self._take_effect)

    def _take_effect(self, _: Event) -> None:
        self._is_under_way = False
        self._replica.lock_clock(_CAUSE, self._share)


class FrequencyGovernor:
    """Process that applies the frequency policy of one pool to its replicas."""

    def __init__(
        self,
        env: CountingEnvironment,
        policy: FrequencyPolicy,
        known: Known,
        replicas: Sequence[Replica[Any]],
        recorder: Recorder,
    ) -> None:
        self._env, self._policy, self._recorder = env, policy, recorder
        self._locks = {
            replica.number: _Lock(env, replica, policy.decider(known), policy.acts_after_s)
            for replica in replicas
        }
        self._read = 0  # number of requests of the run that were looked at
        self._held: list[Request] = []  # those that waited at the router then
        if policy.follows_phases:
            for replica in replicas:
                replica.subscribe(self._locks[replica.number])
        if policy.decides_every_s < inf:
            env.process(self._run())

    def _run(self) -> Generator[Event, Any, None]:
        while True:
            yield self._env.pause(self._policy.decides_every_s)
            if self._env.is_over:
                return
            self._report_requests()
            for lock in self._locks.values():
                lock.decide()

    def _report_requests(self) -> None:
        """Tell the policy of the requests that were sent to its replicas since the last time."""
        recorder = self._recorder
        requests = [*self._held, *recorder.requests[self._read :]]
        for request in requests:
            if (lock := self._locks.get(request.replica)) is not None:
                lock.decider.sent(request.prompt_tokens, request.output_tokens)
        self._held = [
            request
            for request in requests
            if request.replica < 0
            and request.number not in recorder.rejected
            and request.number not in recorder.failed
            and request.number not in recorder.cancelled
        ]
        self._read = len(recorder.requests)


def frequency_governors(
    env: CountingEnvironment,
    scenario: Scenario,
    fleet: Fleet,
    replicas: Sequence[Replica[Any]],
    recorder: Recorder,
) -> None:
    """Start a governor for each pool that has a frequency policy."""
    objectives = [
        Objectives(
            ttft_s=each.limits_s.get("ttft", inf),
            tpot_s=each.limits_s.get("tpot", inf),
            e2el_s=each.limits_s.get("e2el", inf),
            percentile=each.percentile or 99.0,
        )
        for each in scenario.slos
    ]
    for deployment in fleet.deployments:
        if (policy := deployment.pool.frequency) is not None:
            known = Known(DeploymentProfile(deployment), objectives, deployment.role)
            members = [replicas[number] for number in fleet.numbers(deployment.name)]
            FrequencyGovernor(env, policy, known, members, recorder)
