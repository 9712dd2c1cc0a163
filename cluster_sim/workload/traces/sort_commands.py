"""Shell commands that sort the rows of a trace by time, for messages."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path
from shlex import quote

from cluster_sim.workload.traces.archives import is_archive
from cluster_sim.workload.traces.documents import starts_as_array
from cluster_sim.workload.traces.file_kinds import UNPACK, packing_of
from cluster_sim.workload.traces.files import opened
from cluster_sim.workload.traces.headings import heading_of
from cluster_sim.workload.traces.known_names import alike
from cluster_sim.workload.traces.recognise import beginning
from cluster_sim.workload.traces.single_tables import only_in_tar


def way_to_sort(path: str, column: str | None, *, is_reversed: bool) -> str:
    """Return advice on how to sort a file by time, with a command if there is one.

    Parameters
    ----------
    path
        Path of the trace.
    column
        Column of times, or keys separated by points; None if the format defines it.
    is_reversed
        Whether the newest row comes first.
    """
    if is_archive(path):
        return "sort its rows by their times"
    begun = beginning(path)
    names = alike(begun.names, "timestamp")
    if column is None and len(names) != 1:
        return "sort its rows by their times"
    column = column or names[0]
    way = f"sort the file by {column}"
    if begun.kind == "parquet":
        return f"{way}, in the database from which it was exported"
    with Path(path).open("rb") as file:
        packing = packing_of(file.read(8))
    if packing is not None:
        return f"unpack it ({UNPACK[packing]}), and {way}"
    if only_in_tar(path) is not None:
        return f"unpack it (tar -xf), and {way}"
    if begun.kind == "table":
        return f"{way}: {_of_table(path, column, is_reversed=is_reversed)}"
    keys = "".join(f'."{key}"' for key in column.split("."))
    if starts_as_array(path):
        return f"{way}: jq -c {quote(f'sort_by({keys})')} {quote(path)} > sorted.json"
    if is_reversed:
        return f"{way}: tac {quote(path)} > sorted.jsonl"
    return f"{way}: jq -s -c {quote(f'sort_by({keys})[]')} {quote(path)} > sorted.jsonl"


def _of_table(path: str, column: str, *, is_reversed: bool) -> str:
    """Return the command that sorts the rows of a CSV file below its heading."""
    heading = heading_of(path)
    above, file = heading.lines, quote(path)
    sort = "tac"
    if not is_reversed:
        place = heading.names.index(column)
        with opened(path) as text:
            rows = csv.reader(islice(text, above, None), delimiter=heading.delimiter)
            first = next(rows, [])
        is_number = len(first) > place and _is_number(first[place])
        between = "$'\\t'" if heading.delimiter == "\t" else quote(heading.delimiter)
        sort = f"sort -t{between} -k{place + 1},{place + 1}{'g' if is_number else ''}"
    return f"(head -n {above} {file}; tail -n +{above + 1} {file} | {sort}) > sorted.csv"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
