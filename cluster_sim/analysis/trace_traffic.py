"""Requests of a recorded trace, as columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np

from cluster_sim.analysis.assumed_answers import TimedTurn, recorded_requests
from cluster_sim.analysis.demand import Demand, TraceReading
from cluster_sim.workload.end_of_arrivals import trace_goes_on
from cluster_sim.workload.sessions import Turn
from cluster_sim.workload.traces import Tally, Trace
from cluster_sim.workload.traces.rows import Batch, Pieces

ANSWER_TOKENS_PER_S = 50.0
"""Rate of answers that is assumed if requests wait for them and no rate is given [1/s]."""


@dataclass(frozen=True)
class RepeatedPieces:
    """Beginnings of prompts, created again for each use to save memory in long sessions."""

    made: Callable[[], Iterator[Pieces]]

    def __iter__(self) -> Iterator[Pieces]:
        return self.made()


def of_trace(
    trace: Trace,
    name: str,
    seed: int = 0,
    until_s: float = float("inf"),
    tokens_per_s: float = ANSWER_TOKENS_PER_S,
) -> Demand:
    """Return the requests of a trace at their recorded times.

    Parameters
    ----------
    trace
        Description of the trace.
    name
        Name of the traffic.
    seed
        Seed of the random choices of `sample` and `dejitter`.
    until_s
        Time after which requests are omitted [s].
    tokens_per_s
        Assumed rate of every answer, if requests follow answers and have no times [tokens/s].
        Answers begin immediately.

    Raises
    ------
    ScenarioError
        The trace is malformed.
    """
    if not trace.has_times:
        return _of_recorded(trace, name, seed, until_s, tokens_per_s)
    tally = Tally()
    batches = []
    for batch in trace.batches(seed, tally, links_wanted=trace.links_turns):
        batches.append(
            batch if batch.time_s[-1:].sum() < until_s else batch.take(batch.time_s < until_s)
        )
        if len(batch.time_s) and batch.time_s[-1] >= until_s:
            tally.note(trace_goes_on(until_s))
            break
    times_s, prompts, outputs = (
        np.concatenate([batch[column] for batch in batches]) for column in range(3)
    )
    pieces = None
    if any(batch.blocks for batch in batches):
        pieces = RepeatedPieces(lambda: chain.from_iterable(batch.pieces() for batch in batches))
    sessions = None
    if trace.links_turns:
        sessions = tally.sessions or _count_sessions(batches)
    added = None
    if tally.prefixes_apart:
        added = int(np.sum(prompts)) - sum(_block_tokens(batch) for batch in batches)
    reading = _reading(trace, tally, times_s, sessions, added)
    notes = list(tally.said())
    return Demand(name, times_s, prompts, outputs, pieces, notes=notes, reading=reading)


def _block_tokens(batch: Batch) -> int:
    """Return the number of tokens in all blocks of these requests."""
    return sum(
        len(ids) * block_tokens if isinstance(block_tokens, int) else sum(block_tokens)
        for ids, block_tokens in batch.blocks or ()
    )


def _count_sessions(batches: Sequence[Batch]) -> int:
    """Return the number of conversations. A request without a conversation counts as one."""
    known: set[int] = set()
    alone = 0
    for batch in batches:
        session = np.full(len(batch.line), -1) if batch.links is None else batch.links.session
        alone += int(np.sum(session < 0))
        known.update(np.unique(session[session >= 0]).tolist())
    return alone + len(known)


def _reading(
    trace: Trace, tally: Tally, times_s: np.ndarray, sessions: int | None, added: int | None = None
) -> TraceReading:
    """Return facts about the trace as it was read.

    Parameters
    ----------
    trace
        The trace.
    tally
        Counts of the reading, with its clock.
    times_s
        Recorded arrivals as they are replayed, ascending [s].
    sessions
        Number of conversations; None without conversations.
    added
        Sum of the prompts that conversations add [tokens]; None for whole prompts.
    """
    if tally.zero_s is None or not len(times_s):
        return TraceReading(trace.path, sessions=sessions, added_prompt_tokens=added)
    first_s, last_s = (tally.zero_s + trace.speedup * float(times_s[at]) for at in (0, -1))
    return TraceReading(trace.path, first_s, last_s, sessions, added)


def _of_recorded(trace: Trace, name: str, seed: int, until_s: float, tokens_per_s: float) -> Demand:
    """Return the requests of recorded sessions without recorded times."""
    tally = Tally()
    everyone = list(trace.replayed_sessions(seed, tally))
    recorded = [session for session in everyone if session.start_s < until_s]
    if len(recorded) < len(everyone):
        tally.note(trace_goes_on(until_s))
    timed = list(islice(recorded_requests(iter(recorded), until_s, tokens_per_s), trace.limit))
    demand = of_turns(timed, name, [*tally.said(), assumption(tokens_per_s)])
    adds = any(session.adds for session in recorded)
    added = _added_tokens(turn for _, turn in timed) if adds else None
    starts_s = np.array([session.start_s for session in recorded])
    return replace(demand, reading=_reading(trace, tally, starts_s, len(recorded), added))


def _added_tokens(turns: Iterable[Turn]) -> int:
    """Return the sum of the tokens that each prompt adds to the previous conversation [tokens].

    Turns of one conversation share their history.
    """
    context: dict[int, int] = {}
    added = 0
    for turn in turns:
        added += turn.prompt_tokens - context.get(id(turn.history), 0)
        context[id(turn.history)] = turn.prompt_tokens + turn.output_tokens
    return added


def of_turns(timed: Iterable[TimedTurn], name: str, notes: list[str]) -> Demand:
    """Return the requests of sessions, in order of time."""
    pairs = list(timed)
    times_s, turns = zip(*pairs, strict=True) if pairs else ((), ())
    return Demand(
        name,
        np.array(times_s),
        np.array([turn.prompt_tokens for turn in turns], dtype=np.int64),
        np.array([turn.output_tokens for turn in turns], dtype=np.int64),
        RepeatedPieces(lambda: (turn.pieces for turn in turns)),
        [turn.output_piece for turn in turns],
        notes,
    )


def assumption(tokens_per_s: float) -> str:
    """Return the note on the assumed rate of answers [tokens/s]."""
    return f"requests wait for answers: {tokens_per_s:g} tokens per second are assumed"
