"""Reasons why requests got no answer, counted from the tables of a run.

The table of `cluster-sim run` and the report show them below the rows `rejected` and `failed`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from cluster_sim.deployment.size_limits import size_limits
from cluster_sim.results.given_up import DENIED, given_up
from cluster_sim.results.metrics.finished import class_numbers, counted
from cluster_sim.results.run_data import RunData
from cluster_sim.serving.admission import Refusal
from cluster_sim.typing import Array
from cluster_sim.units import duration_text

Outcome = Literal["failed", "rejected"]
"""Field of summary.json that counts the requests."""

_NOT_RECORDED = "no reason recorded"
_ALL_DOWN = Refusal(
    "no available replica could serve it", "add replicas, so that one remains if others are lost"
)
_NO_RULE = Refusal(
    "no rule of the router matches it",
    "a last rule without `when` in `cluster.router.rules` takes all other requests",
)
_POOL_TOO_SMALL = Refusal(
    "longer than the pools hold to which the router's rules lead it",
    "a further rule of `cluster.router.rules` to a pool that holds it",
)
_OF_CODES = {"all_down": _ALL_DOWN, "no_rule": _NO_RULE, "pool_too_small": _POOL_TOO_SMALL}
_LOST = Refusal("lost with its replica; no other replica could serve it", _ALL_DOWN.remedy)


class Reason(NamedTuple):
    """One reason for which requests got no answer."""

    outcome: Outcome
    """Field of summary.json that counts these requests."""
    text: str
    """Reason in plain words, with the limit that was exceeded."""
    requests: int
    """Number of requests outside the warm-up."""
    remedy: str
    """Change of the scenario that helps; empty if there is none to name."""


def unanswered(run: RunData) -> tuple[Reason, ...]:
    """Return the reasons why requests of a run got no answer, the most frequent first.

    Each request that `rejected` or `failed` of summary.json counts has exactly one reason.

    Returns
    -------
    tuple
        Reasons of both outcomes. The counts of an outcome add up to its field of summary.json.
    """
    counts: Counter[tuple[Outcome, Refusal]] = Counter()
    for outcome, refusal, count in (*_rejected(run), *_failed(run)):
        counts[outcome, refusal] += count * run.scenario.stands_for
    return tuple(
        Reason(outcome, refusal.text, count, refusal.remedy)
        for (outcome, refusal), count in sorted(
            counts.items(), key=lambda item: (-item[1], item[0])
        )
    )


def remedies(reasons: Sequence[Reason]) -> list[str]:
    """Return one line per remedy, after the reasons that it mends, in order of the reasons."""
    texts: dict[str, dict[str, None]] = {}
    for reason in reasons:
        if reason.remedy:
            texts.setdefault(reason.remedy, {})[reason.text.removesuffix(DENIED)] = None
    return [f"{'; '.join(against)}: {remedy}" for remedy, against in texts.items()]


_Counted = Iterator[tuple[Outcome, Refusal, int]]


def _rejected(run: RunData) -> _Counted:
    """Yield the reasons of rejections, with numbers of requests."""
    table = run.requests
    rejected = counted(run) & (table["status"].to_numpy() == "rejected")
    if not rejected.any():
        return
    codes = _codes(run, "rejected")[rejected]
    prompt, output = (
        table[name].to_numpy()[rejected] for name in ("prompt_tokens", "output_tokens")
    )
    class_number = class_numbers(run)[rejected]
    limits, admission = size_limits(run.scenario), run.scenario.cluster.admission
    ttft_s = [slo.ttft_s for slo in run.scenario.slos]
    for code in dict.fromkeys(codes.tolist()):
        is_of_code = codes == code
        if code in _OF_CODES:
            yield "rejected", _OF_CODES[code], int(np.sum(is_of_code))
            continue
        alike = np.stack((class_number, prompt, output))[:, is_of_code]
        kinds, numbers = np.unique(alike, axis=1, return_counts=True)
        for (class_, prompt_tokens, output_tokens), number in zip(
            kinds.T.tolist(), numbers.tolist(), strict=True
        ):
            if code == "too_long":
                refusal = limits.refusal(prompt_tokens, output_tokens)
            elif code == admission.policy:
                refusal = admission.refusal(ttft_s[class_], prompt_tokens + output_tokens)
            else:
                refusal = Refusal(code or _NOT_RECORDED, "")
            yield "rejected", refusal, number


def _failed(run: RunData) -> _Counted:
    """Yield the reasons of requests that were lost, and the state of those still inside."""
    table = run.requests
    is_counted, status = counted(run), table["status"].to_numpy()
    unfinished, lost = (is_counted & (status == name) for name in ("unfinished", "failed"))
    # earlier versions also gave lost requests the status `unfinished`
    lost |= unfinished & (_codes(run, "failed") != "")
    yield from _present("failed", _LOST, lost)
    yield from (("failed", refusal, number) for refusal, number in given_up(run))
    inside = unfinished & ~lost
    if not inside.any():
        return
    is_admitted, has_token = (
        ~np.isnan(table[name].to_numpy()) for name in ("admitted_s", "first_token_s")
    )
    states = (
        ("still waiting", ~is_admitted & ~has_token),
        ("still in prefill", is_admitted & ~has_token),
        ("still in decode or KV transfer", has_token),
    )
    when, remedy = _end(run)
    for state, is_in_it in states:
        yield from _present("failed", Refusal(f"{state} when {when}", remedy), inside & is_in_it)


def _present(outcome: Outcome, refusal: Refusal, requests: Array) -> _Counted:
    """Yield a reason with the number of its requests if there are any."""
    if number := int(np.sum(requests)):
        yield outcome, refusal, number


def _end(run: RunData) -> tuple[str, str]:
    """Return the cause of the end of a run with unfinished requests, and a remedy."""
    if run.info.stopped is not None:
        return "a limit ended the run", ""
    if run.scenario.duration_s is None:
        return "the run ended", ""
    drain = duration_text(run.scenario.drain_s)
    return (
        f"the drain of {drain} ended",
        "a longer `drain`, unless the rate is above what the cluster sustains",
    )


def _codes(run: RunData, what: Outcome) -> Array:
    """Return the reason of each request in events of one kind; empty if there are none."""
    events, requests = run.events, run.requests
    codes: Array = np.full(requests.num_rows, "", dtype=object)
    is_of_kind = events["what"].to_numpy() == what
    if is_of_kind.any():
        row_of = {number: row for row, number in enumerate(run.served_numbers.tolist())}
        numbers = events["request"].to_numpy()[is_of_kind].tolist()
        reasons = events["reason"].to_numpy()[is_of_kind].tolist()
        for number, reason in zip(numbers, reasons, strict=True):
            if (row := row_of.get(number)) is not None:
                codes[row] = reason or _NOT_RECORDED
    return codes


def reason_rows(outcome: Outcome, runs: Sequence[Sequence[Reason]]) -> list[tuple[str, list[int]]]:
    """Return the rows of a table below an outcome: a reason, and its requests in each run.

    Reasons are in descending order of their largest number of requests in one run. Timeouts with
    and without a retry that the budget denied share a row; a row of its own counts what it denied.
    """
    counts: list[Counter[str]] = [Counter() for _ in runs]
    for of_run, reasons in zip(counts, runs, strict=True):
        for reason in reasons:
            if reason.outcome == outcome:
                of_run[reason.text.removesuffix(DENIED)] += reason.requests
    texts = dict.fromkeys(text for of_run in counts for text in of_run)
    rows = [(text, [of_run.get(text, 0) for of_run in counts]) for text in texts]
    return sorted(rows, key=lambda row: -max(row[1]))
