"""Requests of each session, which are drawn before the session starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple

import numpy as np

from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.sessions.description import Sessions
from cluster_sim.workload.traces import RecordedSession, Tally, Trace
from cluster_sim.workload.traces.rows import Pieces

AT_A_TIME = 64
"""Number of sessions that are drawn together."""
SHARED = 1
"""Identity of the text at the beginning of every session."""


class Turn(NamedTuple):
    """One request of a session."""

    gap_s: float
    """Time from the answer to the previous request until this request; 0 for the first [s]."""
    prompt_tokens: int
    """Length of the prompt [tokens]."""
    output_tokens: int
    """Length of the answer [tokens]."""
    history: Sequence[tuple[int, int]]
    """Pieces of the session's context from its beginning; the sequence grows with later turns."""
    known: int
    """Number of pieces of `history` that belong to this prompt."""
    output_piece: int | None
    """Identity of the answer as a piece of later prompts; None if no later prompt contains it."""
    of_user: bool
    """Whether a user sends the request, rather than a tool."""
    due_s: float = 0.0
    """Earliest time after the session's start; 0 if only the previous answer decides [s]."""

    @property
    def pieces(self) -> Pieces:
        """Pieces of the prompt, see `Request.pieces`.

        The tuple is built at each access, since the pieces of a long session need much memory.
        """
        return tuple(self.history[: self.known])


_MAX_KEPT_STEPS = 10_000
"""Maximum number of steps of recorded sessions that are kept in memory."""


def scripts(sessions: Sessions, seed: int, tally: Tally | None = None) -> Iterator[Iterator[Turn]]:
    """Yield the turns of each session, indefinitely.

    Parameters
    ----------
    sessions
        Description of the sessions: random ones, or a trace.
    seed
        Seed of the scenario.
    tally
        Counter of the omitted rows of recorded sessions; each row is counted once.

    Raises
    ------
    ScenarioError
        If recorded sessions are malformed.
    """
    if sessions.trace is not None:
        # Sessions of another round through the trace belong to other users, so their identities
        # are shifted.
        for number, (time_round, recorded) in enumerate(_rounds(sessions.trace, tally), start=1):
            yield _recorded(recorded, time_round << 96, number)
    for block in count():
        steps = _draws(sessions, stream(seed, f"sessions from {block * AT_A_TIME}"))
        for place in range(AT_A_TIME):
            yield _turns(sessions, steps.of(place), (block * AT_A_TIME + place + 1) << 32)


def _rounds(trace: Trace, tally: Tally | None) -> Iterator[tuple[int, RecordedSession]]:
    """Yield (round, session) of the recorded sessions, round after round, indefinitely.

    NOTE: a trace of few steps is kept in memory and not read in every round. `explain` of one
    session takes 0.5 s instead of 6 s.
    """
    kept: list[RecordedSession] = []
    steps = 0
    for recorded in islice(trace.sessions(tally), trace.limit):
        steps += len(recorded.steps)
        if steps <= _MAX_KEPT_STEPS:
            kept.append(recorded)
        yield 0, recorded
    for time_round in count(1):
        again = kept if steps <= _MAX_KEPT_STEPS else islice(trace.sessions(), trace.limit)
        for recorded in again:
            yield time_round, recorded


def replayed_scripts(sessions: Iterable[RecordedSession]) -> Iterator[Iterator[Turn]]:
    """Yield the turns of each recorded session, in the order of the sessions."""
    return (_recorded(recorded, 0, number) for number, recorded in enumerate(sessions, start=1))


def _recorded(recorded: RecordedSession, moved: int, number: int) -> Iterator[Turn]:
    """Yield the turns of a recorded session.

    `moved` is added to the identities of blocks. `number` distinguishes sessions without
    identities.
    """
    if recorded.adds:
        yield from _grown(recorded, moved + (number << 32))
        return
    for step in recorded.steps:
        pieces = (
            tuple((identity + moved, length) for identity, length in step.pieces)
            if moved
            else step.pieces
        )
        yield Turn(
            step.gap_s,
            step.prompt_tokens,
            step.output_tokens,
            pieces,
            len(pieces),
            None,
            of_user=True,
            due_s=step.due_s,
        )


def _grown(recorded: RecordedSession, identity: int) -> Iterator[Turn]:
    """Yield the turns of a session whose rows hold only the new tokens of each prompt.

    A prompt consists of all earlier prompts and answers and the new tokens. The first prompt has
    the blocks of the file; later pieces get `identity` and the numbers after it.
    """
    history: list[tuple[int, int]] = []
    context = 0
    for step in recorded.steps:
        blocks = step.pieces if not history else ()
        history.extend(blocks)
        if (left := step.prompt_tokens - sum(length for _, length in blocks)) > 0:
            history.append((identity, left))
        context += step.prompt_tokens
        yield Turn(
            step.gap_s,
            context,
            step.output_tokens,
            history,
            len(history),
            identity + 1,
            of_user=True,
            due_s=step.due_s,
        )
        history.append((identity + 1, step.output_tokens))
        context += step.output_tokens
        identity += 2


