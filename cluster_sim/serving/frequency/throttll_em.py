"""Lowest clock at which all admitted requests are predicted to keep TBT and E2E: throttLL'eM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

from cluster_sim.serving.frequency.observed import Known, ObservedReplica, Remaining
from cluster_sim.serving.frequency.policy import Decider
from cluster_sim.serving.frequency.predicting import PredictingClock
from cluster_sim.units import PositiveSeconds, Seconds

_SEGMENTS = 12
"""Maximum number of parts of the projection. The batch is constant in each, at its first size,
which is an upper bound."""


class ThrottllEm(PredictingClock):
    """Lowest clock at which every iteration keeps TBT and every admitted request its deadline.

    The batch and the KV cache of coming iterations are projected from the remaining answers of the
    requests in the batch; a profile gives the time of each iteration, and a binary search the
    lowest clock (Kakolyris et al., throttLL'eM, HPCA 2025, arXiv 2408.05235). If a request misses
    its deadline at the highest clock, that clock holds. The limit of the time between tokens is
    `tpot` of the `slo`, and deadlines follow from `e2el`, or else from `ttft` and `tpot`. Lengths
    of answers are known, as with the paper's oracle. The time to first token is not held; prompts
    that wait delay the projection. The paper's admission control and its autoscaling are apart.
    """

    needs: ClassVar[tuple[str, str]] = ("tpot", "e2el")

    policy: Literal["throttll_em"] = "throttll_em"
    delay_s: Seconds = 0.2
    """Time from a decision until the devices run at the new clock [s]. Default: 200 ms, as the
    paper reports. The clock changes between two steps."""
    period_s: PositiveSeconds = 0.2
    """Time between two decisions [s]. Default: 200 ms, because a change of the clock takes as
    long."""

    @property
    def decides_every_s(self) -> float:
        """Time between two decisions [s]."""
        return self.period_s

    def decider(self, known: Known) -> Decider:
        """Return the policy for one replica."""
        return _LowestClock(self, known)


class _Segment(NamedTuple):
    """Iterations with one batch."""

    steps: int
    sequences: int
    first_context: float
    """Number of tokens in the KV cache at the first iteration."""
    last_context: float
    deadline_s: float
    """Time at which the requests that finish with the last iteration are due [s]."""


class _LowestClock:
    """Lowest clock by the requests in the batch of one replica."""

    def __init__(self, policy: ThrottllEm, known: Known) -> None:
        self._profile, self._objectives = known.profile, known.objectives
        self._choices = policy.choices(known.profile.grid)
        self._left = 1.0 - policy.margin
        self._step_s = known.strictest.tpot_s * self._left

    def sent(self, prompt_tokens: int, output_tokens: int) -> None:
        """Forget the request, since only requests in the batch count."""

    def decide(self, seen: ObservedReplica, now_s: float) -> float:
        """Return the lowest clock that keeps the objectives, else the highest."""
        segments = self._projection(seen.remaining())
        waiting_tokens = seen.pending_prompt_tokens
        if self._keeps(segments, waiting_tokens, now_s, self._choices[0]):
            return self._choices[0]
        low, high = 1, len(self._choices) - 1
        while low < high:
            middle = (low + high) // 2
            if self._keeps(segments, waiting_tokens, now_s, self._choices[middle]):
                high = middle
            else:
                low = middle + 1
        return self._choices[low]

    def _projection(self, remaining: Sequence[Remaining]) -> list[_Segment]:
        """Return the coming iterations, if no other request is admitted."""
        rest = sorted(remaining, key=lambda each: each.tokens)
        size, segments, done = -(-len(rest) // _SEGMENTS), list[_Segment](), 0
        for first in range(0, len(rest), size or 1):
            leaving, staying = rest[first : first + size], rest[first:]
            steps = leaving[-1].tokens - done
            if steps:
                context = sum(each.context_tokens for each in staying) + len(staying) * done
                due_s = min(self._deadline_s(each) for each in leaving)
                last = context + len(staying) * steps
                segments.append(_Segment(steps, len(staying), context, last, due_s))
                done += steps
        return segments

    def _deadline_s(self, rest: Remaining) -> float:
        request = rest.request
        limit = self._objectives[min(request.class_number, len(self._objectives) - 1)]
        return request.arrival_s + (limit.deadline_s(request) - request.arrival_s) * self._left

    def _keeps(
        self, segments: Sequence[_Segment], waiting_tokens: int, now_s: float, clock: float
    ) -> bool:
        """Return whether the projection keeps all objectives at a clock."""
        profile, at_s = self._profile, now_s
        if waiting_tokens:
            at_s += profile.prefill_s(waiting_tokens, clock)
        for steps, sequences, first_context, last_context, deadline_s in segments:
            last_s = profile.decode_s(sequences, last_context, clock)
            if last_s > self._step_s:
                return False
            first_s = profile.decode_s(sequences, first_context, clock)
            at_s += 0.5 * steps * (first_s + last_s)
            if at_s > deadline_s:
                return False
        return True
