"""The front door: picks a replica for each request and sends it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from simpy import Environment, Event, Timeout

from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.admission import Gate
from cluster_sim.serving.routing import Load, Picker
from cluster_sim.sim.replica_events import ReplicaEvents, RouterEvents


class Entry(Load, Protocol):
    """What the router sees of a replica that it sends requests to."""

    longest: int
    down: bool

    def holds(self, request: Request) -> bool:
        """Return whether the request could ever be served here, by what is up elsewhere."""
        ...

    def would_hold(self, request: Request) -> bool:
        """Return whether the request could be served here if no devices were lost anywhere."""
        ...

    def expect(self, request: Request) -> None:
        """Expect a request that the router has sent here, when the network has brought it."""
        ...

    def receive(self, delivery: Event) -> None:
        """Take the request that `delivery` carries."""
        ...


class Router(ReplicaEvents):
    """Sends each request to the replica that the policy picks among those that could serve it.

    The gate may reject requests before that.
    """

    def __init__(  # noqa: PLR0913 - wires the front door to the replicas
        self,
        env: Environment,
        picker: Picker,
        replicas: Sequence[Entry],
        latencies_s: Sequence[float],
        recorder: Recorder,
        gate: Gate | None = None,
    ) -> None:
        self._env, self._replicas, self._recorder = env, replicas, recorder
        self._pick, self._sent = picker
        self._gate = gate
        self._latencies_s = latencies_s
        self._surely_held = min(replica.longest for replica in replicas)
        self._listeners: list[RouterEvents] = []

    def subscribe(self, listener: RouterEvents) -> None:
        """Tell `listener` from now on what happens here."""
        self._listeners.append(listener)

    def route(self, request: Request) -> None:
        """Send a request that has just arrived to a replica.

        One that no replica can hold, or that the gate refuses, is rejected.
        """
        self._recorder.requests.append(request)
        index = self._pick(request, self._replicas)
        replica = self._replicas[index]
        if replica.down or (
            request.prompt_tokens + request.output_tokens > self._surely_held
            and not replica.holds(request)
        ):
            if (other := self._other(request)) is None:
                self._reject(request, self._why_nobody(request))
                return
            index = other
        if self._gate is not None and self._gate.refuses(
            request, self._env.now, index, self._replicas
        ):
            self._reject(request, self._gate.reason)
            return
        self._send(request, index)

    def devices_lost(self, number: int) -> None:
        """Ask every replica from now on whether it could serve a request."""
        self._surely_held = 0

    def lost(self, request: Request, number: int) -> None:
        """Send a request whose KV cache is lost to another replica; else it has failed."""
        request.replica = number
        request.forget_transfer()
        index = self._other(request)
        if index is None:
            self._recorder.fails(request, self._env.now, self._why_nobody(request))
            self._tell_refused(request)
            return
        self._recorder.events.append(
            (self._env.now, "retried", request.replica, request.number, float(request.generated))
        )
        self._send(request, index)

    def _other(self, request: Request) -> int | None:
        """Return the pick among the replicas that are up and could serve a request, if any."""
        able = [
            number
            for number, replica in enumerate(self._replicas)
            if not replica.down and replica.holds(request)
        ]
        return (
            able[self._pick(request, [self._replicas[number] for number in able])] if able else None
        )

    def _why_nobody(self, request: Request) -> str:
        """Return why no replica that is up could serve a request, see columns.EVENT_REASON."""
        held = any(replica.would_hold(request) for replica in self._replicas)
        return "all_down" if held else "too_long"

    def _send(self, request: Request, index: int) -> None:
        replica = self._replicas[index]
        if self._sent is not None:
            self._sent(request, replica)
        replica.expect(request)
        Timeout(self._env, self._latencies_s[index], request).callbacks.append(replica.receive)

    def _reject(self, request: Request, reason: str) -> None:
        self._recorder.rejects(request, self._env.now, reason)
        self._tell_refused(request)

    def _tell_refused(self, request: Request) -> None:
        for listener in self._listeners:
            listener.refused(request)
