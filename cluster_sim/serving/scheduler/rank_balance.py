"""RankBalance: new requests are held back until every attention data-parallel rank has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.batch_wait import BatchWait, InDecode


class RankState(Protocol):
    """State of one rank between two steps."""

    @property
    def has_prompt(self) -> bool:
        """Whether a prompt could be prefilled in the next step."""
        ...

    @property
    def decoding(self) -> int:
        """Number of decoding requests."""
        ...


class RankWait(BatchWait):
    """Wait of one rank: it holds new requests back for as long as all ranks do."""

    __slots__ = ("_balance",)

    def __init__(self, balance: RankBalance) -> None:
        super().__init__(0, 0.0)
        self._balance = balance

    def add(self, request: Request) -> None:
        """Record that a request waits."""

    def remove(self, request: Request) -> None:
        """Record that a request no longer waits."""

    def changes_with(self, request: Request, decode: InDecode) -> bool:
        """Return that holding back may end with a request: its rank may be the last without one."""
        return True

    def steps_to_hold(self, decode: InDecode) -> int:
        """Return the number of steps for which new requests are held back from now on, or 0."""
        return self._balance.holding

    def stop_holding(self) -> None:
        """Do nothing: all ranks decide together."""

    def prefilled(self) -> None:
        """Restart the counts of all ranks, since the scheduled step prefills."""
        self._balance.prefilled()

    def advance(self, steps: int) -> None:
        """Do nothing: the steps of all ranks are counted together."""


class RankBalance:
    """Rule that holds new requests back so that all data-parallel ranks prefill together.

    It is the rule of TensorRT-LLM with `attention_dp_config: {enable_balance: true}` (1.0 to 1.2,
    `_torch/pyexecutor/py_executor.py` _balance_adp_requests). Prompts start when every rank has one,
    and `batching_wait` steps later if every rank also decodes. Otherwise they start in every
    `max_steps`-th step without prefill, whose count runs on while nobody waits, and at once while
    some rank has nothing to decode. A prompt that is partly prefilled goes on; there it waits too.

    Parameters
    ----------
    max_steps
        Number of the step without prefill in which prompts start.
    batching_wait
        Number of steps for which prompts wait although every rank has one.
    """

    __slots__ = (
        "_batched",
        "_batching_wait",
        "_has_prefilled",
        "_is_batching",
        "_max_steps",
        "_ranks",
        "_waited",
        "holding",
    )

    def __init__(self, max_steps: int, batching_wait: int) -> None:
        self._max_steps, self._batching_wait = max_steps, batching_wait
        self._ranks: Sequence[RankState] = ()
        self.holding = 0
        """Number of steps for which new requests are held back from now on."""
        self._waited = 0  # number of steps without prefill, up to `max_steps`
        self._batched = 0  # number of steps held back although every rank has a request
        self._has_prefilled = False  # whether the scheduled steps prefill
        self._is_batching = False  # whether they hold requests back although every rank has one

    def watch(self, ranks: Sequence[RankState]) -> None:
        """Set the ranks that the rule is for."""
        self._ranks = ranks

    def decide(self) -> None:
        """Decide for how many steps new requests are held back from now on."""
        ranks = self._ranks
        self._has_prefilled = self._is_batching = False
        if not all(rank.decoding for rank in ranks):
            self.holding = 0
        elif not all(rank.has_prompt for rank in ranks):
            self.holding = self._max_steps - 1 - self._waited
        else:
            self.holding = max(self._batching_wait - self._batched, 0)
            self._is_batching = self.holding > 0

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
