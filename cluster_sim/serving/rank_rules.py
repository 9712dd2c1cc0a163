"""Rules by which an engine sends requests to its attention data-parallel ranks.

Each rank has a scheduler, a KV cache and batch slots of its own; a request stays on its rank. The
rules are those of engines:

* vLLM counts 4 x waiting + running requests per rank and takes the lowest
  (vllm/v1/engine/core_client.py, `DPLBAsyncMPClient.get_core_engine_for_request`, 0.11 to 0.26).
* SGLang has `--load-balance-method`: round_robin, total_requests (formerly shortest_queue) and
  total_tokens (formerly minimum_tokens); srt/managers/data_parallel_controller.py, 0.5. Prefill
  servers go by the random number of the bootstrap room, which fixed turns stand for.
* TensorRT-LLM keeps requests in one queue until a rank has a batch slot, and then takes the rank
  with the fewest prompt tokens among those with fewer requests than an even share
  (_torch/pyexecutor/executor_request_queue.py, `_balance_requests_across_ranks`, 1.1).

The counts are exact here. vLLM's API servers learn them every 100 ms and add what they have sent
meanwhile; SGLang's controller does the same. SGLang counts the tokens in the KV cache; here tokens
are those of the prompts, as in TensorRT-LLM. TensorRT-LLM sorts the requests of one iteration by
length, longest first; here each is placed when it arrives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

LoadBalanceMethod = Literal[
    "round_robin", "total_requests", "total_tokens", "waiting_and_running", "active_tokens"
]


class RankLoads:
    """Loads of the ranks of one replica: requests that are there, waiting or promised.

    Parameters
    ----------
    ranks
        Number of ranks.
    max_sequences
        Number of batch slots of one rank.
    """

    __slots__ = ("max_sequences", "requests", "running", "tokens")

    def __init__(self, ranks: int, max_sequences: int) -> None:
        self.max_sequences = max_sequences
        self.requests = [0] * ranks
        """Number of requests of each rank."""
        self.tokens = [0] * ranks
        """Number of prompt tokens of these requests, of each rank."""
        self.running: Sequence[int] = [0] * ranks
        """Number of requests in the batch of each rank, when the last step was scheduled."""

    def add(self, rank: int, prompt_tokens: int) -> None:
        """Count a new request of a rank."""
        self.requests[rank] += 1
        self.tokens[rank] += prompt_tokens

    def remove(self, rank: int, prompt_tokens: int) -> None:
        """Count a request no longer that has left a rank."""
        self.requests[rank] -= 1
        self.tokens[rank] -= prompt_tokens


class RankRule(ABC):
    """Base of the rules: the rank with the lowest key is chosen, the first of equal ones."""

    waits_for_slot: ClassVar[bool] = False
    """Whether a request stays in a queue of the replica until a rank has a free batch slot."""

    @abstractmethod
    def keys(self, loads: RankLoads) -> Sequence[Any]:
        """Return a number or a tuple of numbers of each rank, by which ranks are sorted."""

    def first(self, loads: RankLoads) -> int:
        """Return the rank of a new request."""
        keys = self.keys(loads)
        return keys.index(min(keys))

    def order(self, loads: RankLoads) -> list[int]:
        """Return the ranks in the order in which they are tried for a new request."""
        keys = self.keys(loads)
        return sorted(range(len(keys)), key=keys.__getitem__)

    def chose(self, rank: int) -> None:  # noqa: B027 - most rules remember nothing
        """Record that a request was sent to a rank."""


class RoundRobin(RankRule):
    """Ranks in fixed turns."""

    def __init__(self) -> None:
        self._next = 0

    def keys(self, loads: RankLoads) -> Sequence[int]:
        """Return the number of turns until each rank has its turn."""
        ranks = len(loads.requests)
        return [(rank - self._next) % ranks for rank in range(ranks)]

    def chose(self, rank: int) -> None:
        """Let the next rank have its turn."""
        self._next = rank + 1


class TotalRequests(RankRule):
    """Rank with the fewest requests."""

    def keys(self, loads: RankLoads) -> Sequence[int]:
        """Return the number of requests of each rank."""
        return loads.requests


class TotalTokens(RankRule):
    """Rank with the fewest prompt tokens, then the fewest requests."""

    def keys(self, loads: RankLoads) -> Sequence[tuple[int, int]]:
        """Return the tokens and requests of each rank."""
        return list(zip(loads.tokens, loads.requests, strict=True))


class WaitingAndRunning(RankRule):
    """Rank with the lowest sum of running requests and four times its waiting requests."""

    def keys(self, loads: RankLoads) -> Sequence[int]:
        """Return the weighted number of requests of each rank."""
        pairs = zip(loads.requests, loads.running, strict=True)
        return [4 * requests - 3 * running for requests, running in pairs]


class ActiveTokens(RankRule):
    """Rank with the fewest prompt tokens among those with fewer requests than an even share."""

    waits_for_slot: ClassVar[bool] = True

    def keys(self, loads: RankLoads) -> Sequence[tuple[bool, int, int]]:
        """Return whether each rank has its share of the requests, and its tokens and requests."""
        requests = loads.requests
        share = max(-(-(sum(requests) + 1) // len(requests)), *requests)
        return [
            (count >= share, tokens, count)
            for tokens, count in zip(loads.tokens, requests, strict=True)
        ]


RANK_RULES: dict[LoadBalanceMethod, type[RankRule]] = {
    "round_robin": RoundRobin,
    "total_requests": TotalRequests,
    "total_tokens": TotalTokens,
    "waiting_and_running": WaitingAndRunning,
    "active_tokens": ActiveTokens,
}
"""Rules by the name of `load_balance_method`."""
