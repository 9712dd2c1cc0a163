"""A second reader of traces, tiny and strict: what the text of a damaged file says, or nothing.

It knows the forms of `traces.py`, in UTF-8, with plain delimiters, and nothing of how the package
reads. Where it understands a file, the package must read the same or refuse it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from tests.fuzz.traces import Form

Found = tuple[float, int, int]
"""Time [s], prompt and output."""

READ = ("azure.csv", "burstgpt.csv", "vidur.csv", "splitwise.csv", "named.csv", "dated.csv", "mooncake.jsonl", "mooncake.json", "bailian_plain.jsonl", "llmservingsim.jsonl", "named.jsonl")  # fmt: skip
"""Forms that are read here."""
NESTED = ("aiperf_records.jsonl", "vllm.json", "guidellm.json", "inference_perf.json", "weka.jsonl")
"""Forms of clients and sessions that are read here, replayed at their recorded times."""
_PER_S = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_WHOLE = re.compile(r"\s*\+?(\d{1,9})(\.0*)?\s*")
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?\s*")


class NotUnderstood(ValueError):
    """The file says nothing that is plain."""


def what_it_says(form: Form, content: bytes) -> list[Found]:
    """Requests of a damaged file since the first of them, by their times.

    Raises NotUnderstood where the file is not plain.
    """
    try:
        text = content.decode("utf-8-sig")
        if form.kind == "table":
            rows = _rows_of_table(form, text)
        else:
            values = json.loads(text) if form.kind == "json" else [json.loads(line) for line in text.splitlines() if line.strip()]  # fmt: skip
            rows = _NESTED[form.name](values) if form.name in NESTED else _rows_of_json(form, values)  # fmt: skip
    except (ValueError, LookupError, TypeError, RecursionError, csv.Error) as fault:
        raise NotUnderstood(str(fault)) from None
    found = sorted(row for row in rows if row[1] > 0 and row[2] > 0)
    if not found:
        raise NotUnderstood("no requests")
    return [(row[0] - found[0][0], row[1], row[2]) for row in found]


def _rows_of_table(form: Form, text: str) -> list[Found]:
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if any(map(str.strip, row))]
    heading = [_folded(name) for name in rows[0]]
    places = [_only(heading, _folded(name)) for name in (form.arrival, form.prompt, form.output)]
    found = []
    for row in rows[1:]:
        if len(row) != len(heading):
            raise NotUnderstood("a row of another length")
        time, prompt, output = (row[place] for place in places)
        found.append((_time_s(form, time), _whole(prompt), _whole(output)))
    return found


def _folded(name: str) -> str:
    """A name without case and signs, which do not tell names apart."""
    return re.sub(r"[\W_]", "", name.casefold())


def _only(heading: list[str], name: str) -> int:
    if heading.count(name) != 1:
        raise NotUnderstood("a column that is missing, or twice")
    return heading.index(name)


def _rows_of_json(form: Form, values: Any) -> list[Found]:
    found = []
    for value in values:
        time, prompt, output = (value[name] for name in (form.arrival, form.prompt, form.output))
        found.append(
            (_number(time) / _PER_S[form.unit], _whole_number(prompt), _whole_number(output))
        )
    return found


def _of_aiperf(values: Any) -> list[Found]:
    found = []
    for value in values:
        about, metrics = value["metadata"], value["metrics"]
        if about["benchmark_phase"] not in ("profiling", "warmup"):
            raise NotUnderstood("a phase that is not known")
        if value["error"] is None and not _flag(about["was_cancelled"]) and about["benchmark_phase"] == "profiling":  # fmt: skip
            lengths = (metrics[f"{name}_sequence_length"]["value"] for name in ("input", "output"))
            prompt, output = map(_whole_number, lengths)
            found.append((_number(about["request_start_ns"]) / 1e9, prompt, output))
    return found


def _of_vllm(value: Any) -> list[Found]:
    lists = [value[name] for name in ("start_times", "input_lens", "output_lens", "errors")]
    return [
        (_number(time), _whole_number(prompt), _whole_number(output))
        for time, prompt, output, error in zip(*lists, strict=True)
        if not error
    ]


def _of_guidellm(value: Any) -> list[Found]:
    (benchmark,) = value["benchmarks"]
    return [
        (_number(row["info"]["timings"]["request_start"]), _whole_number(row["prompt_tokens"]), _whole_number(row["output_tokens"]))
        for row in benchmark["requests"]["successful"]
    ]  # fmt: skip


def _of_inference_perf(values: Any) -> list[Found]:
    return [
        (_number(row["start_time"]), _whole_number(row["info"]["input_tokens"]), _whole_number(row["info"]["output_tokens"]))
        for row in values
        if row["error"] is None
    ]  # fmt: skip


def _of_weka(values: Any) -> list[Found]:
    return [
        (_number(call["t"]), _whole_number(call["in"]), _whole_number(call["out"]))
        for value in values
        for call in value["requests"]
    ]


_NESTED = dict(
    zip(NESTED, (_of_aiperf, _of_vllm, _of_guidellm, _of_inference_perf, _of_weka), strict=True)
)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise NotUnderstood("a time that is no number")
    return float(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise NotUnderstood("neither true nor false")
    return value


def _time_s(form: Form, text: str) -> float:
    if form.unit:
        if not _NUMBER.fullmatch(text):
            raise NotUnderstood("a time that is no number")
        return float(text) / _PER_S[form.unit]
    plain = re.sub(r"(\.\d{6})\d+", r"\1", text.strip())
    at = datetime.fromisoformat(plain)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _whole(text: str) -> int:
    number = _WHOLE.fullmatch(text)
    if number is None:
        raise NotUnderstood("a length that is no whole number")
    return int(number[1])


def _whole_number(value: Any) -> int:
    if type(value) not in (int, float) or not 0 <= value <= 10**9 or value != int(value):
        raise NotUnderstood("a length that is no whole number")
    return int(value)
