"""Coding-agent sessions as kv-cache-tester records them: a JSON document each, or one a line."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from heapq import merge
from typing import Any

from orjson import loads

from cluster_sim.workload.traces.recorded import Recorded, Step
from cluster_sim.workload.traces.rows import MOST_TOKENS, Place, RawRow, Tally

_WANTED = '{"requests": [{"t": s, "in": tokens, "out": tokens, "hash_ids": [numbers]}], "block_size": tokens}'


def weka_sessions(
    documents: Iterator[tuple[str, int, str]], place: Place, tally: Tally
) -> Iterator[tuple[Recorded, list[float]]]:
    """Each session, with the times [s] of its requests since its start. `documents` are (file,
    line, text).

    A subagent's requests go to another model: they are counted and left out, and its parent's gap
    spans them. Block identities hold within a session, so that sessions share nothing.
    Raises ScenarioError with file and line of a document that is none.
    """
    for session, (file, line, text) in enumerate(documents):
        place.file, place.line = file, lambda line=line: line  # type: ignore[misc]
        try:
            document = loads(text)
            block = max(int(document.get("block_size", 64)), 1)
            steps: list[Step] = []
            times_s: list[float] = []
            answered_s = 0.0
            for request in document["requests"]:
                if (
                    "requests" in request
                    or request.get("kind") == "subagent"
                    or request.get("subagent")
                ):
                    tally.others += (
                        len(request["requests"])
                        if "requests" in request
                        else int(request.get("n", 1))
                    )
                    continue
                time_s, prompt, output = float(request["t"]), request["in"], request["out"]
                if (
                    type(prompt) is not int
                    or type(output) is not int
                    or not 0 <= min(prompt, output) <= max(prompt, output) <= MOST_TOKENS
                ):
                    raise ValueError
                think_s = request.get("think_time", request.get("think"))
                gap_s = (
                    max(time_s - answered_s if think_s is None else float(think_s), 0.0)
                    if steps
                    else 0.0
                )
                answered_s = time_s + float(request.get("api_time", request.get("api")) or 0.0)
                if not (time_s >= 0.0 and gap_s < 1e9):
                    raise ValueError
                local = session + 1 << 32
                blocks = array("q", (local + one for one in request.get("hash_ids", ())))
                steps.append(Step(gap_s, prompt, output, blocks, block))
                times_s.append(time_s)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            place.wanted(text[:200], _WANTED)
        if steps:
            yield Recorded(0.0, tuple(steps)), times_s


def weka_rows(
    documents: Iterator[tuple[str, int, str]], place: Place, tally: Tally
) -> Iterator[RawRow]:
    """Requests of all sessions at their recorded times, every session from time zero on: open loop,
    with the speed of the old server in it.
    """

    def one(recorded: Recorded, times_s: list[float]) -> Iterator[RawRow]:
        for time_s, step in zip(times_s, recorded.steps, strict=True):
            yield time_s, step.prompt_tokens, step.output_tokens, (step.blocks, step.block_tokens)

    return merge(*(one(*session) for session in weka_sessions(documents, place, tally)), key=_time)


def _time(row: RawRow) -> float:
    return row[0]


def looks_like_weka(document: Any) -> bool:
    """Whether a JSON value is a session of this kind."""
    return isinstance(document, dict) and isinstance(document.get("requests"), list)
