"""Writer of GuideLLM's benchmarks.json, report version 2."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from cluster_sim.export.benchmark import writer
from cluster_sim.export.client_view import Answers
from cluster_sim.export.guidellm.columns import Columns
from cluster_sim.export.guidellm.metrics import metrics
from cluster_sim.export.guidellm.requests import requests, scheduler_metrics, scheduler_state
from cluster_sim.export.guidellm.strategy import profile, strategy
from cluster_sim.typing import Array


def document(answers: Answers) -> dict[str, Any]:
    """Return the report: one benchmark of the requests outside the warm-up.

    Rejected requests are errored, unfinished requests are incomplete. A percentile is the smallest
    value whose cumulative weight reaches the percentage. request_latency is in seconds, all other
    latencies are in ms. time_per_output_token_ms is latency over tokens, weighted by tokens.
    inter_token_latency_ms excludes the first token, and is weighted by tokens less one. Rates and
    concurrency are weighted by time; the tokens of a request are spread evenly from the first to the
    last, like in GuideLLM. There are no confidence intervals.
    """
    scenario = answers.results.scenario
    chosen = strategy(scenario)
    metadata = {
        "version": 2,
        "guidellm_version": writer(),
        "python_version": platform.python_version(),
        "platform": "simulation",
    }
    lengths = {
        "kind": "synthetic_text",
        "prompt_tokens": _mean(answers.prompt_tokens),
        "output_tokens": _mean(answers.output_tokens),
    }
    spec = {
        "backend": {"kind": "openai_http", "target": "http://simulated"},
        "profile": profile(chosen),
        "data": [lengths],
    }
    config = {
        "metadata": {"labels": {"name": scenario.title, "simulated_by": writer()}},
        "spec": spec,
        "benchmarks": [None],
    }
    benchmarks = [_benchmark(answers, chosen)]
    return {"metadata": metadata, "config": config, "benchmarks": benchmarks, "conclusions": []}


def _benchmark(answers: Answers, chosen: dict[str, Any]) -> dict[str, Any]:
    columns = Columns(answers)
    return {
        "type_": "generative_benchmark",
        "config": _config(answers, chosen),
        "scheduler_state": scheduler_state(columns),
        "scheduler_metrics": scheduler_metrics(columns) | {"strategy_type": chosen["type_"]},
        "metrics": metrics(columns),
        "requests": {
            "successful": requests(columns, "successful"),
            "incomplete": requests(columns, "incomplete"),
            "errored": requests(columns, "errored"),
            "total": None,
        },
        "warnings": [],
        "start_time": columns.began_s,
        "end_time": columns.ended_s,
        "duration": columns.ended_s - columns.began_s,
        "warmup_duration": 0.0,
        "cooldown_duration": 0.0,
    }


def _config(answers: Answers, chosen: dict[str, Any]) -> dict[str, Any]:
    scenario = answers.results.scenario
    return {
        "id_": scenario.title,
        "run_id": scenario.name,
        "run_index": 0,
        "strategy": chosen,
        "constraints": {},
        "sample_size": None,
        "warmup": {"percent": None, "value": scenario.warmup_s or None, "mode": "duration"},
        "cooldown": {"percent": None, "value": None, "mode": "prefer_duration"},
        "prefer_response_metrics": True,
        "slo": _slo(answers),
        "confidence": None,
        "warnings": [],
        "profile": {"kind": chosen["type_"]},
        "requests": {"seed": scenario.seed},
        "backend": {"kind": "cluster-sim", "model": scenario.model.name},
        "environment": {"simulated_by": writer()},
    }


def _slo(answers: Answers) -> dict[str, Any] | None:
    """Return the objectives [ms]; None without objectives."""
    slo = answers.results.scenario.slo
    limits_s = {"ttft": slo.ttft_s, "tpot": slo.tpot_s, "e2el": slo.e2el_s}
    if not any(limits_s.values()):
        return None
    return {
        f"{name}_ms": None if limit_s is None else 1e3 * limit_s
        for name, limit_s in limits_s.items()
    }


def _mean(values: Array) -> int:
    return max(round(float(np.mean(values))), 1) if len(values) else 1
