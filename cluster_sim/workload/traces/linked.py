"""Sessions built from rows that link the requests of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from math import nan

import numpy as np

from cluster_sim.workload.traces.recorded import RecordedSession, RecordedStep
from cluster_sim.workload.traces.rows import NONE, UNKNOWN, Batch, Links, no_links
from cluster_sim.workload.traces.source import TraceSource

NO_PREFIXES = "prompts share no prefixes: the file does not say which text they share"
"""Note on conversations without identities of the content of prompts."""


def linked_sessions(batches: Iterable[Batch], source: TraceSource) -> Iterator[RecordedSession]:
    """Yield the conversations in order of their starts.

    All rows are held in memory as columns; sessions are built when they are requested. A turn starts
    the recorded pause after the previous answer: `delay_s` if the file has it, else the time from the
    recorded end of that answer until the turn. If the file has no ends of answers, a turn starts at
    its recorded time, or when the previous answer ends if that is later. Raises ScenarioError with
    the line of the first turn of a session if it has no time.
    """
    rows = joined([NONE, *batches])
    links = rows.links
    assert links is not None
    if not len(rows.line):
        return
    # A row without a conversation becomes a conversation of one turn.
    session = links.session.copy()
    alone = np.nonzero(session < 0)[0]
    session[alone] = session.max(initial=0) + 1 + np.arange(len(alone))
    index = np.arange(len(session))
    # Turns after a pause have no time, so the order of the file is the order of the turns.
    by = (index,) if np.any(np.isnan(rows.time_s)) else (index, rows.time_s)
    order = np.lexsort((*by, session))
    rows = rows.take(order)
    firsts = np.append(0, np.nonzero(np.diff(session[order]))[0] + 1)
    starts_s = rows.time_s[firsts]
    untimed = np.nonzero(np.isnan(starts_s))[0]
    if len(untimed):
        source.place.refuse_at(
            int(rows.line[firsts[untimed[0]]]),
            "has a delay but no timestamp; expected a timestamp in the first turn of a session",
        )
    ends = np.append(firsts[1:], len(order))
    if rows.blocks is None and not links.adds and len(firsts) < len(order):
        source.tally.note(NO_PREFIXES)
    for at in np.argsort(starts_s, kind="stable").tolist():
        yield _session(rows, slice(firsts[at], ends[at]))


def joined(parts: list[Batch]) -> Batch:
    """Return the rows of all batches as one batch."""
    columns = (np.concatenate([part[at] for part in parts]) for at in (0, 1, 2, 4))
    time_s, prompt, output, line = columns
    blocks = None
    if any(part.blocks is not None for part in parts):
        blocks = [own for part in parts for own in part.blocks or [UNKNOWN] * len(part.line)]
    links = [part.links if part.links is not None else no_links(len(part.line)) for part in parts]
    session, answered_s, delay_s = (np.concatenate([own[at] for own in links]) for at in range(3))
    whole = Links(session, answered_s, delay_s, any(own.adds for own in links))
    return Batch(time_s, prompt, output, blocks, line, whole)


def _session(rows: Batch, own: slice) -> RecordedSession:
    """Return the rows at these positions as one conversation."""
    links = rows.links
    assert links is not None
    columns = (rows.time_s, rows.prompt, rows.output, links.answered_s, links.delay_s)
    times_s, prompts, outputs, answered_s, delays_s = (each[own].tolist() for each in columns)
    blocks = repeat(UNKNOWN) if rows.blocks is None else rows.blocks[own]
    start_s = times_s[0]
    steps: list[RecordedStep] = []
    before_s = nan  # recorded end of the previous answer
    for time_s, prompt, output, end_s, delay_s, (ids, block_tokens) in zip(
        times_s, prompts, outputs, answered_s, delays_s, blocks, strict=False
    ):
        gap_s = due_s = 0.0
        if steps:
            if delay_s == delay_s:
                gap_s = delay_s
            elif before_s == before_s:
                gap_s = max(time_s - before_s, 0.0)
            else:
                due_s = time_s - start_s
        steps.append(
            RecordedStep(gap_s, prompt, output, ids, block_tokens, due_s, time_s - start_s)
        )
        before_s = end_s
    return RecordedSession(start_s, tuple(steps), links.adds)
