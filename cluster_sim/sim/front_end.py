"""Front end of a server: tokenises prompts before the scheduler sees the requests.

vLLM tokenises in one thread. Requests that come meanwhile wait and are tokenised together, at most
32 at a time, and each of them goes on when the whole batch is done. Requests that arrive together
therefore wait for each other. Source: vLLM 0.15 to 0.33, `utils/async_utils.py`
AsyncMicrobatchTokenizer. Its wait of 2 ms for further requests is part of the constant `request`.
"""

from __future__ import annotations

from collections import deque

from simpy import Environment, Event, Timeout

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
    token_s
        Time per prompt token [s].
    latency_s
        Latency of the network and of the server, in addition to tokenising [s].
    """

    def __init__(
        self, env: Environment, replica: Entry, token_s: float, latency_s: float
    ) -> None:
        self._env, self._replica = env, replica
        self._token_s, self._latency_s = token_s, latency_s
        self._waiting: deque[Request] = deque()
        self._is_busy = False

    def send(self, request: Request) -> None:
        """Deliver a request that has just arrived to the replica once it is tokenised."""
        if not self._token_s:
            self._deliver(request)
            return
        self._waiting.append(request)
        if not self._is_busy:
            self._start()

    def _start(self) -> None:
        """Tokenise the requests that wait, at most a batch of them."""
        self._is_busy = True
        count = min(len(self._waiting), MAX_BATCH)
        batch = [self._waiting.popleft() for _ in range(count)]
        tokens = sum(request.prompt_tokens for request in batch)
        done = Timeout(self._env, self._token_s * tokens, batch)
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
