"""The preset `coding-agent-2026` beside what TraceLab v0.0.2 publishes of Claude Code.

The figures are those of `../shared/design/hardware_2026.md`, section 7. Tolerances are about three
standard errors of 6,000 sessions where they are not said to be a miss.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import numpy as np
import pytest
from pytest import approx

from cluster_sim.workload.sessions import Sessions, scripts

SHARED_TOKENS = 14_300


class Drawn(NamedTuple):
    """Steps of many sessions as columns."""

    prompt: np.ndarray
    output: np.ndarray
    appended: np.ndarray
    """What a prompt has beyond the prompt before: all of it after a compaction, but for what all
    sessions share."""
    gap_s: np.ndarray
    of_user: np.ndarray
    requests: np.ndarray
    """Number of the user's requests of each session."""
    compacted: int
    """Number of sessions that were compacted."""

    def prefix(self, kept_s: float) -> np.ndarray:
        """What a cache finds of each prompt that keeps KV for so long after an answer [tokens]."""
        return np.where(self.gap_s <= kept_s, self.prompt - self.appended, SHARED_TOKENS)


def drawn(preset: str, count: int = 6000) -> Drawn:
    sessions = Sessions.model_validate({"preset": preset, "concurrency": 1})
    prompt, output, appended, gap_s, of_user, requests = [], [], [], [], [], []
    compacted = 0
    for script in islice(scripts(sessions, 3), count):
        before, was_compacted, users = 0, False, 0
        for turn in script:
            is_fresh = turn.prompt_tokens < before or not before
            was_compacted |= turn.prompt_tokens < before
            appended.append(turn.prompt_tokens - (sessions.shared_tokens if is_fresh else before))
            prompt.append(turn.prompt_tokens)
            output.append(turn.output_tokens)
            gap_s.append(turn.gap_s)
            of_user.append(turn.of_user)
            users += turn.of_user
            before = turn.prompt_tokens
        requests.append(users)
        compacted += was_compacted
    return Drawn(
        np.array(prompt),
        np.array(output),
        np.array(appended),
        np.array(gap_s),
        np.array(of_user),
        np.array(requests),
        compacted,
    )


@pytest.mark.slow
def test_the_preset_of_2026_is_as_the_recorded_sessions() -> None:
    steps = drawn("coding-agent-2026")
    prefix, later = steps.prefix(300.0), steps.gap_s > 0.0
    assert np.median(prefix) == approx(126_000, rel=0.1)
    assert np.percentile(prefix, 99) == approx(918_000, rel=0.08)
    assert np.median(steps.appended) == approx(857, rel=0.02)
    grows = later & (steps.appended < steps.prompt - SHARED_TOKENS)
    assert 1700 <= np.mean(steps.appended[grows]) <= 1800
    assert np.median(steps.output) == approx(252, rel=0.02)
    assert np.percentile(steps.output, 90) < 1700
    # Human wait and tool time.
    user_s, tool_s = steps.gap_s[steps.of_user & later], steps.gap_s[~steps.of_user]
    assert np.median(user_s) == approx(86, rel=0.05)
    assert np.percentile(user_s, 90) == approx(21 * 60, rel=0.08)
    assert np.percentile(user_s, 99) == approx(14 * 3600, rel=0.15)
    assert np.mean(user_s <= 300) == approx(0.796, abs=0.01)
    assert np.mean(user_s <= 3600) == approx(0.964, abs=0.005)
    assert np.median(tool_s) == approx(0.3, rel=0.03)
    assert np.percentile(tool_s, 90) == approx(13.6, rel=0.06)
    assert np.mean(tool_s) == approx(16.8, rel=0.03)
    # What a cache finds: with the lifetime of the provider's, and by lifetime.
    for kept_s, published in ((60.0, 0.854), (300.0, 0.94), (300.0, 0.958), (3600.0, 0.986)):
        share = float(np.sum(steps.prefix(kept_s)) / np.sum(steps.prompt))
        assert share == approx(published, abs=0.04 if kept_s == 60.0 else 0.02)
    # Sessions; the last two are misses that the file tells.
    assert len(steps.prompt) / np.sum(steps.requests) == approx(8, rel=0.05)
    assert np.mean(steps.requests) == approx(9.2, rel=0.06)
    assert 60 <= np.percentile(steps.requests, 99) <= 80  # published 137
    assert steps.compacted / len(steps.requests) == approx(0.013, abs=0.005)  # published 0.045


@pytest.mark.slow
def test_prompts_of_2026_are_three_times_as_long_as_those_of_codex_spark() -> None:
    new, fast, old = (
        drawn(name).prompt for name in ("coding-agent-2026", "codex-spark", "coding-agent")
    )
    assert np.mean(new) / np.mean(fast) == approx(3.3, abs=0.2)
    assert np.median(new) / np.median(fast) == approx(2.2, abs=0.2)
    assert np.mean(new) / np.mean(old) == approx(1.7, abs=0.15)
    assert np.median(new) / np.median(old) == approx(1.14, abs=0.12)
    assert np.percentile(new, 99) / np.percentile(old, 99) == approx(3.6, abs=0.3)


def test_sessions_of_2026_stay_in_a_window_of_a_million() -> None:
    sessions = Sessions.model_validate({"preset": "coding-agent-2026", "concurrency": 1})
    assert sessions.longest == 1_000_000
    asked = [turn for script in islice(scripts(sessions, 3), 300) for turn in script]
    assert max(turn.prompt_tokens for turn in asked) <= 950_000
