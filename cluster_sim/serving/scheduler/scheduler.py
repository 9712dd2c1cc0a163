"""Scheduler: what a replica asks of whatever decides on its steps."""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol

from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.scheduler.output import SchedulerOutput


class Scheduler(Protocol):
    """Decides which requests each engine step of one replica works on.

    The replica calls in turns. `schedule` decides on the next step and on how many like it may
    follow; `work` and `output` describe the first of them until `advance`. The replica finds out
    how long they take, lets some of them run, at least one, and `advance` moves on by as many.
    `schedule` may be called again instead: it decides anew, as if it had not been called before.

    In between, `expect` and `enqueue` bring requests in at any time; they change nothing in the
    scheduled steps. `drain` takes all requests out, and ends the scheduler.

    Between any two steps these hold: blocks taken and blocks free make up the KV cache;
    `pending_tokens` and `pending_prompt_tokens` are sums over the requests that are here or
    expected; every request is in `waiting`, in `running`, or was returned by `advance` or `drain`.
    No method costs time that grows with the number of requests, `drain` aside.
    """

    work: StepWork
    """Counts of the first of the scheduled steps; the scheduler owns it and changes it in place."""
    output: SchedulerOutput
    """What was decided; the scheduler owns it and changes it in place."""
    stalls: list[tuple[Request, float]]
    """Gaps between two tokens, longer than a step, that ended in the last `advance` [s]: those of
    requests that had been preempted, or whose KV cache came from another replica."""
    pending_tokens: int
    """Number of tokens still to be prefilled or generated, of all requests here or expected."""
    pending_prompt_tokens: int
    """Number of those that are still to be prefilled."""

    @property
    def waiting(self) -> Sized:
        """Requests that wait to be admitted."""
        ...

    @property
    def running(self) -> Sized:
        """Requests in the batch."""
        ...

    @property
    def longest(self) -> int:
        """Number of tokens of the largest request that could be served."""
        ...

    @property
    def kv_tokens(self) -> float:
        """Number of tokens in the cache as the scheduled steps begin."""
        ...

    @property
    def tokens_per_step(self) -> int:
        """Number by which each of several scheduled steps lowers `pending_tokens`."""
        ...

    def expect(self, request: Request) -> None:
        """Take note that a request is on its way here."""
        ...

    def enqueue(self, request: Request) -> bool:
        """Add a request that has arrived; return whether it may be admitted in the next step.

        False is certain: then nothing changes before the scheduled steps have ended.
        """
        ...

    def schedule(self, now_s: float, max_steps: int) -> SchedulerOutput:
        """Decide on the next step, and on how many steps like it may follow, at most `max_steps`.

        now_s: time at which the step begins [s].
        """
        ...

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Move on by `steps` of the scheduled steps, which end at `now_s`.

        Returns the requests that finished.
        """
        ...

    def drain(self, last_token_s: float) -> list[Request]:
        """Take out all requests, those that run first; their KV cache is lost.

        last_token_s: time at which the last step ended, and those that decode got a token [s].

        Nothing is scheduled here any more.
        """
        ...

    def kv_share(self, steps: int) -> float:
        """Return the share of the KV cache that is taken or promised after so many steps."""
        ...

    def blocks_taken(self) -> int:
        """Return the blocks of the KV cache that are taken or promised between two steps."""
        ...
