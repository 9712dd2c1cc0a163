"""What each session will ask: drawn before it starts, whatever becomes of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import NamedTuple

import numpy as np

from cluster_sim.workload.sessions.description import Sessions
from cluster_sim.workload.streams import stream
from cluster_sim.workload.traces import Recorded
from cluster_sim.workload.traces.rows import Pieces

SHARED = 1
"""The identity of what every session begins with."""


class Turn(NamedTuple):
    """One request of a session."""

    gap_s: float
    """From the answer to the request before; 0 for the first."""
    prompt_tokens: int
    output_tokens: int
    pieces: Pieces
    output_piece: int | None
    of_user: bool
    """Whether a user sends it, or a tool."""


def scripts(sessions: Sessions, seed: int) -> Iterator[Iterator[Turn]]:
    """The turns of the first session, of the second, and so on without end.

    Raises ScenarioError where recorded sessions are malformed.
    """
    if sessions.trace is not None:
        for time_round in count():  # in every round through the records they are other people's: identities are moved apart
            for recorded in islice(sessions.trace.sessions(), sessions.trace.limit):
                yield _recorded(recorded, time_round << 96)
    for number in count():
        yield _drawn(sessions, stream(seed, f"session {number}"), number)


def _recorded(recorded: Recorded, moved: int) -> Iterator[Turn]:
    for step in recorded.steps:
        pieces = tuple((identity + moved, length) for identity, length in step.pieces) if moved else step.pieces
        yield Turn(step.gap_s, step.prompt_tokens, step.output_tokens, pieces, None, True)


def _drawn(sessions: Sessions, rng: np.random.Generator, number: int) -> Iterator[Turn]:
    """All draws of the session at once, in a fixed order; contexts as its turns are asked for."""
    of_user, gaps_s, fresh, outputs, compacted = _draws(sessions, rng)
    identity = count((number + 1) << 32)
    shared = sessions.shared_tokens
    start: Pieces = ((SHARED, shared),) if shared else ()
    pieces, context = start, shared
    window = sessions.window_tokens if sessions.window_tokens is not None else 1 << 62
    above = sessions.compaction.above_tokens if sessions.compaction is not None else window - 1
    for user, gap_s, new, output in zip(of_user.tolist(), gaps_s.tolist(), fresh.tolist(), outputs.tolist(), strict=True):
        if context + new > above:
            if sessions.compaction is None:
                return
            # a summary in place of the conversation: only what all sessions share is the same as before
            pieces, context = start, max(next(compacted) - new, shared)
            if context > shared:
                pieces = (*pieces, (next(identity), context - shared))
        prompt = context + new
        if prompt >= window:
            return
        answer = min(output, window - prompt)
        pieces = (*pieces, (next(identity), new))
        output_piece = next(identity)
        yield Turn(gap_s, prompt, answer, pieces, output_piece, user)
        pieces = (*pieces, (output_piece, answer))
        context = prompt + answer


def _draws(sessions: Sessions, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Iterator[int]]:
    """Of each step: whether a user sends it, the gap before it [s], fresh tokens, answer; and lengths of contexts after compactions."""
    assert sessions.turns is not None and sessions.first_tokens is not None and sessions.user_tokens is not None
    assert sessions.output_tokens is not None and sessions.user_gap is not None
    turns = int(sessions.turns.draw(rng, 1)[0])
    tools = sessions.tool_steps.draw(rng, turns) if sessions.tool_steps is not None else np.zeros(turns, dtype=np.int64)
    steps = turns + int(np.sum(tools))
    of_user = np.zeros(steps, dtype=bool)
    of_user[np.concatenate([[0], np.cumsum(1 + tools[:-1])])] = True
    fresh, gaps_s = np.zeros(steps, dtype=np.int64), np.zeros(steps)
    fresh[of_user] = np.concatenate([sessions.first_tokens.draw(rng, 1), sessions.user_tokens.draw(rng, turns - 1)])
    gaps_s[of_user] = np.concatenate([[0.0], sessions.user_gap.draw(rng, turns - 1)])
    if sessions.tool_tokens is not None and sessions.tool_gap is not None:
        fresh[~of_user] = sessions.tool_tokens.draw(rng, steps - turns)
        gaps_s[~of_user] = sessions.tool_gap.draw(rng, steps - turns)
    outputs = sessions.output_tokens.draw(rng, steps)
    if (sigma := sessions.output_sigma) > 0.0:
        outputs = np.maximum(np.rint(outputs * np.exp(sigma * rng.standard_normal() - 0.5 * sigma**2)), 1.0).astype(np.int64)

    def compacted() -> Iterator[int]:
        while sessions.compaction is not None:
            yield from sessions.compaction.to_tokens.draw(rng, 16).tolist()

    return of_user, gaps_s, fresh, outputs, compacted()
