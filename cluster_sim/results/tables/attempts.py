"""The table of attempts of clients, and the table of requests that follows from it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from cluster_sim.request import ClientRequest
from cluster_sim.results.attempt_columns import MORE_NAMES, OUTCOMES
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.request_values import request_values
from cluster_sim.results.tables.arrow import column, seconds
from cluster_sim.typing import Array


def attempts_table(served: pa.Table, recorder: Recorder) -> pa.Table:
    """Return one row per attempt, see attempt_columns.ATTEMPTS.

    Parameters
    ----------
    served
        Columns that every request of the cluster has, one row per attempt.
    recorder
        Rows recorded during the run.
    """
    attempts, originals = recorder.requests, recorder.originals
    original = request_values(attempts, "original", np.int64)
    status, is_done = served["status"].to_numpy(), ~np.isnan(served["finish_s"].to_numpy())
    is_answer = _is_answer(original, originals)
    by_user = np.array([each.status == "cancelled" for each in originals], dtype=bool)[original]
    outcome = np.where(is_answer, "answered", status)
    # only the answer of a user who leaves ends with a last token
    is_copy = (status == "cancelled") & ~(by_user & is_done)
    outcome = np.where(is_copy | ((status == "finished") & ~is_answer), "superseded", outcome)
    is_waste = ~np.isin(outcome, ("answered", "unfinished"))
    generated = np.where(
        is_done, served["output_tokens"].to_numpy(), request_values(attempts, "generated", np.int64)
    )
    return (
        served.append_column("original", column(original))
        .append_column("attempt", column(request_values(attempts, "attempt", np.int32)))
        .append_column("cause", _named(_causes(recorder), ("first", "retry", "hedge")))
        .append_column("outcome", _named(outcome.tolist(), OUTCOMES))
        .append_column("left_s", seconds(_left_s(served, recorder)))
        .append_column("wasted_tokens", column(np.where(is_waste, generated, 0)))
        .append_column(
            "wasted_prompt_tokens", column(np.where(is_waste, _prefilled(served, recorder), 0))
        )
    )


def client_requests_table(attempts: pa.Table, recorder: Recorder) -> pa.Table:
    """Return one row per request of a client, see columns.REQUESTS.

    A row has the values of the attempt that was answered, or that its user left, or else of the last
    attempt. Arrival, lengths, class and status are those of the request.

    Parameters
    ----------
    attempts
        Table of attempts of the run.
    recorder
        Rows recorded during the run.
    """
    originals = recorder.originals
    rows = _shown(attempts, originals)
    shown = attempts.take(pa.array(rows))
    statuses = [each.status for each in originals]
    is_done = np.array([status == "finished" for status in statuses], dtype=bool)
    ended_s = np.fromiter((each.end_s for each in originals), float, len(originals))
    finish_s = np.where(is_done, shown["finish_s"].to_numpy(), np.nan)
    ended_s = np.where(is_done, finish_s, ended_s)
    # what happens to an attempt after its client has given up is of no request
    admitted_s, first_s = (
        np.where(~is_done & (times_s > ended_s), np.nan, times_s)
        for times_s in (shown[name].to_numpy() for name in ("admitted_s", "first_token_s"))
    )
    firsts = [each.first for each in originals]
    changed = {
        "request": column(np.fromiter((each.number for each in originals), np.int64)),
        "status": _named(statuses, tuple(dict.fromkeys(statuses))),
        "output_tokens": column(request_values(firsts, "output_tokens", np.int64)),
        "arrival_s": column(request_values(firsts, "arrival_s")),
        "admitted_s": seconds(admitted_s),
        "first_token_s": seconds(first_s),
        "finish_s": seconds(finish_s),
        "attempts": column(np.fromiter((each.attempts for each in originals), np.int32)),
        "ended_s": seconds(ended_s),
        "shown_attempt": column(rows),
        "denied_attempts": column(np.fromiter((each.denied for each in originals), np.int32)),
    }
    for name in ("bus_s", "link_s", "kv_contention_s"):
        changed[name] = seconds(np.where(is_done, shown[name].to_numpy(), np.nan))
    names = [name for name in shown.column_names if name not in MORE_NAMES]
    return pa.table(
        {name: changed.get(name, shown[name]) for name in names} | changed
    ).combine_chunks()


def _is_answer(original: Array, originals: list[ClientRequest]) -> Array:
    """Return whether the client uses the answer of each attempt."""
    winners = [-1 if each.winner is None else each.winner.number for each in originals]
    is_answer: Array = np.array(winners, dtype=np.int64)[original] == np.arange(len(original))
    return is_answer


def _shown(attempts: pa.Table, originals: list[ClientRequest]) -> Array:
    """Return the attempt whose values the row of each request has."""
    rows = np.array(
        [(each.winner or each.last or each.first).number for each in originals], dtype=np.int64
    )
    left = np.flatnonzero(attempts["outcome"].to_numpy() == "cancelled")
    rows[attempts["original"].to_numpy()[left]] = left
    return rows


def _causes(recorder: Recorder) -> list[str]:
    """Return why each attempt was sent."""
    kinds = {"retried_by_client": "retry", "hedged": "hedge"}
    causes = ["first"] * len(recorder.requests)
    for _, what, _, number, _ in recorder.events:
        if what in kinds:
            causes[number] = kinds[what]
    return causes


def _left_s(served: pa.Table, recorder: Recorder) -> Array:
    """Return the time at which each attempt left the cluster [s]; NaN if it did not."""
    left_s: Array = served["finish_s"].to_numpy().copy()
    for number, at_s in recorder.cancelled.items():
        left_s[number] = at_s
    for at_s, what, _, number, _ in recorder.events:
        if what in ("rejected", "failed"):
            left_s[number] = at_s
    return left_s


def _prefilled(served: pa.Table, recorder: Recorder) -> Array:
    """Return the number of prompt tokens that each attempt had computed, cached ones excluded."""
    prompt, cached = (served[name].to_numpy() for name in ("prompt_tokens", "prefix_hit_tokens"))
    # a request that leaves at the end of its last step of prefill has a token, but no time of it
    has_token = ~np.isnan(served["first_token_s"].to_numpy()) | (
        request_values(recorder.requests, "generated", np.int64) > 0
    )
    partly = request_values(recorder.requests, "prefilled", np.int64)
    tokens: Array = np.clip(np.where(has_token, prompt, partly) - cached, 0, None)
    return tokens


def _named(values: list[str], names: tuple[str, ...]) -> pa.DictionaryArray:
    """Return texts as a dictionary column."""
    place = {name: number for number, name in enumerate(names)}
    indices = np.fromiter((place[value] for value in values), np.int8, len(values))
    return pa.DictionaryArray.from_arrays(column(indices), list(names))
