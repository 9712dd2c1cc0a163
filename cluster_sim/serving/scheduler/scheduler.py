"""Scheduler: interface between a replica and the scheduler of its steps."""

from __future__ import annotations

from collections.abc import Collection, Sized
from typing import Protocol

from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.scheduler.output import SchedulerOutput


class Scheduler(Protocol):
    """Interface of schedulers, which choose the requests of each engine step of one replica.

    The replica calls two methods in turn. `schedule` decides on the next step and on the number of
    equal steps that may follow; `work` and `output` describe the first of them until `advance`. The
    replica computes their duration and runs at least one of them; `advance` advances by the number
    of steps that were run. If `schedule` is called again before `advance`, it decides again, as if
    the first call had not been made.

    `expect` and `enqueue` add requests at any time; they do not change the scheduled steps.
    `unexpect` and `cancel` remove them again. `drain` removes all requests and ends the scheduler.

    Between any two steps the following holds. Taken plus free blocks equal the KV cache capacity.
    `pending_tokens` and `pending_prompt_tokens` are sums over the requests that are here or
    expected. Every request is in `waiting`, in `running`, was cancelled, or was returned by
    `advance` or `drain`. The cost of a method does not grow with the number of requests, except for
    `drain` and for `cancel`, which searches the queue.
    """

    work: StepWork
    """Counts of the first scheduled step; the scheduler owns the object and changes it in place."""
    output: SchedulerOutput
    """Decision of `schedule`; the scheduler owns the object and changes it in place."""
    stalls: list[tuple[Request, float]]
    """Gaps between two tokens that are longer than a step and ended in the last `advance` [s]. They
    are gaps of requests that were preempted, or whose KV cache was transferred from another
    replica."""

    @property
    def pending_tokens(self) -> int:
        """Number of tokens to be prefilled or generated, of all requests here or expected."""
        ...

    @property
    def pending_prompt_tokens(self) -> int:
        """Number of tokens to be prefilled, of all requests that are here or expected."""
        ...

    @property
    def waiting(self) -> Sized:
        """Requests that wait to be admitted."""
        ...

    @property
    def queued(self) -> int:
        """Number of requests that have arrived and are not in the batch."""
        ...

    @property
    def running(self) -> Collection[Request]:
        """Requests in the batch."""
        ...

    @property
    def longest(self) -> int:
        """Number of tokens of the longest request that can be served."""
        ...

    @property
    def kv_tokens(self) -> float:
        """Number of tokens in the cache when the scheduled steps begin."""
        ...

    @property
    def tokens_per_step(self) -> int:
        """Number of tokens by which each of several scheduled steps reduces `pending_tokens`."""
        ...

    def expect(self, request: Request) -> None:
        """Record that a request is on its way here."""
        ...

    def enqueue(self, request: Request) -> bool:
        """Add a request that has arrived; return whether it may be admitted in the next step.

        False is certain: the request cannot be admitted before the scheduled steps have ended.
        """
        ...

    def unexpect(self, request: Request) -> None:
        """Undo `expect`: a request that was on its way here will not arrive."""
        ...

    def cancel(self, request: Request) -> bool:
        """Remove a request without its remaining tokens; return whether it was here.

        A waiting request may be removed at any time, a running one only between `advance` and
        `schedule`. Its blocks and its batch slot become free, and its full blocks stay findable, as
        when a request finishes. `Request.generated` becomes the number of its tokens so far.

        vLLM removes aborted requests between two steps (`EngineCore._process_aborts_queue` in
        vllm/v1/engine/core.py and `finish_requests` in vllm/v1/core/sched/scheduler.py, release
        0.22). SGLang removes waiting ones between two steps; running ones take part in one more
        step, which is left out here (`abort_request` in srt/managers/scheduler.py, release 0.5).
        """
        ...

    def schedule(self, now_s: float, max_steps: int) -> SchedulerOutput:
        """Decide on the next step, and on the number of equal steps that may follow.

        Parameters
        ----------
        now_s
            Time at which the step begins [s].
        max_steps
            Maximum number of steps.
        """
        ...

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Advance by scheduled steps; return the requests that finished.

        Parameters
        ----------
        steps
            Number of scheduled steps that were run.
        now_s
            Time at which the last of these steps ended [s].
        """
        ...

    def drain(self, last_token_s: float) -> list[Request]:
        """Remove and return all requests, running requests first; their KV cache is lost.

        The scheduler is not used afterwards.

        Parameters
        ----------
        last_token_s
            Time at which the last step ended and decoding requests received a token [s].
        """
        ...

    def kv_share(self, steps: int) -> float:
        """Return the KV cache usage, promised blocks included, after this number of steps."""
        ...

    def blocks_taken(self) -> int:
        """Return the number of KV cache blocks taken or promised between two steps."""
        ...
