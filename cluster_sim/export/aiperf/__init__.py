"""Writer and reader of files of NVIDIA AIPerf; the reader also accepts GenAI-Perf's files.

Source: AIPerf 0.13.0, schema 1.4, docs/reference/json-export-schema.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from cluster_sim.export.aiperf.document import (
    as_measured,
    benchmark,
    document,
    recognises,
    table,
)
from cluster_sim.export.aiperf.metrics import RECORDS, STATISTICS, TOTALS
from cluster_sim.export.aiperf.records import records
from cluster_sim.export.benchmark import ClientFile
from cluster_sim.export.client_view import Answers

__all__ = [
    "RECORDS",
    "STATISTICS",
    "TOTALS",
    "as_measured",
    "benchmark",
    "document",
    "files",
    "recognises",
    "records",
    "table",
]


def files(answers: Answers, *, detailed: bool) -> Iterator[ClientFile]:
    """Yield the client's files: figures as JSON and as CSV, and one record per request."""
    result = document(answers)
    yield ClientFile("profile_export_aiperf.json", [json.dumps(result, indent=2)])
    yield ClientFile("profile_export_aiperf.csv", [table(result)])
    lines = (f"{record}\n" for record in records(answers, detailed=detailed))
    yield ClientFile("profile_export.jsonl", lines)
