"""Known files without single requests; each is refused with the name of the file to use instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.archives import documents, names
from cluster_sim.workload.traces.documents import parsed
from cluster_sim.workload.traces.file_kinds import tables
from cluster_sim.workload.traces.files import opened
from cluster_sim.workload.traces.packing import is_hidden
from cluster_sim.workload.traces.refusals import listed
from cluster_sim.workload.traces.source import Beginning
from cluster_sim.workload.traces.weka import looks_like_weka


class _Summary(NamedTuple):
    """Kind of file that cannot be replayed."""

    recognises: Callable[[Beginning], bool]
    """Test whether a file with this beginning is of the kind."""
    what: str
    """Description of the file, as the predicate of the message."""
    expected: str
    """File that can be replayed instead."""


def _is_mlperf(begun: Beginning) -> bool:
    """Return whether a file is a log of LoadGen, or its summary, which begins with a line of `=`."""
    if begun.kind != "table" or not begun.names:
        return False
    if begun.names[0].startswith(":::MLLOG"):
        return True
    if not begun.names[0].startswith("====="):
        return False
    with opened(begun.path) as text:
        return "MLPerf" in text.read(400)


def _is_aiperf(begun: Beginning) -> bool:
    """Return whether a file is a summary of AIPerf, as JSON or CSV, or of GenAI-Perf."""
    if begun.kind == "table":
        return begun.names[:1] == ("Metric",) and begun.has("avg", "p99")
    latency = begun.first.get("request_latency") if isinstance(begun.first, Mapping) else None
    return begun.has("aiperf_version") or (isinstance(latency, Mapping) and "unit" in latency)


_SUMMARIES = (
    _Summary(
        _is_mlperf,
        "is a log of MLPerf's LoadGen, which has figures of the whole run but no single requests",
        "an export of vllm, aiperf or guidellm",
    ),
    _Summary(
        _is_aiperf,
        "is AIPerf's summary, which has no single requests",
        "profile_export.jsonl in the same folder",
    ),
    _Summary(
        lambda begun: begun.has("experiments", "service_kind"),
        "is a profile of Perf Analyzer (GenAI-Perf), which does not count tokens",
        "profile_export.jsonl of AIPerf",
    ),
    _Summary(
        lambda begun: begun.has("load_summary", "successes"),
        "is inference-perf's summary, which has no single requests",
        "per_request_lifecycle_metrics.json in the same folder (report.request_lifecycle.per_request: true)",
    ),
)


def refuse_summaries(begun: Beginning) -> None:
    """Raise ScenarioError for a known file without single requests."""
    for kind in _SUMMARIES:
        if kind.recognises(begun):
            raise ScenarioError.at(begun.path, f"{kind.what}; expected {kind.expected}")


def refuse_run_folder(path: str) -> None:
    """Raise ScenarioError for the folder of a run, and name its file of requests."""
    requests = Path(path) / "requests.parquet"
    if requests.is_file():
        raise ScenarioError.at(path, f"is the folder of a run; expected its file {requests}")


def refuse_tables(path: str) -> None:
    """Raise ScenarioError for a folder or archive of tables, since one table must be named."""
    own = sorted(name for name in tables(names(path)) if not is_hidden(name))
    is_json = [".json" in name.casefold() for name in own]
    if not own or (any(is_json) and _begins_with_session(path)):
        return
    tables_text = f"{len(own)} tables" if len(own) > 1 else "a table"
    if Path(path).is_dir():
        inside = [str(Path(name).relative_to(path)) for name in own]
        raise ScenarioError.at(
            path,
            f"is a folder of {tables_text}: {listed(inside)}; expected one file: path: {own[0]}",
        )
    raise ScenarioError.at(
        path, f"has {tables_text}: {listed(own)}; expected one file: unpack it and name one of them"
    )


def _begins_with_session(path: str) -> bool:
    """Return whether the first JSON document is a session of weka, or is not JSON."""
    text = next(documents(path)).text
    try:
        value = parsed(text)
    except (ValueError, RecursionError):
        try:
            value = parsed(text.lstrip().split("\n", 1)[0])
        except (ValueError, RecursionError):
            return True  # The reader of weka reports the fault.
    return looks_like_weka(value)
