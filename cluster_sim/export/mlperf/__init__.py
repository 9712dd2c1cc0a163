"""Writer of the logs of MLPerf's LoadGen.

Source: mlcommons/inference at b66003e, LoadGen 6.0.17 with token latencies.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.export.benchmark import ClientFile
from cluster_sim.export.client_view import Answers
from cluster_sim.export.mlperf.detail import detail
from cluster_sim.export.mlperf.queries import Queries
from cluster_sim.export.mlperf.summary import summary

__all__ = ["Queries", "detail", "files", "summary"]


def files(answers: Answers, *, detailed: bool) -> Iterator[ClientFile]:
    """Yield the two logs, which do not depend on `detailed`."""
    queries = Queries(answers)
    yield ClientFile("mlperf_log_summary.txt", [summary(queries)])
    yield ClientFile("mlperf_log_detail.txt", [detail(queries)])
