"""Latencies of single requests, of a measured result that has them and of a simulation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.export.benchmark import number
from cluster_sim.export.client_view import answers
from cluster_sim.results.results import Results
from cluster_sim.schema import parse_json, read_text
from cluster_sim.typing import Array

KINDS = ("ttft", "tpot", "e2el")
"""Latencies that are compared."""


@dataclass(frozen=True)
class RequestLatencies:
    """Latencies of the finished requests, in the order in which they were sent."""

    ttft_s: Array
    """Time from sending a request until its first token [s]."""
    tpot_s: Array
    """Mean gap between the tokens of a request [s]; NaN for an answer of one token."""
    e2el_s: Array
    """Time from sending a request until its last token [s]."""

    def of(self, kind: str) -> Array:
        """Return the known values of one of `KINDS` [s]."""
        values: Array = {"ttft": self.ttft_s, "tpot": self.tpot_s, "e2el": self.e2el_s}[kind]
        return values[~np.isnan(values)]


def of_run(results: Results) -> RequestLatencies:
    """Return the latencies of a simulation as a client sees them, without the warm-up."""
    seen = answers(results)
    done = seen.of_done
    later = (done.output_tokens - seen.first_tokens).astype(float)
    later[later <= 0] = np.nan
    return RequestLatencies(done.ttft_s, (done.finish_s - done.first_token_s) / later, done.e2el_s)


def of_result(path: Path) -> RequestLatencies | None:
    """Return the latencies in a result; None if it has none of single requests.

    Parameters
    ----------
    path
        Result of `vllm bench serve --save-detailed`, or AIPerf's profile_export_aiperf.json, beside
        which its profile_export.jsonl lies.

    Raises
    ------
    ScenarioError
        A file cannot be read, or a record has another form than its client writes.
    """
    beside = path.with_name(path.name.replace("profile_export_aiperf.json", "profile_export.jsonl"))
    if beside != path:
        return _rows(list(_of_records(beside)), path) if beside.is_file() else None
    result = parse_json(read_text(path), str(path))
    if not isinstance(result, Mapping) or not {"ttfts", "itls", "output_lens"} <= result.keys():
        return None
    try:
        rows = list(_of_lists(result))
    except (TypeError, ValueError) as error:
        raise ScenarioError.at(
            str(path),
            "has lists of requests that cannot be read; expected those of vllm bench serve --save-detailed",
        ) from error
    return _rows(rows, path)


def _of_lists(result: Mapping[str, Any]) -> Iterator[tuple[float, float, float]]:
    """Yield the latencies of requests that have an answer, by the lists of vLLM's client."""
    lists = (result["ttfts"], result["itls"], result["output_lens"])
    for ttft_s, gaps_s, tokens in zip(*lists, strict=True):
        if tokens:
            later_s = float(sum(gaps_s))
            tpot_s = later_s / (tokens - 1) if tokens > 1 else np.nan
            yield float(ttft_s), tpot_s, float(ttft_s) + later_s


def _of_records(path: Path) -> Iterator[tuple[float, float, float]]:
    """Yield the latencies of requests that have an answer, by AIPerf's records."""
    tags = ("time_to_first_token", "inter_token_latency", "request_latency")
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        record = parse_json(text, f"{path}:{line}")
        metrics = record.get("metrics") if isinstance(record, Mapping) else None
        if not isinstance(metrics, Mapping):
            raise ScenarioError.at(f"{path}:{line}", "has no metrics; expected a record of AIPerf")
        values = [number(metrics[tag].get("value")) if tag in metrics else None for tag in tags]
        if values[0] is not None and values[2] is not None:
            yield tuple(np.nan if value is None else 1e-3 * value for value in values)  # type: ignore[misc]  # three tags


def _rows(rows: list[tuple[float, float, float]], path: Path) -> RequestLatencies:
    if not rows:
        raise ScenarioError.at(str(path), "has no request with an answer; expected one at least")
    columns = np.array(rows).T
    return RequestLatencies(columns[0], columns[1], columns[2])
