"""Writer of GuideLLM's report. Source: schemas and docs/guides/metrics.md of guidellm 0.8.1."""

from __future__ import annotations

import json
from collections.abc import Iterator

from cluster_sim.export.benchmark import ClientFile
from cluster_sim.export.client_view import Answers
from cluster_sim.export.guidellm.distributions import PERCENTILES, concurrency, rates, summary
from cluster_sim.export.guidellm.report import document

__all__ = ["PERCENTILES", "concurrency", "document", "files", "rates", "summary"]


def files(answers: Answers, *, detailed: bool) -> Iterator[ClientFile]:
    """Yield the report, which does not depend on `detailed`."""
    yield ClientFile("benchmarks.json", [json.dumps(document(answers))])
