"""Readers of whole JSON documents: a document, an array of rows, or one document per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from json import JSONDecoder
from pathlib import Path
from typing import IO, Any, NamedTuple

from orjson import loads

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.files import opened

MAX_DOCUMENT_BYTES = 1_000_000_000
"""Maximum unpacked size of a JSON file that is read as a whole [bytes]."""


class TraceDocument(NamedTuple):
    """JSON document of a trace, with its file and line."""

    file: str
    """Name of the file."""
    line: int
    """Line at which the document begins."""
    text: str
    """Text of the document."""


def documents_of_file(path: str) -> Iterator[TraceDocument]:
    """Yield the JSON documents of a file: its lines, or the whole file."""
    with opened(path) as file:
        begin, first = next(
            ((number, line) for number, line in enumerate(file, start=1) if line.strip()), (1, "")
        )
        try:
            loads(first)
        except (ValueError, RecursionError):
            yield TraceDocument(path, begin, first + whole_text(file, path))
            return
        for number, line in enumerate(chain([first], file), start=begin):
            if line.strip():
                yield TraceDocument(path, number, line)


def starts_as_array(path: str | Path) -> bool:
    """Return whether the text of a file starts like a JSON array."""
    with opened(path) as text:
        while (some := text.read(4096)) and not (start := some.lstrip(" \t\r\n")):
            pass
    return bool(some) and start[0] == "["


def whole_text(text: IO[str], where: str) -> str:
    """Return the rest of a text. Raises ScenarioError if it is too large to be read as a whole."""
    content = text.read(MAX_DOCUMENT_BYTES)
    if text.read(1):
        raise ScenarioError.at(
            where,
            f"is one JSON value of more than {MAX_DOCUMENT_BYTES / 1e9:g} GB; expected one object per line",
        )
    return content


def read_document(path: str | Path) -> Any:
    """Return the value of a JSON file that is read as a whole.

    Raises ScenarioError with the line of the fault if the file is not valid JSON, and if it is too large.
    """
    with opened(path, has_lines=False) as text:
        content = whole_text(text, str(path))
    try:
        return parsed(content)
    except (ValueError, RecursionError) as fault:
        line = getattr(fault, "lineno", 1)
        raise ScenarioError.at(f"{path}:{line}", f"is not valid JSON: {fault}") from fault


def parsed(text: str) -> Any:
    """Return a JSON value; Infinity and NaN, which Python clients write, are accepted.

    Raises ValueError or RecursionError if the text is not JSON.
    """
    try:
        return loads(text)
    except ValueError:
        if "Infinity" not in text and "NaN" not in text:
            raise
        return json.loads(text)


def array_lines(path: str | Path) -> list[int]:
    """Return the line at which each element of a JSON array starts."""
    with opened(path, has_lines=False) as text:
        content = text.read()
    lines: list[int] = []
    decoder, at, line = JSONDecoder(), content.index("[") + 1, 1
    line += content.count("\n", 0, at)
    while True:
        start = at
        while content[at] in " \t\r\n,":
            at += 1
        line += content.count("\n", start, at)
        if content[at] == "]":
            return lines
        lines.append(line)
        start = at
        _, at = decoder.raw_decode(content, at)
        line += content.count("\n", start, at)
