"""Router: the front door, which picks a replica for each request."""

from __future__ import annotations

from collections.abc import Sequence

from simpy import Environment

from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.admission import Gate
from cluster_sim.serving.routing import Picker
from cluster_sim.sim.front_door import Entry
from cluster_sim.sim.front_end import FrontEnd
from cluster_sim.sim.replica_events import ReplicaEvents, RouterEvents


class Router(ReplicaEvents):
    """Router, which sends each request to the replica that its policy picks.

    The policy picks among the replicas that can serve the request. The gate may reject a request
    before.
    """

    def __init__(  # noqa: PLR0913 - wires the front door to the replicas
        self,
        env: Environment,
        picker: Picker,
        replicas: Sequence[Entry],
        front_ends: Sequence[FrontEnd],
        recorder: Recorder,
        gate: Gate | None = None,
    ) -> None:
        self._env, self._replicas, self._recorder = env, replicas, recorder
        self._picker = picker
        self._gate = gate
        self._front_ends = front_ends
        self._surely_held = min(replica.longest for replica in replicas)
        self._listeners: list[RouterEvents] = []
        for replica in replicas:
            picker.opened(replica)

    def subscribe(self, listener: RouterEvents) -> None:
        """Report events of the router to `listener` from now on."""
        self._listeners.append(listener)

    def route(self, request: Request) -> None:
        """Send a request that has just arrived to a replica.

        The request is rejected if no replica can hold it, or if the gate refuses it.
        """
        self._recorder.requests.append(request)
        index = self._picker.pick_open(request, self._replicas, self._env.now)
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
        """Check from now on whether each replica can serve a request."""
        self._surely_held = 0

    def lost(self, request: Request, number: int) -> None:
        """Send a request whose KV cache is lost to another replica; if there is none, it fails."""
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
        """Return the pick among the available replicas that can serve a request, if any."""
        able = [
            number
            for number, replica in enumerate(self._replicas)
            if not replica.down and replica.holds(request)
        ]
        if not able:
            return None
        return able[self._picker.pick(request, [self._replicas[number] for number in able])]

    def _why_nobody(self, request: Request) -> str:
        """Return why no available replica can serve a request, see columns.EVENT_REASON."""
        held = any(replica.would_hold(request) for replica in self._replicas)
        return "all_down" if held else "too_long"

    def _send(self, request: Request, index: int) -> None:
        replica = self._replicas[index]
        replica.expect(request)
        self._picker.sent(request, replica)
        self._front_ends[index].send(request)

    def _reject(self, request: Request, reason: str) -> None:
        self._recorder.rejects(request, self._env.now, reason)
        self._tell_refused(request)

    def _tell_refused(self, request: Request) -> None:
        for listener in self._listeners:
            listener.refused(request)
