"""Front end of a server: receives and tokenises requests before the scheduler sees them.

vLLM's server receives, checks and tokenises requests in one event loop with one thread for the
tokeniser. Requests that arrive while it is busy pass these stages together, and each of them goes on
when the whole batch is done. Requests that arrive together therefore wait for each other. Source:
vLLM 0.15 to 0.33, `utils/async_utils.py` AsyncMicrobatchTokenizer, which has batches of up to 32. The
other stages have no limit, and TTFT at p99 of runs whose 4 to 64 clients start together is that of one
batch (InferenceX, gpt-oss-120b on H200, June 2026). More requests than that were not measured.
"""

from __future__ import annotations

from collections import deque

from simpy import Environment, Event, Timeout

from cluster_sim.deployment.deployment import FrontEndCosts
from cluster_sim.request import Request
from cluster_sim.sim.front_door import Entry

MAX_BATCH = 64
"""Maximum number of requests that pass the front end together."""


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
        self._waiting: deque[Request] = deque()
        self._is_busy = False

    def send(self, request: Request) -> None:
        """Deliver a request that has just arrived to the replica once the front end is done."""
        if not any(self._costs):
            self._deliver(request)
            return
        self._waiting.append(request)
        if not self._is_busy:
            self._start()

    def _start(self) -> None:
        """Work on the requests that wait, at most a batch of them."""
        self._is_busy = True
        count = min(len(self._waiting), MAX_BATCH)
        batch = [self._waiting.popleft() for _ in range(count)]
        tokens = sum(request.prompt_tokens for request in batch)
        done = Timeout(self._env, count * self._costs.accept_s + tokens * self._costs.token_s, batch)
        done.callbacks.append(self._finish)

    def _finish(self, done: Event) -> None:
        """Deliver the requests of a batch, and start with the next one."""
        for request in done.value:
            self._deliver(request)
        self._is_busy = False
        if self._waiting:
            self._start()

    def _deliver(self, request: Request) -> None:
        Timeout(self._env, self._latency_s, request).callbacks.append(self._replica.receive)
