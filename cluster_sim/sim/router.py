"""The front door: picks a replica for each request and sends it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simpy import Environment, Timeout

from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.admission import Gate
from cluster_sim.serving.routing import Picker
from cluster_sim.sim.replica import Replica


class Router:
    """Sends each request to the replica that the policy picks among those that could serve it,
    unless the gate is closed to it.
    """

    def __init__(
        self,
        env: Environment,
        picker: Picker,
        replicas: Sequence[Replica],
        latencies_s: Sequence[float],
        recorder: Recorder,
        on_reject: Callable[[Request], None] | None,
        gate: Gate | None = None,
    ) -> None:
        self._env, self._replicas, self._recorder = env, replicas, recorder
        self._pick, self._sent = picker
        self._gate = gate
        self._latencies_s = latencies_s
        self._on_reject = on_reject
        self._surely_held = min(replica.longest for replica in replicas)

    def route(self, request: Request) -> None:
        """Send a request that has just arrived; one that no replica can hold, or that the gate
        refuses, is rejected.
        """
        self._recorder.requests.append(request)
        index = self._pick(request, self._replicas)
        replica = self._replicas[index]
        if replica.down or (
            request.prompt_tokens + request.output_tokens > self._surely_held
            and not replica.holds(request)
        ):
            if (other := self._other(request)) is None:
                self._reject(
                    request, "all_down" if all(one.down for one in self._replicas) else "too_long"
                )
                return
            index = other
        if self._gate is not None and self._gate.refuses(
            request, self._env.now, index, self._replicas
        ):
            self._reject(request, self._gate.reason)
            return
        self._send(request, index)

    def lost(self, request: Request) -> None:
        """The replica that had this request has lost its devices: it is sent to another one, with
        what it was answered, or has failed.
        """
        if (index := self._other(request)) is None:
            self.fail(request)
            return
        self._recorder.events.append(
            (self._env.now, "retried", request.replica, request.number, float(request.generated))
        )
        self._send(request, index)

    def fail(self, request: Request) -> None:
        """Nobody else can go on with a request whose devices are lost: there is no other replica,
        or its KV was handed over and is gone.
        """
        self._recorder.fails(request, self._env.now)
        if self._on_reject is not None:
            self._on_reject(request)

    def _other(self, request: Request) -> int | None:
        """The replica that the policy picks among those that are up and could serve it; None where
        there is none.
        """
        able = [
            number
            for number, replica in enumerate(self._replicas)
            if not replica.down and replica.holds(request)
        ]
        return (
            able[self._pick(request, [self._replicas[number] for number in able])] if able else None
        )

    def _send(self, request: Request, index: int) -> None:
        replica = self._replicas[index]
        if self._sent is not None:
            self._sent(request, replica)
        replica.expect(request)
        Timeout(self._env, self._latencies_s[index], request).callbacks.append(replica.receive)

    def _reject(self, request: Request, reason: str) -> None:
        self._recorder.rejects(request, self._env.now, reason)
        if self._on_reject is not None:
            self._on_reject(request)
