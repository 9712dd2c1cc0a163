"""Traffic of scenarios, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, repeat

import numpy as np

from cluster_sim.analysis.assumed_answers import (
    client_requests,
    session_requests,
)
from cluster_sim.analysis.demand import Demand
from cluster_sim.analysis.offered_rate import offered_per_s
from cluster_sim.analysis.trace_traffic import RepeatedPieces, assumption, of_trace, of_turns
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.arrivals import ArrivalProcess, WaitingClients
from cluster_sim.workload.generate import length_pieces
from cluster_sim.workload.random_streams import AT_A_TIME, stream
from cluster_sim.workload.shared_prefix import SharedPrefix
from cluster_sim.workload.traces import Tally
from cluster_sim.workload.traces.rows import Pieces

_MAX_REQUESTS = 20_000_000
"""Number of requests after which unlimited traffic is cut."""


def of_scenario(scenario: Scenario, tokens_per_s: float) -> Demand:
    """Return the requests of a scenario's workload.

    Parameters
    ----------
    scenario
        Scenario whose workload is drawn or read.
    tokens_per_s
        Assumed rate of every answer, if requests wait for answers [tokens/s]. Answers begin
        immediately.

    Raises
    ------
    ScenarioError
        A trace is malformed, or the arrivals have no end.
    """
    demand, prefix = _without_prefix(scenario, tokens_per_s), scenario.workload.shared_prefix
    return demand if prefix is None else _with_prefix(demand, prefix, scenario.seed)


def _with_prefix(demand: Demand, prefix: SharedPrefix, seed: int) -> Demand:
    """Return the requests with the shared text at the beginning of each."""
    own = demand.pieces

    def pieces() -> Iterator[Pieces]:
        rest = repeat((), len(demand.arrival_s)) if own is None else own
        return ((text, *pieces) for text, pieces in zip(prefix.pieces(seed), rest, strict=False))

    prompt_tokens = demand.prompt_tokens + prefix.tokens
    return replace(demand, prompt_tokens=prompt_tokens, pieces=RepeatedPieces(pieces))


def _without_prefix(scenario: Scenario, tokens_per_s: float) -> Demand:
    """Return the requests without the shared texts before their prompts."""
    workload = scenario.workload
    until_s = float("inf") if scenario.duration_s is None else scenario.duration_s
    if workload.trace is not None:
        return of_trace(workload.trace, scenario.title, scenario.seed, until_s, tokens_per_s)
    if workload.sessions is not None:
        return _of_sessions(scenario, until_s, tokens_per_s)
    arrivals = workload.arrivals
    assert arrivals is not None
    if (clients := arrivals.waiting_clients()) is not None:
        return _of_clients(scenario, clients, until_s, tokens_per_s)
    max_requests = arrivals.requests or _MAX_REQUESTS
    at_s = _arrival_times_s(arrivals, scenario.seed, until_s, max_requests)
    prompts, outputs = _lengths(scenario, len(at_s))
    mean_rate_per_s = offered_per_s(scenario)
    is_cut_by_time = mean_rate_per_s is not None and len(at_s) < max_requests
    return Demand(
        scenario.title,
        at_s,
        prompts,
        outputs,
        run_s=scenario.duration_s if is_cut_by_time else None,
        mean_rate_per_s=mean_rate_per_s,
    )


def of_scenarios(scenarios: Sequence[Scenario], tokens_per_s: float) -> list[Demand]:
    """Return the requests of each different workload among the variants of a file.

    The name of a workload is that of its variant, or of the file if there is only one.

    Parameters
    ----------
    scenarios
        Variants of a file.
    tokens_per_s
        Assumed rate of every answer, if requests wait for answers [tokens/s].

    Raises
    ------
    ScenarioError
        A trace is malformed, or the arrivals have no end.
    """
    different: list[Scenario] = []
    for scenario in scenarios:
        if not any(_is_same_traffic(scenario, other) for other in different):
            different.append(scenario)
    has_several = len(different) > 1
    return [
        replace(
            of_scenario(scenario, tokens_per_s),
            name=scenario.variant if scenario.variant and has_several else scenario.name,
        )
        for scenario in different
    ]


def _is_same_traffic(scenario: Scenario, other: Scenario) -> bool:
    return (
        scenario.workload == other.workload
        and scenario.duration_s == other.duration_s
        and scenario.seed == other.seed
    )


def _of_sessions(scenario: Scenario, until_s: float, tokens_per_s: float) -> Demand:
    """Return the requests of sessions."""
    tally = Tally()
    requests = session_requests(scenario, until_s, tokens_per_s, tally)
    timed = list(islice(requests, scenario.requests_wanted or _MAX_REQUESTS))
    return of_turns(timed, scenario.title, [*tally.said(), assumption(tokens_per_s)])


def _of_clients(
    scenario: Scenario, clients: WaitingClients, until_s: float, tokens_per_s: float
) -> Demand:
    """Return the requests of clients that send again when they are answered."""
    lengths = scenario.workload.lengths(scenario.seed)
    requests = client_requests(lengths, clients, until_s, tokens_per_s)
    timed = list(islice(requests, scenario.requests_wanted or _MAX_REQUESTS))
    times_s, prompts, outputs = zip(*timed, strict=True) if timed else ((), (), ())
    return Demand(
        scenario.title,
        np.array(times_s),
        np.array(prompts),
        np.array(outputs),
        notes=[assumption(tokens_per_s)],
    )


def _arrival_times_s(
    arrivals: ArrivalProcess, seed: int, until_s: float, max_requests: int
) -> np.ndarray:
    """Return the arrival times [s] before `until_s`, up to a maximum number."""
    pieces: list[np.ndarray] = []
    drawn = 0
    for piece in arrivals.pieces(stream(seed, "arrivals")):
        inside = piece[: max_requests - drawn]
        pieces.append(inside[inside < until_s])
        drawn += len(inside)
        if piece[-1] >= until_s or drawn >= max_requests:
            break
    return np.concatenate(pieces)


def _lengths(scenario: Scenario, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths of the first `count` prompts and answers [tokens]."""
    workload = scenario.workload
    prompt, output = workload.prompt_tokens, workload.output_tokens
    if workload.classes or prompt is None or output is None:
        rows = list(islice(workload.lengths(scenario.seed), count))
        pairs = np.array(rows, dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]
    columns = islice(
        length_pieces(prompt, output, scenario.seed, workload.length_correlation),
        count // AT_A_TIME + 1,
    )
    prompts, outputs = (np.concatenate(column)[:count] for column in zip(*columns, strict=True))
    return prompts, outputs
