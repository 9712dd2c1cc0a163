"""RankBalance: new requests are held back until every attention data-parallel rank has one."""

from __future__ import annotations

from math import ceil

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.batch_wait import BatchWait, InDecode


class RankBalance(BatchWait):
    """Rule that holds new requests back so that all data-parallel ranks prefill together.

    It is the rule of TensorRT-LLM with `attention_dp_config: {enable_balance: true}` (1.0 to 1.2,
    `_torch/pyexecutor/py_executor.py` _balance_adp_requests). Prompts start when every rank has one,
    and `batching_wait` steps later if every rank also decodes. Otherwise they start in every
    `max_steps`-th step without prefill, whose count runs on while nobody waits, and at once while
    some rank has nothing to decode.

    Requests of one replica are not assigned to ranks here. A new request replaces one that ended,
    at any of the ranks with equal chance, so all of N ranks have one after N (1 + 1/2 + ... + 1/N)
    requests on average (the coupon collector's problem).

    Examples
    --------
    >>> RankBalance(60, 8, 0).requests
    22
    """

    __slots__ = (
        "_batched",
        "_batching_wait",
        "_has_prefilled",
        "_is_batching",
        "_ranks",
        "_waiting",
        "requests",
    )

    def __init__(self, max_steps: int, ranks: int, batching_wait: int) -> None:
        super().__init__(max_steps, 0.0)
        self._ranks, self._batching_wait = ranks, batching_wait
        self.requests = ceil(ranks * sum(1.0 / rank for rank in range(1, ranks + 1)))
        """Number of waiting requests with which every rank has one."""
        self._waiting = 0  # number of waiting requests
        self._batched = 0  # number of steps held back although every rank has a request
        self._has_prefilled = False  # whether the scheduled steps prefill
        self._is_batching = False  # whether they hold requests back although every rank has one

    def add(self, request: Request) -> None:
        """Record that a request waits."""
        self._waiting += 1

    def remove(self, request: Request) -> None:
        """Record that a request no longer waits."""
        self._waiting -= 1

    def _is_too_small(self, decode: InDecode) -> bool:
        """Return whether some rank has no new request while all of them decode."""
        return decode.sequences >= self._ranks and self._waiting < self.requests

    def steps_to_hold(self, decode: InDecode) -> int:
        """Return the number of steps for which new requests are held back from now on, or 0."""
        if decode.sequences < self._ranks:
            steps = 0
        elif self._is_too_small(decode):
            steps = self._max_steps - 1 - self._waited
        else:
            steps = self._batching_wait - self._batched
        self._is_holding = steps > 0
        self._is_batching = self._is_holding and self._waiting >= self.requests
        return max(steps, 0)

    def stop_holding(self) -> None:
        """Let the scheduled steps hold no request back."""
        super().stop_holding()
        self._has_prefilled = self._is_batching = False

    def prefilled(self) -> None:
        """Restart the counts, since the scheduled step prefills."""
        self._waited = self._batched = 0
        self._has_prefilled = True

    def advance(self, steps: int) -> None:
        """Advance by `steps` of the scheduled steps."""
        if self._has_prefilled:
            return
        if self._is_batching:
            self._batched += steps
        else:
            self._waited = (self._waited + steps) % self._max_steps
