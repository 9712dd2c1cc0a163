"""Reader of coding-agent sessions of kv-cache-tester: one JSON document per file or per line."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from heapq import merge
from itertools import pairwise
from statistics import median
from typing import Any

from orjson import loads

from cluster_sim.workload.traces.clock import PER_S, UNITS
from cluster_sim.workload.traces.documents import TraceDocument
from cluster_sim.workload.traces.progress import Tally
from cluster_sim.workload.traces.recorded import RecordedSession, RecordedStep
from cluster_sim.workload.traces.rows import AT_A_TIME, MAX_TOKENS, RawRow
from cluster_sim.workload.traces.source import TraceSource

_EXPECTED = '{"requests": [{"t": s, "in": tokens, "out": tokens, "hash_ids": [numbers]}], "block_size": tokens}'
_MALFORMED = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
_FEW, _LONG_S = 3, 3600.0
"""Minimum number of times between requests, and their minimum median [s], for a note."""


def weka_sessions(
    documents: Iterator[TraceDocument], source: TraceSource
) -> Iterator[tuple[RecordedSession, list[float]]]:
    """Yield each session, with the times [s] of its requests since its start.

    Requests of subagents go to another model. They are omitted and counted, and the gap of the parent
    spans them. Identities of blocks are valid within a session, so sessions share nothing. Raises
    ScenarioError with file and line of a document that is not a session.
    """
    place, tally = source.place, source.tally
    pauses = _Pauses(source)
    for number, (file, line, text) in enumerate(documents):
        place.enter(file, line)
        try:
            steps, times_s = _steps(loads(text), number, tally, PER_S[source.time_unit or "s"])
        except _MALFORMED:
            place.refuse_text(text[:200], _EXPECTED)
        if steps:
            tally.sessions += 1
            pauses.see(times_s)
            yield RecordedSession(times_s[0], tuple(steps)), times_s
    pauses.end()


class _Pauses:
    """Note on times between requests that are too long for the unit of times."""

    def __init__(self, source: TraceSource) -> None:
        self._tally, self._unit = source.tally, source.time_unit
        self._pauses_s: list[float] = []

    def see(self, times_s: list[float]) -> None:
        """Add the times of a session [s]."""
        if len(self._pauses_s) < AT_A_TIME:
            self._pauses_s += [later - earlier for earlier, later in pairwise(times_s)]

    def end(self) -> None:
        """Add the note if it is due, unless the scenario gives the unit."""
        if self._unit is not None or len(self._pauses_s) < _FEW:
            return
        usual_s = median(self._pauses_s)
        if usual_s > _LONG_S:
            self._tally.note(
                f"t is read as {UNITS['s']}: the format says so, though half of the requests arrive {usual_s:,.0f} s or more after the previous request; for another unit, write time_unit: ms, us or ns"
            )


def _steps(
    document: Mapping[str, Any], session: int, tally: Tally, per_s: int
) -> tuple[list[RecordedStep], list[float]]:
    """Return the requests of the session's main model, and their times [s].

    The unit of the document's times is 1 / `per_s` seconds.

    Raises one of _MALFORMED if the document is not a session.
    """
    block_tokens = max(int(document.get("block_size", 64)), 1)
    steps: list[RecordedStep] = []
    times_s: list[float] = []
    answered_s = 0.0
    for request in document["requests"]:
        if (subagents := _of_subagent(request)) is not None:
            tally.others += subagents
            continue
        time_s, prompt, output = float(request["t"]) / per_s, request["in"], request["out"]
        if (
            type(prompt) is not int
            or type(output) is not int
            or not 0 <= min(prompt, output) <= max(prompt, output) <= MAX_TOKENS
        ):
            raise ValueError
        think_s = request.get("think_time", request.get("think"))
        waited_s = time_s - answered_s if think_s is None else float(think_s) / per_s
        gap_s = max(waited_s, 0.0) if steps else 0.0
        answered_s = time_s + float(request.get("api_time", request.get("api")) or 0.0) / per_s
        if not (time_s >= 0.0 and gap_s < 1e9):
            raise ValueError
        first_id = session + 1 << 32
        blocks = array("q", (first_id + block for block in request.get("hash_ids", ())))
        steps.append(RecordedStep(gap_s, prompt, output, blocks, block_tokens))
        times_s.append(time_s)
    return steps, times_s


def _of_subagent(request: Mapping[str, Any]) -> int | None:
    """Return the number of requests of a subagent; None for a request of the session itself."""
    if "requests" in request:
        return len(request["requests"])
    if request.get("kind") == "subagent" or request.get("subagent"):
        return int(request.get("n", 1))
    return None


def weka_rows(documents: Iterator[TraceDocument], source: TraceSource) -> Iterator[RawRow]:
    """Yield the requests of all sessions at their recorded times; every session starts at zero.

    The loop is open: the times depend on the speed of the recorded server.
    """

    def rows(recorded: RecordedSession, times_s: list[float]) -> Iterator[RawRow]:
        for time_s, step in zip(times_s, recorded.steps, strict=True):
            yield time_s, step.prompt_tokens, step.output_tokens, (step.blocks, step.block_tokens)

    sessions = weka_sessions(documents, source)
    return merge(*(rows(*session) for session in sessions), key=_time_s)


def _time_s(row: RawRow) -> float:
    return row[0]


def looks_like_weka(document: Any) -> bool:
    """Return whether a JSON value is a session of kv-cache-tester."""
    return isinstance(document, dict) and isinstance(document.get("requests"), list)
