"""Workload of a measured run, in the keys of a scenario."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Any

from cluster_sim.validation import mlperf
from cluster_sim.validation.measured import MeasuredRun

_QUESTION, _ANSWER = 245.0, 620.0
"""Mean tokens of a question and of an answer of the multi-turn sweep, see `_conversations`."""
_QUESTION_SIGMA = sqrt(log(1.0 + (1609.18 / 295.58) ** 2))
_ANSWER_VARIANCE = log(1.0 + (410.91 / 441.34) ** 2)
_MOST_REQUESTS = 100_000
"""Number of requests that a run is simulated with at most: MLPerf's go on for 10 min (Offline) or
40 min (Server) at up to a thousand requests per second."""


def workload_of(measured: MeasuredRun, model: str) -> dict[str, Any]:
    """Return the workload of a run.

    Clients: a closed loop of 10 requests per client. Sessions: conversations one after another.
    Queued: everything at time zero, at most `_MOST_REQUESTS` of them. Poisson: 40 min of arrivals,
    at most `_MOST_REQUESTS`.

    Parameters
    ----------
    measured
        Run.
    model
        Name of its model in the catalog.
    """
    if measured.load == "sessions":
        return {"sessions": _conversations(measured)}
    prompts, answers = _lengths(measured, model)
    return {"arrivals": _arrivals(measured), "prompt_tokens": prompts, "output_tokens": answers}


def _conversations(measured: MeasuredRun) -> dict[str, Any]:
    """Return the conversations of the multi-turn sweep, the same in every run.

    Each client has them one after another. Its rows together tell: 250 tokens of a prompt are not
    found in the cache whatever the number of clients, half a block of them lost to whole blocks;
    answers have 610 tokens with 16 clients; and mean prompts fall from 2,105 with 16 clients as
    they do where all begin with their first turn and end after some 6,600 requests together. Then a
    prompt, k - 1 times a question and an answer and one question more, is of the turn k = 3.2 in
    the mean, and there are 5.4 turns. Each client asks again as soon as it is answered: rate times
    latency is the number of clients in every row. Lengths spread as in WildChat, from which the
    conversations are: 295.6 +- 1609 tokens of people and 441 +- 411 of answers (Zhao et al., arXiv
    2405.01470, table 1), log-normal; half of the variance of the logarithm of answers lies between
    conversations (estimate).
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
    return {"process": "at_once", "requests": 1 if measured.load == "none" else queued}


def _lengths(measured: MeasuredRun, model: str) -> tuple[Any, Any]:
    """Return the distributions of prompts and answers.

    They are those of the MLPerf data sets, spread as InferenceMAX does, or nominal.
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
    return round(measured.isl), round(measured.osl)
