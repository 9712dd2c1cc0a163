"""Least energy among the clocks at which a profile keeps the objectives, as DynamoLLM chooses."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import ClassVar, Literal

from cluster_sim.serving.frequency.observed import Known, ObservedReplica
from cluster_sim.serving.frequency.policy import Decider
from cluster_sim.serving.frequency.predicting import Margin, PredictingClock
from cluster_sim.serving.frequency.steady_state import Traffic, steady_state
from cluster_sim.units import Hertz, PositiveSeconds

_DUE = 1e-9
"""Difference below which a time counts as due [s]."""


class DynamoLlm(PredictingClock):
    """Clock with the least energy at which the profile of the replica keeps TTFT and TPOT.

    It is the innermost of the three loops of DynamoLLM (Stojkovic et al., HPCA 2025, arXiv
    2408.00741), which sets the clock of each instance about every 5 s. Its other loops change the
    numbers of instances and their tensor parallelism, which `autoscale` does in part. Profiles are
    the simulator's own step times and power; latencies under load follow from them by queueing
    formulas instead of measurements. Lengths of answers are known, as by a predictor without error.
    """

    needs: ClassVar[tuple[str, str]] = ("ttft", "tpot")

    policy: Literal["dynamo_llm"] = "dynamo_llm"
    spacing_hz: Hertz = 195e6
    """Distance between the clocks among which the policy chooses, rounded to whole steps of the
    device [Hz]. Default: about the 200 MHz of DynamoLLM's profiles."""
    margin: Margin = 0.2
    """Share of each objective that predictions must leave free. Default: 0.2, an estimate, because
    predictions are those of steady traffic."""
    period_s: PositiveSeconds = 5.0
    """Time between two choices of the clock [s]."""
    window_s: PositiveSeconds = 30.0
    """Time over which the rate of arrivals is averaged [s]; the rate of the last period holds if it
    is higher. It is an estimate."""
    watch_s: PositiveSeconds = 0.5
    """Time between two looks at the queue [s]. If prompts wait longer than the objective allows,
    the highest clock holds until the next choice. It is an estimate."""

    @property
    def decides_every_s(self) -> float:
        """Time between two decisions [s]."""
        return min(self.watch_s, self.period_s)

    def decider(self, known: Known) -> Decider:
        """Return the policy for one replica."""
        return _LeastEnergy(self, known)


class _LeastEnergy:
    """Clock with the least energy, by the traffic of one replica."""

    def __init__(self, policy: DynamoLlm, known: Known) -> None:
        self._policy, self._profile = policy, known.profile
        self._choices = policy.choices(known.profile.grid)
        limits, left = known.strictest, 1.0 - policy.margin
        self._ttft_s, self._tpot_s = limits.ttft_s * left, limits.tpot_s * left
        self._percentile = limits.percentile
        self._sent: list[tuple[int, int]] = []  # lengths of requests since the last decision
        self._recent: deque[tuple[float, int, int]] = deque()
        self._next_s = 0.0
        self._share = 1.0  # before any request is known

    def sent(self, prompt_tokens: int, output_tokens: int) -> None:
        """Record that a request of these lengths was sent to the replica."""
        self._sent.append((prompt_tokens, output_tokens))

    def decide(self, seen: ObservedReplica, now_s: float) -> float:
        """Return the clock from now on, as a share of the highest clock."""
        self._recent.extend((now_s, prompt, output) for prompt, output in self._sent)
        self._sent.clear()
        if now_s <= 0.0:
            self._next_s = self._policy.period_s
        elif now_s >= self._next_s - _DUE:
            self._next_s += self._policy.period_s
            self._share = self._least_energy(seen, now_s)
        elif self._share < 1.0 and self._is_late(seen, self._share):
            self._share = 1.0
        return self._share

    def _is_late(self, seen: ObservedReplica, clock: float) -> bool:
        """Return whether present requests miss an objective at a clock."""
        tokens = seen.pending_prompt_tokens
        if tokens and self._profile.prefill_s(tokens, clock) > self._ttft_s:
            return True
        sequences, context_tokens = seen.decoding
        return sequences > 0 and (
            self._profile.decode_s(sequences, context_tokens, clock) > self._tpot_s
        )

    def _least_energy(self, seen: ObservedReplica, now_s: float) -> float:
        """Return the clock with the least energy that keeps the objectives, else the highest."""
        traffic = self._traffic(now_s)
        best, least_w = 1.0, inf
        for clock in self._choices:
            state = steady_state(self._profile, traffic, clock, self._percentile)
            keeps = (
                state is not None
                and state.ttft_s <= self._ttft_s
                and state.tpot_s <= self._tpot_s
                and not self._is_late(seen, clock)
            )
            if keeps and state is not None and state.watts < least_w:
                best, least_w = clock, state.watts
        return best

    def _traffic(self, now_s: float) -> Traffic:
        """Return the present traffic: that of the window, or of the last period if it is more."""
        policy, recent = self._policy, self._recent
        while recent and recent[0][0] <= now_s - policy.window_s + _DUE:
            recent.popleft()
        if not recent:
            return Traffic(0.0, 0.0, 0.0, 0.0)
        last = sum(time_s > now_s - policy.period_s + _DUE for time_s, _, _ in recent)
        count, span_s = len(recent), min(policy.window_s, now_s)
        prompts = [prompt for _, prompt, _ in recent]
        return Traffic(
            max(count / span_s, last / policy.period_s),
            sum(prompts) / count,
            sum(prompt * prompt for prompt in prompts) / count,
            sum(output for _, _, output in recent) / count,
        )