class _SessionSteps(NamedTuple):
    """Steps of some sessions, one session after another."""

    ends: np.ndarray
    """Index after the last step of each session."""
    of_user: np.ndarray
    """Whether a user sends the step, rather than a tool."""
    gap_s: np.ndarray
    """Gap before each step [s]."""
    fresh: np.ndarray
    """Number of new tokens in the prompt of each step [tokens]."""
    output: np.ndarray
    """Length of the answer of each step [tokens]."""
    compacted: np.ndarray
    """Length of the context after compaction, if it is compacted before the step [tokens]."""

    def of(self, session: int) -> Iterator[tuple[bool, float, int, int, int]]:
        """Yield the steps of one session: all columns except `ends`."""
        rows = slice(self.ends[session - 1] if session else 0, self.ends[session])
        return zip(*(column[rows].tolist() for column in self[1:]), strict=True)


def _draws(sessions: Sessions, rng: np.random.Generator) -> _SessionSteps:
    """Return all random numbers of `AT_A_TIME` sessions, drawn in a fixed order.

    A session therefore does not depend on the answers to it or to other sessions.
    """
    assert (
        sessions.turns is not None
        and sessions.first_tokens is not None
        and sessions.user_tokens is not None
    )
    assert sessions.output_tokens is not None and sessions.user_gap is not None
    turns = sessions.turns.draw(rng, AT_A_TIME)
    later = int(np.sum(turns)) - AT_A_TIME
    tools = (
        sessions.tool_steps.draw(rng, AT_A_TIME + later)
        if sessions.tool_steps is not None
        else np.zeros(AT_A_TIME + later, dtype=np.int64)
    )
    steps = len(tools) + int(np.sum(tools))
    begins = np.cumsum(1 + tools) - (1 + tools)  # of each turn
    first = np.zeros(len(tools), dtype=bool)  # turn of its session
    first[np.cumsum(turns) - turns] = True
    of_user = np.zeros(steps, dtype=bool)
    of_user[begins] = True
    fresh, gap_s = np.zeros(steps, dtype=np.int64), np.zeros(steps)
    fresh[begins[first]], fresh[begins[~first]] = (
        sessions.first_tokens.draw(rng, AT_A_TIME),
        sessions.user_tokens.draw(rng, later),
    )
    gap_s[begins[~first]] = sessions.user_gap.draw(rng, later)
    if sessions.tool_tokens is not None and sessions.tool_gap is not None:
        fresh[~of_user] = sessions.tool_tokens.draw(rng, steps - len(tools))
        gap_s[~of_user] = sessions.tool_gap.draw(rng, steps - len(tools))
    output = sessions.output_tokens.draw(rng, steps)
    compacted = (
        sessions.compaction.to_tokens.draw(rng, steps)
        if sessions.compaction is not None
        else np.zeros(steps, dtype=np.int64)
    )
    ends = np.append(begins, steps)[np.cumsum(turns)]
    if (sigma := sessions.output_sigma) > 0.0:
        # All answers of a session share one factor with mean 1.
        factor = np.exp(sigma * rng.standard_normal(AT_A_TIME) - 0.5 * sigma**2)
        output = np.maximum(
            np.rint(output * np.repeat(factor, np.diff(ends, prepend=0))), 1.0
        ).astype(np.int64)
    return _SessionSteps(ends, of_user, gap_s, fresh, output, compacted)


def _turns(
    sessions: Sessions, steps: Iterator[tuple[bool, float, int, int, int]], identity: int
) -> Iterator[Turn]:
    """Yield the turns of a session, each when it is requested.

    The pieces of the session get `identity` and the numbers after it.
    """
    context = shared = sessions.shared_tokens
    start = [(SHARED, shared)] if shared else []
    history = list(start)
    window = sessions.window_tokens if sessions.window_tokens is not None else 1 << 62
    above = sessions.compaction.above_tokens if sessions.compaction is not None else window - 1
    for of_user, gap_s, new, output, compacted in steps:
        if context + new > above:
            if sessions.compaction is None:
                return
            # A summary replaces the conversation: only the text that all sessions share is kept.
            history, context = list(start), max(compacted - new, shared)
            if context > shared:
                history.append((identity, context - shared))
                identity += 1
        prompt = context + new
        if prompt >= window:
            return
        answer = output if output < window - prompt else window - prompt
        history.append((identity, new))
        yield Turn(gap_s, prompt, answer, history, len(history), identity + 1, of_user)
        history.append((identity + 1, answer))
        identity += 2
        context = prompt + answer
