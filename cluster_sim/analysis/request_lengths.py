"""Lengths of a workload's requests, and their moments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.sessions import replayed_scripts, scripts

SAMPLE = 20_000
"""Number of requests whose lengths are read."""
_GROUPS = 100
"""Maximum number of groups of prompts."""


@dataclass(frozen=True)
class LengthMoments:
    """Moments of the lengths of requests."""

    prompt_tokens: float
    """Mean length of a prompt [tokens]."""
    output_tokens: float
    """Mean length of an answer [tokens]."""
    pairs: float
    """Mean number of (query, key) pairs of a prompt."""
    context: float
    """Mean tokens in the cache of a decoding request, averaged over all decode steps [tokens]. Long
    answers have more steps."""
    longest: float
    """Mean tokens of prompt and longest answer of a decoding request, averaged over all decode
    steps [tokens]. The longest answer is the client's limit, or the answer itself."""
    prompts: NDArray[np.float64]
    """Length of each prompt, in order of arrival [tokens]."""
    is_constant: bool
    """Whether all answers have equal lengths. Requests that are admitted in one step then also
    finish in one step, indefinitely."""
    outputs: NDArray[np.float64]
    """Length of each answer, in order of arrival [tokens]."""

    def longest_of(self, requests: int) -> tuple[float, float]:
        """Return the mean (prompt, output) tokens of the longest of a number of requests."""
        groups = max(len(self.prompts) // requests, 1)
        prompt, output = (
            float(np.mean([np.max(part) for part in np.array_split(tokens, groups)]))
            for tokens in (self.prompts, self.outputs)
        )
        return prompt, output

    def limited_share(self, view: LimitedView) -> float:
        """Return the share of query-key pairs that are read in a limited view; 0 without one."""
        if not view.tokens:
            return 0.0
        prompts, counts = np.unique(np.round(self.prompts).astype(int), return_counts=True)
        pairs = np.array([view.pairs(int(prompt), 0) for prompt in prompts], dtype=float)
        return float(np.sum(counts * pairs) / np.sum(counts * prompts * (prompts + 1.0) / 2.0))

    def prompts_together(self, count: float) -> Iterator[tuple[float, float]]:
        """Yield (tokens, pairs) of `count` prompts in one step, for some such steps.

        The length of a step is not linear in them, so their mean is not enough.
        """
        if count != round(count) or not 1 <= count <= len(self.prompts):
            yield count * self.prompt_tokens, count * self.pairs
            return
        together = round(count)
        last = min(len(self.prompts) - together + 1, _GROUPS * together)
        for first in range(0, last, together):
            prompts = self.prompts[first : first + together]
            yield float(np.sum(prompts)), float(np.sum(prompts * (prompts + 1) / 2))


def sampled_lengths(scenario: Scenario) -> LengthMoments:
    """Return the moments of the first requests of the workload.

    Raises ScenarioError if a trace is malformed.
    """
    prompt, output = np.array(list(islice(_lengths(scenario), SAMPLE)), dtype=float).T
    if scenario.workload.shared_prefix is not None:
        prompt += scenario.workload.shared_prefix.tokens
    decode_steps = output - 1
    total_steps = float(np.sum(decode_steps))
    limit = scenario.workload.max_output_tokens or 0
    limits = np.minimum(limit, scenario.model.max_context - prompt)
    weights = decode_steps if total_steps else np.ones_like(output)
    context = float(np.average(prompt + (output / 2 if total_steps else 0.0), weights=weights))
    longest = float(np.average(prompt + np.maximum(output, limits), weights=weights))
    return LengthMoments(
        prompt_tokens=float(np.mean(prompt)),
        output_tokens=float(np.mean(output)),
        pairs=float(np.mean(prompt * (prompt + 1) / 2)),
        context=context,
        longest=longest,
        prompts=prompt,
        is_constant=bool(np.ptp(output) == 0),
        outputs=output,
    )


def _lengths(scenario: Scenario) -> Iterator[tuple[int, int]]:
    """Yield the (prompt, output) tokens of the requests of the workload."""
    workload, seed = scenario.workload, scenario.seed
    if workload.trace is not None and workload.trace.replays_sessions:
        return (
            (turn.prompt_tokens, turn.output_tokens)
            for session in replayed_scripts(workload.trace.replayed_sessions(seed))
            for turn in session
        )
    if workload.trace is not None:
        return ((prompt, output) for _, prompt, output, _ in workload.trace.rows(seed))
    if workload.sessions is not None:
        return (
            (turn.prompt_tokens, turn.output_tokens)
            for session in scripts(workload.sessions, seed)
            for turn in session
        )
    return workload.lengths(seed)
