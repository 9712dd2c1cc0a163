"""Reasons why clients gave requests up: timeouts by the state of the request, and users who leave."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cluster_sim.results.metrics.finished import class_numbers, counted
from cluster_sim.results.run_data import RunData
from cluster_sim.serving.admission import Refusal
from cluster_sim.typing import Array
from cluster_sim.units import duration_text
from cluster_sim.workload.clients import Clients

DENIED = ", and the retry budget denied a retry"
"""End of a reason if the client would have tried again."""
_CANCELLED = Refusal("cancelled by its user", "")
_STATES = ("while waiting", "in prefill", "in decode or KV transfer")


def given_up(run: RunData) -> Iterator[tuple[Refusal, int]]:
    """Yield the reasons why clients gave requests up, with the numbers of requests that count.

    Parameters
    ----------
    run
        Tables of a run.
    """
    if not run.attempts.num_rows:
        return
    is_counted, status = counted(run), run.requests["status"].to_numpy()
    if cancelled := int(np.sum(is_counted & (status == "cancelled"))):
        yield _CANCELLED, cancelled
    timed_out = is_counted & (status == "timed_out")
    denied = run.requests["denied_attempts"].to_numpy() > 0
    for is_mine, clients in _by_clients(run):
        for state, is_in_it in zip(_STATES, _states(run), strict=True):
            limit = _limit(clients, has_token=state == _STATES[-1])
            for is_denied in (False, True):
                selected = timed_out & is_mine & is_in_it & (denied == is_denied)
                if number := int(np.sum(selected)):
                    text = f"timed out {state}{limit}{DENIED if is_denied else ''}"
                    yield Refusal(text, _remedy(run, clients, state)), number


def _by_clients(run: RunData) -> Iterator[tuple[Array, Clients]]:
    """Yield the requests of each class with the clients of the class."""
    class_number = class_numbers(run)
    for number, clients in enumerate(run.scenario.workload.clients_of_classes):
        if clients is not None:
            yield class_number == number, clients


def _states(run: RunData) -> tuple[Array, Array, Array]:
    """Return whether each request waited, was in prefill or had a token when it was given up."""
    is_admitted, has_token = (
        ~np.isnan(run.requests[name].to_numpy()) for name in ("admitted_s", "first_token_s")
    )
    return ~is_admitted & ~has_token, is_admitted & ~has_token, has_token


def _limit(clients: Clients, *, has_token: bool) -> str:
    """Return the limit that ends an attempt in this state, in words; empty if it is drawn."""
    timeout = clients.timeout
    limits = {"e2el": timeout.e2el_s} | ({} if has_token else {"ttft": timeout.ttft_s})
    texts = [
        (limit.quantile_s(0.5), f"{name} {duration_text(limit.quantile_s(0.5))}")
        for name, limit in limits.items()
        if limit is not None and not limit.is_drawn
    ]
    drawn = any(limit is not None and limit.is_drawn for limit in limits.values())
    return f" (timeout: {min(texts)[1]})" if texts and not drawn else ""


def _remedy(run: RunData, clients: Clients, state: str) -> str:
    """Return the change of the scenario that helps against timeouts in a state."""
    scales = [pool.autoscale for pool in run.scenario.cluster.pools if pool.autoscale is not None]
    more = "a lower rate, more replicas or a longer `timeout`"
    if state == _STATES[0] and any(scale.min == 0 for scale in scales):
        more += "; `min: 1` or a `warm_pool`, if requests wait for a pool at zero to start"
    if clients.retries and clients.retry_budget is None:
        return f"{more}; a `retry_budget`, if retries keep the cluster overloaded"
    return more
