"""Front end of a server: receives and tokenises requests before the scheduler sees them.

vLLM's server receives and checks requests in one event loop. Requests that arrive together pass this
stage together, since none is preferred. One thread tokenises them, at most 32 at a time, and each of
them goes on when its batch is done. Requests that arrive together therefore wait for each other,
which TTFT at p99 shows in runs whose clients start together. Source: vLLM 0.15 to 0.33,
`utils/async_utils.py` AsyncMicrobatchTokenizer. Its wait of 2 ms for further requests is part of the
constant `request`.
"""

from __future__ import annotations

from collections import deque

from simpy import Environment, Event, Timeout

from cluster_sim.deployment.deployment import FrontEndCosts
from cluster_sim.request import Request
from cluster_sim.sim.front_door import Entry

MAX_BATCH = 32
"""Maximum number of requests that are tokenised together."""


class FrontEnd:
    """Front end of the server of one replica.

    Parameters
    ----------
    env
        Environment of the simulation.
    replica
        Replica that accepts the requests.
    costs
        Times of the front end for its requests.
    latency_s
        Latency of the network and of the server, in addition to the front end [s].
    """

    def __init__(
        self, env: Environment, replica: Entry, costs: FrontEndCosts, latency_s: float
    ) -> None:
        self._env, self._replica = env, replica
        self._costs, self._latency_s = costs, latency_s
        self._arrived: list[Request] = []
        self._accepted: deque[Request] = deque()
        self._is_busy = False

    def set_latency(self, latency_s: float) -> None:
        """Deliver requests after another latency from now on [s]; see the class."""
        self._latency_s = latency_s

    def send(self, request: Request) -> None:
        """Deliver a request that has just arrived to the replica once the front end is done."""
        if not any(self._costs):
            self._deliver(request)
            return
        self._arrived.append(request)
        if not self._is_busy:
            self._start()

    def _start(self) -> None:
        """Accept all requests that have arrived, and tokenise a batch of them."""
        self._is_busy = True
        accept_s = len(self._arrived) * self._costs.accept_s
        self._accepted.extend(self._arrived)
        self._arrived.clear()
        count = min(len(self._accepted), MAX_BATCH)
        batch = [self._accepted.popleft() for _ in range(count)]
        tokens = sum(request.prompt_tokens for request in batch)
        done = Timeout(self._env, accept_s + tokens * self._costs.token_s, batch)
        done.callbacks.append(self._finish)

    def _finish(self, done: Event) -> None:
        """Deliver the requests of a batch, and start with the next one."""
        batch: list[Request] = done.value  # type: ignore[assignment]  # value of the timeout
        for request in batch:
            self._deliver(request)
        self._is_busy = False
        if self._accepted or self._arrived:
            self._start()

    def _deliver(self, request: Request) -> None:
        Timeout(self._env, self._latency_s, request).callbacks.append(self._replica.receive)
