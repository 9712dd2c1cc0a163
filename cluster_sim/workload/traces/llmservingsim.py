"""LLMServingSim's JSON lines: lone requests, or sessions of requests with tools between them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import IO

from orjson import loads

from cluster_sim.workload.traces.progress import Place
from cluster_sim.workload.traces.recorded import RecordedSession, RecordedStep
from cluster_sim.workload.traces.rows import MAX_TOKENS, UNKNOWN, RawRow

_EXPECTED = '{"arrival_time_ns": ns, "input_toks": tokens, "output_toks": tokens}'
_EXPECTED_SESSION = '{"session_id": …, "arrival_time_ns": ns, "sub_requests": [{"input_toks": tokens, "output_toks": tokens, "tool_duration_ns": ns}]}'


def llmservingsim_rows(text: IO[str], place: Place) -> Iterator[RawRow]:
    """Yield rows in the file's order.

    Raises ScenarioError with the line of a row that is malformed, or that is a session.
    """
    number = 0
    place.follow(lambda: number)
    for number, line in enumerate(text, start=1):  # noqa: B007 - `place` reads it
        try:
            row = loads(line)
            time_s, prompt, output = (
                row["arrival_time_ns"] / 1e9,
                _tokens(row["input_toks"]),
                _tokens(row["output_toks"]),
            )
            if time_s - time_s != 0.0:
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            if not line.strip():
                continue
            if '"sub_requests"' in line:
                place.refuse(
                    "is a session, whose requests wait for answers; wanted it under workload.sessions.path"
                )
            place.refuse_text(line, _EXPECTED)
        yield time_s, prompt, output, UNKNOWN


def llmservingsim_sessions(text: IO[str], place: Place) -> Iterator[RecordedSession]:
    """Yield sessions in the file's order.

    The format does not say how much of a prompt is new: none of it is taken for shared. Raises
    ScenarioError with the line of a session that is malformed.
    """
    number = 0
    place.follow(lambda: number)
    for number, line in enumerate(text, start=1):  # noqa: B007 - `place` reads it
        if not line.strip():
            continue
        try:
            row = loads(line)
            gaps_s = [
                0.0,
                *(float(step.get("tool_duration_ns", 0)) / 1e9 for step in row["sub_requests"]),
            ]
            if not all(0.0 <= gap_s < 1e9 for gap_s in gaps_s):
                raise ValueError
            steps = [
                RecordedStep(
                    gap_s, _tokens(step["input_toks"]), _tokens(step["output_toks"]), array("q"), 1
                )
                for gap_s, step in zip(gaps_s, row["sub_requests"], strict=False)
            ]
            start_s = float(row["arrival_time_ns"]) / 1e9
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            place.refuse_text(line, _EXPECTED_SESSION)
        yield RecordedSession(start_s, tuple(steps))


def _tokens(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_TOKENS:
        raise ValueError
    return value
