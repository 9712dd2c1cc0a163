"""Workload of a measured run, as keys of a scenario."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Any

from cluster_sim.validation import mlperf
from cluster_sim.validation.measured import MeasuredRun

_QUESTION, _ANSWER = 245.0, 620.0
"""Mean length of a question and of an answer of the multi-turn sweep [tokens], see
`_conversations`."""
_QUESTION_SIGMA = sqrt(log(1.0 + (1609.18 / 295.58) ** 2))
_ANSWER_VARIANCE = log(1.0 + (410.91 / 441.34) ** 2)
_MOST_REQUESTS = 100_000
"""Maximum number of simulated requests per run. MLPerf runs take 10 min (Offline) or 40 min
(Server) at up to a thousand requests per second."""


def workload_of(measured: MeasuredRun, model: str) -> dict[str, Any]:
    """Return the workload of a run as keys of a scenario.

    Clients: a closed loop of 10 requests per client. Sessions: each client has conversations one
    after another. Agents: see `agents`. Queued: all requests at time zero, at most 100,000.
    Poisson: arrivals of 40 min, at most 100,000. Groups alone, and memory: one request.

    Parameters
    ----------
    measured
        Measured run.
    model
        Name of the model in the catalog.
    """
    if measured.load == "sessions":
        return {"sessions": _conversations(measured)}
    if measured.agents is not None:
        return measured.agents.workload(measured.isl, measured.osl)
    prompts, answers = _lengths(measured, model)
    return {"arrivals": _arrivals(measured), "prompt_tokens": prompts, "output_tokens": answers}


def _conversations(measured: MeasuredRun) -> dict[str, Any]:
    """Return the conversations of the multi-turn sweep; they are equal in every run.

    Each client has conversations one after another, and asks again as soon as it has an answer: in
    every row, rate times latency equals the number of clients.

    The means follow from all rows of the sweep. For any number of clients, the prefix cache misses
    250 tokens of a prompt, of which half a block is due to whole blocks. Answers have 610 tokens
    with 16 clients. Mean prompts fall from 2,105 tokens with 16 clients; they do so if all clients
    begin with a first turn and the run ends after about 6,600 requests. A prompt of turn k has k
    questions and k - 1 answers, so the mean turn is k = 3.2, and conversations have 5.4 turns.

    Lengths vary as in WildChat, the source of the conversations: log-normal, 295.6 +- 1609 tokens
    of users and 441 +- 411 tokens of answers (Zhao et al., arXiv 2405.01470, table 1). Half of the
    variance of the logarithm of answers is between conversations (estimate).
    """
    half = sqrt(_ANSWER_VARIANCE / 2.0)
    asked, answered = (
        {"distribution": "lognormal", "median": mean * exp(-0.5 * sigma**2), "sigma": sigma}
        for mean, sigma in ((_QUESTION, _QUESTION_SIGMA), (_ANSWER, half))
    )
    return {
        "concurrency": int(measured.amount),
        "requests": 6600,
        "turns": {"median": 5.85, "sigma": 0.1, "max": 10},
        "first_tokens": asked,
        "user_tokens": asked,
        "output_tokens": answered,
        "output_sigma": half,
        "user_gap": "0 s",
    }


def _arrivals(measured: MeasuredRun) -> dict[str, Any]:
    if measured.load == "clients":
        return {
            "process": "closed_loop",
            "concurrency": int(measured.amount),
            "requests": 10 * int(measured.amount),
        }
    if measured.load == "poisson":
        return {
            "process": "poisson",
            "rate": f"{measured.amount:g} /s",
            "requests": min(round(2400.0 * measured.amount), _MOST_REQUESTS),
        }
    queued = min(round(measured.amount) or _MOST_REQUESTS, _MOST_REQUESTS)
    is_queue = measured.load == "queued"
    return {"process": "at_once", "requests": queued if is_queue else 1}


def _lengths(measured: MeasuredRun, model: str) -> tuple[Any, Any]:
    """Return the distributions of the lengths of prompts and answers.

    MLPerf runs have the lengths of their data sets. Runs of InferenceMAX have uniform lengths. All
    other runs have the nominal lengths.
    """
    known = mlperf.lengths(measured, model)
    if known is not None:
        return known
    if measured.spread:
        prompts, answers = (
            {"distribution": "uniform", "low": round(0.8 * nominal), "high": round(nominal)}
            for nominal in (measured.isl, measured.osl)
        )
        return prompts, answers
    return round(measured.isl), max(round(measured.osl), 1)
