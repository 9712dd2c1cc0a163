"""Traces of every format written from rows, so that what a reader should find is known beforehand.

All rows are invented. A form is written by plain Python, which knows nothing of the readers.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

BASE_S = 1_700_000_000
"""Whole second since 1970 at which rows begin where a format has dates: 2023-11-14 22:13:20."""
_BEGIN = datetime(2023, 11, 14, 22, 13, 20)


class TraceRow(NamedTuple):
    """One request of a trace; a damaged one may have any value for a length."""

    ms: int
    """Time since the beginning [ms]."""
    prompt: Any
    output: Any


ROWS: tuple[TraceRow, ...] = tuple(
    TraceRow(ms, 100 + 37 * n, 10 + 7 * n)
    for n, ms in enumerate((0, 250, 400, 1000, 1750, 1751, 2500, 4000, 4125, 6000))
)
"""Ten requests within six seconds."""

Table = list[list[str]]
"""Cells of a table, its heading first."""


@dataclass(frozen=True)
class Form:
    """A format of traces: how its rows are written, and what a scenario says beside the path."""

    name: str
    """Name of the file."""
    write: Callable[[Sequence[TraceRow]], Any]
    """Cells of a table, objects of JSON Lines, one JSON value, or a pyarrow table."""
    kind: str
    """table, lines, json or parquet."""
    keys: dict[str, Any] = field(default_factory=dict)
    """Keys of `workload.trace` beside its path."""
    times: str = "ms"
    """What times keep: ms, or nothing (texts)."""
    unit: str = ""
    """Unit of the times, where they are numbers in one column or key; empty where there is none."""
    arrival: str = ""
    """Name of that column or key."""
    prompt: str = ""
    """Name of the column or key of prompt lengths."""
    output: str = ""
    """Name of the column or key of output lengths."""
    first_line: int = 2
    """Line of the first row, where each has a line; 0 where the file has none."""


def _table(
    names: str, cells: Callable[[int, TraceRow], Sequence[object]]
) -> Callable[[Sequence[TraceRow]], Table]:
    def write(rows: Sequence[TraceRow]) -> Table:
        body = [[str(cell) for cell in cells(n, row)] for n, row in enumerate(rows)]
        return [names.split(","), *body]

    return write


def _lines(
    row_of: Callable[[int, TraceRow], dict[str, Any]],
) -> Callable[[Sequence[TraceRow]], list[dict[str, Any]]]:
    return lambda rows: [row_of(n, row) for n, row in enumerate(rows)]


def stamp(ms: int, *, zone_h: int | None = None, decimals: int = 7) -> str:
    """Write a time as `2023-11-14 22:13:20.2500000`, in a zone so many hours from UTC."""
    at = _BEGIN + timedelta(milliseconds=ms, hours=zone_h or 0)
    text = at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond:06d}0000"[:decimals]
    return text if zone_h is None else f"{text}{zone_h:+03d}:00"


def seconds(ms: int) -> str:
    """Write milliseconds as seconds, with three decimals."""
    return f"{ms // 1000}.{ms % 1000:03d}"


def _blocks(prompt: Any, tokens: int) -> int:
    is_length = type(prompt) in (int, float) and 0 < prompt < 10**6
    return -int(-prompt // tokens) if is_length else 1


def _mooncake(n: int, row: TraceRow) -> dict[str, Any]:
    ids = list(range(10 * n, 10 * n + _blocks(row.prompt, 512)))
    return {"timestamp": row.ms, "input_length": row.prompt, "output_length": row.output, "hash_ids": ids}  # fmt: skip


def _bailian(n: int, row: TraceRow) -> dict[str, Any]:
    blocks = list(range(100 * n, 100 * n + _blocks(row.prompt, 16)))
    return {
        "chat_id": n + 1, "parent_chat_id": -1, "timestamp": row.ms / 1000, "input_length": row.prompt,
        "output_length": row.output, "type": "text", "turn": 1, "hash_ids": blocks,
    }  # fmt: skip


def _without(row: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in keys}


def _aiperf_record(n: int, row: TraceRow) -> dict[str, Any]:
    start_ns = (1000 * BASE_S + row.ms) * 1_000_000
    return {
        "metadata": {"session_num": n, "x_request_id": f"r{n}", "x_correlation_id": f"k{n}", "turn_index": 0, "request_start_ns": start_ns,
                     "request_end_ns": start_ns + 9 * 10**8, "benchmark_phase": "profiling", "was_cancelled": False},
        "metrics": {"input_sequence_length": {"value": row.prompt, "unit": "tokens"},
                    "output_sequence_length": {"value": row.output, "unit": "tokens"}},
        "error": None,
    }  # fmt: skip


def _vllm(rows: Sequence[TraceRow]) -> dict[str, Any]:
    return {
        "backend": "openai", "num_prompts": len(rows), "duration": 7.0, "completed": len(rows), "request_throughput": 1.4,
        "input_lens": [row.prompt for row in rows], "output_lens": [row.output for row in rows],
        "start_times": [5000 + row.ms / 1000 for row in rows], "ttfts": [0.1] * len(rows), "errors": [""] * len(rows),
    }  # fmt: skip


def _guidellm(rows: Sequence[TraceRow]) -> dict[str, Any]:
    successful = [
        {
            "request_id": f"g{n}", "prompt_tokens": row.prompt, "output_tokens": row.output,
            "info": {"status": "completed", "timings": {"request_start": BASE_S + row.ms / 1000, "request_end": BASE_S + 1 + row.ms / 1000}},
        }
        for n, row in enumerate(rows)
    ]  # fmt: skip
    requests = {"successful": successful, "errored": [], "incomplete": []}
    return {
        "metadata": {"version": 2},
        "benchmarks": [{"type_": "generative_benchmark", "requests": requests}],
    }


def _inference_perf(n: int, row: TraceRow) -> dict[str, Any]:
    start_s = 900 + row.ms / 1000
    return {
        "start_time": start_s, "end_time": start_s + 1, "request": "{}", "response": "{}",
        "info": {"input_tokens": row.prompt, "output_tokens": row.output}, "error": None,
    }  # fmt: skip


def _sharegpt(n: int, row: TraceRow) -> dict[str, Any]:
    said = [("human", "alpha " * row.prompt), ("gpt", "beta " * row.output)]
    talk = [{"from": who, "value": text.strip()} for who, text in said]
    return {"id": f"c{n}", "conversations": talk}


def _weka(n: int, row: TraceRow) -> dict[str, Any]:
    request = {"t": row.ms / 1000, "type": "n", "in": row.prompt, "out": row.output, "api_time": 1.0, "think_time": 0.0}  # fmt: skip
    return {"id": f"s{n}", "block_size": 64, "requests": [request]}


def _tool_session(n: int, row: TraceRow) -> dict[str, Any]:
    calls = [{"input_toks": row.prompt, "output_toks": row.output, "tool_duration_ns": 0}]
    return {"session_id": f"s{n}", "arrival_time_ns": row.ms * 10**6, "sub_requests": calls}


def _parquet(names: tuple[str, str, str], unit_per_s: float) -> Callable[[Sequence[TraceRow]], Any]:
    def write(rows: Sequence[TraceRow]) -> Any:
        times = [row.ms * unit_per_s / 1000 for row in rows]
        columns = (times, [row.prompt for row in rows], [row.output for row in rows])
        return pa.table(dict(zip(names, columns, strict=True)))

    return write


_NAMED = {"arrival": "when", "prompt": "asked", "output": "told"}
_BLIS = "request_id,client_id,session_id,round_index,prefix_group,prefix_length,input_tokens,output_tokens,arrival_time_us,send_time_us,last_chunk_time_us,status"
_TOKENS = {"prompt": "input_length", "output": "output_length"}

FORMS: tuple[Form, ...] = (
    Form("azure.csv", _table("TIMESTAMP,ContextTokens,GeneratedTokens", lambda n, row: (stamp(row.ms), row.prompt, row.output)),
         "table", arrival="TIMESTAMP", prompt="ContextTokens", output="GeneratedTokens"),
    Form("burstgpt.csv", _table("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
                                lambda n, row: (seconds(row.ms), "GPT-4", row.prompt, row.output, 1, "API log")),
         "table", unit="s", arrival="Timestamp", prompt="Request tokens", output="Response tokens"),
    Form("burstgpt_talks.csv", _table("Session ID,Elapsed time,Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
                                      lambda n, row: (n // 2, "0.200", seconds(row.ms), "GPT-4", row.prompt, row.output, 1, "API log")),
         "table", {"replay": "timestamps"}, unit="s", arrival="Timestamp", prompt="Request tokens", output="Response tokens"),
    Form("vidur.csv", _table("arrived_at,num_prefill_tokens,num_decode_tokens", lambda n, row: (seconds(row.ms), row.prompt, row.output)),
         "table", unit="s", arrival="arrived_at", prompt="num_prefill_tokens", output="num_decode_tokens"),
    Form("splitwise.csv", _table("request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size",
                                 lambda n, row: (n, 2, 0, seconds(row.ms), 1, row.prompt, row.output)),
         "table", unit="s", arrival="arrival_timestamp", prompt="prompt_size", output="token_size"),
    Form("blis.csv", _table(_BLIS, lambda n, row: (n, "c1", f"s{n}", 0, "", 0, row.prompt, row.output, 1000 * row.ms + 9000, 1000 * row.ms + 9000, 1000 * row.ms + 10**6, "ok")),
         "table", arrival="send_time_us", prompt="input_tokens", output="output_tokens"),
    Form("named.csv", _table("user,when,asked,told", lambda n, row: (f"u{n}", seconds(row.ms), row.prompt, row.output)),
         "table", {"columns": _NAMED, "time_unit": "s"}, unit="s", arrival="when", prompt="asked", output="told"),
    Form("dated.csv", _table("when,asked,told", lambda n, row: (stamp(row.ms).replace(" ", "T") + "Z", row.prompt, row.output)),
         "table", {"columns": _NAMED, "time_unit": "iso"}, arrival="when", prompt="asked", output="told"),
    Form("mooncake.jsonl", _lines(_mooncake), "lines", unit="ms", arrival="timestamp", **_TOKENS, first_line=1),
    Form("mooncake.json", _lines(_mooncake), "json", unit="ms", arrival="timestamp", **_TOKENS, first_line=0),
    Form("bailian.jsonl", _lines(_bailian), "lines", {"replay": "timestamps"}, unit="s", arrival="timestamp", **_TOKENS, first_line=1),
    Form("bailian_plain.jsonl", _lines(lambda n, row: _without(_bailian(n, row), "hash_ids")), "lines", {"replay": "timestamps"},
         unit="s", arrival="timestamp", **_TOKENS, first_line=1),
    Form("aiperf_rows.jsonl", _lines(lambda n, row: {"session_id": f"s{n}"} | _without(_mooncake(n, row), "hash_ids")), "lines",
         unit="ms", arrival="timestamp", **_TOKENS, first_line=1),
    Form("aiperf_records.jsonl", _lines(_aiperf_record), "lines", first_line=1),
    Form("llmservingsim.jsonl", _lines(lambda n, row: {"input_toks": row.prompt, "output_toks": row.output, "arrival_time_ns": row.ms * 10**6}), "lines",
         unit="ns", arrival="arrival_time_ns", prompt="input_toks", output="output_toks", first_line=1),
    Form("tool_sessions.jsonl", _lines(_tool_session), "lines", first_line=1),
    Form("weka.jsonl", _lines(_weka), "lines", first_line=1),
    Form("named.jsonl", _lines(lambda n, row: {"when": row.ms / 1000, "asked": row.prompt, "told": row.output, "who": f"u{n}"}), "lines",
         {"columns": _NAMED, "time_unit": "s"}, unit="s", arrival="when", prompt="asked", output="told", first_line=1),
    Form("vllm.json", _vllm, "json", first_line=0),
    Form("guidellm.json", _guidellm, "json", first_line=0),
    Form("inference_perf.json", _lines(_inference_perf), "json", first_line=0),
    Form("sharegpt.json", _lines(_sharegpt), "json", {"tokens_per_word": 1, "arrivals": {"process": "poisson", "rate": "1 /s"}}, times="", first_line=0),
    Form("mooncake.parquet", _parquet(("timestamp", "input_length", "output_length"), 1000.0), "parquet",
         unit="ms", arrival="timestamp", **_TOKENS, first_line=0),
    Form("named.parquet", _parquet(("when", "asked", "told"), 1.0), "parquet", {"columns": _NAMED, "time_unit": "s"},
         unit="s", arrival="when", prompt="asked", output="told", first_line=0),
    Form("own.parquet", _parquet(("arrival_s", "prompt_tokens", "output_tokens"), 1.0), "parquet",
         unit="s", arrival="arrival_s", prompt="prompt_tokens", output="output_tokens", first_line=0),
)  # fmt: skip


def content_of(form: Form, data: Any) -> bytes:
    """What a file of this form holds."""
    if form.kind == "table":
        return cells_as_text(data).encode()
    if form.kind == "lines":
        return "".join(json.dumps(row) + "\n" for row in data).encode()
    if form.kind == "json":
        return json.dumps(data).encode()
    written = io.BytesIO()
    pq.write_table(data, written)
    return written.getvalue()


def cells_as_text(cells: Table, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> str:
    """Cells as CSV."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=quoting).writerows(cells)  # type: ignore[arg-type]
    return text.getvalue()


def _zstd(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, "zstd", asbytes=True)
    return packed


def _zip(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("trace", content)
    return packed.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda content: gzip.compress(content, mtime=0),
    "zst": _zstd,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zip": _zip,
}
"""What packs a file, by the usual end of its name."""
