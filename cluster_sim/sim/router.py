"""Router: the front door, which picks a replica for each request."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from simpy import Environment

from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.admission import Gate
from cluster_sim.serving.routing import Picker
from cluster_sim.sim.front_door import Entry
from cluster_sim.sim.front_end import FrontEnd
from cluster_sim.sim.replica_events import ReplicaEvents, RouterEvents


class RouterOptions(NamedTuple):
    """Optional behaviour of the router."""

    gate: Gate | None = None
    """Gate of the admission policy; None if it admits every request."""
    retries_lost: bool = True
    """Whether a request that is lost with its replica starts again at another one."""
    holds: bool = False
    """Whether requests wait here while no open replica can serve them, because one may be
    started."""


PLAIN = RouterOptions()
"""Options of a router that admits every request, retries lost ones and holds none."""


class Router(ReplicaEvents):
    """Router, which sends each request to the replica that its policy picks.

    The policy picks among the open replicas that can serve the request. The gate may reject a
    request before.
    """

    def __init__(  # noqa: PLR0913 - wires the front door to the replicas
        self,
        env: Environment,
        picker: Picker,
        replicas: Sequence[Entry],
        front_ends: Sequence[FrontEnd],
        recorder: Recorder,
        options: RouterOptions = PLAIN,
    ) -> None:
        self._env, self._replicas, self._recorder = env, replicas, recorder
        self._picker = picker
        self._options = options
        self._front_ends = front_ends
        self._surely_held = min(replica.longest for replica in replicas)
        self._open: Sequence[Entry] = replicas
        self._index = {replica.number: index for index, replica in enumerate(replicas)}
        self._listeners: list[RouterEvents] = []
        self.held: deque[Request] = deque()
        """Requests that wait for a replica to open, in order."""
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
        replica = self._choose(request)
        if replica is None:
            if not self._hold(request):
                self._reject(request, self._why_nobody(request))
            return
        self._admit(request, replica)

    def _admit(self, request: Request, replica: Entry) -> None:
        """Send a request to a replica, unless the gate refuses it."""
        gate = self._options.gate
        if gate is not None and gate.refuses(
            request, self._env.now, self._index[replica.number], self._replicas
        ):
            self._reject(request, gate.reason)
            return
        self._send(request, replica)

    def set_latency(self, number: int, latency_s: float) -> None:
        """Set the latency from here to a replica that requests are sent to, server included [s]."""
        if (index := self._index.get(number)) is not None:
            self._front_ends[index].set_latency(latency_s)

    def cancel(self, request: Request) -> bool:
        """Forget a request that waits here; return whether it waited here."""
        if request not in self.held:
            return False
        self.held.remove(request)
        return True

    def closed(self, number: int) -> None:
        """Send no requests to a replica; check from now on whether replicas can hold a request."""
        self._update_open()
        if (index := self._index.get(number)) is not None:
            self._picker.closed(self._replicas[index])

    def opened(self, number: int) -> None:
        """Send requests to a replica again, those that wait here first."""
        self._update_open()
        if (index := self._index.get(number)) is not None:
            self._picker.opened(self._replicas[index])
        for _ in range(len(self.held)):
            request = self.held.popleft()
            if (replica := self._choose(request)) is None:
                self.held.append(request)
            elif request.replica < 0:
                self._admit(request, replica)
            else:  # it was admitted before its replica was lost
                self._send(request, replica)

    def _update_open(self) -> None:
        self._surely_held = 0
        self._open = [replica for replica in self._replicas if replica.is_open]

    def lost(self, request: Request, number: int) -> None:
        """Send a request whose KV cache is lost to another replica; if there is none, it fails."""
        request.replica = number
        request.forget_transfer()
        replica = self._choose(request) if self._options.retries_lost else None
        if replica is not None:
            self._record_retry(request)
            self._send(request, replica)
        elif self._options.retries_lost and self._hold(request):
            self._record_retry(request)
        else:
            reason = self._why_nobody(request) if self._options.retries_lost else "lost"
            self._recorder.fails(request, self._env.now, reason)
            self._tell_refused(request)

    def _record_retry(self, request: Request) -> None:
        self._recorder.events.append(
            (self._env.now, "retried", request.replica, request.number, float(request.generated))
        )

    def _choose(self, request: Request) -> Entry | None:
        """Return the pick among the open replicas that can hold a request; None if there are none."""
        if not self._open:
            return None
        if request.avoid >= 0:
            other = self._picked(request, self._others(request))
            if other is not None:
                return other
        index = self._picker.pick_open(request, self._open, self._env.now)
        if index is None:
            return None
        replica = self._open[index]
        if request.prompt_tokens + request.output_tokens <= self._surely_held or replica.holds(
            request
        ):
            return replica
        return self._picked(request, [other for other in self._open if other.holds(request)])

    def _picked(self, request: Request, able: Sequence[Entry]) -> Entry | None:
        """Return the pick among some open replicas; None if the policy wants none of them."""
        index = self._picker.pick(request, able) if able else None
        return None if index is None else able[index]

    def _others(self, request: Request) -> list[Entry]:
        """Return the open replicas that can hold a request and have no other attempt of it."""
        return [
            replica
            for replica in self._open
            if replica.number != request.avoid and replica.holds(request)
        ]

    def _hold(self, request: Request) -> bool:
        """Let a request wait here if a replica that may open could hold it; return whether it waits."""
        waits = self._options.holds and self._why_nobody(request) == "all_down"
        if waits:
            self.held.append(request)
        return waits

    def _why_nobody(self, request: Request) -> str:
        """Return why no open replica can serve a request, see columns.EVENT_REASON."""
        allowed = [other for other in self._replicas if self._picker.allows(request, other)]
        if not allowed:
            return "no_rule"
        if any(replica.would_hold(request) for replica in allowed):
            return "all_down"
        held = any(replica.would_hold(request) for replica in self._replicas)
        return "pool_too_small" if held else "too_long"

    def _send(self, request: Request, replica: Entry) -> None:
        replica.expect(request)
        self._picker.sent(request, replica)
        self._front_ends[self._index[replica.number]].send(request)

    def _reject(self, request: Request, reason: str) -> None:
        self._recorder.rejects(request, self._env.now, reason)
        self._tell_refused(request)

    def _tell_refused(self, request: Request) -> None:
        for listener in self._listeners:
            listener.refused(request)
