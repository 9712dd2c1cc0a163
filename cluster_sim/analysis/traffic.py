"""Traffic without a cluster, from a scenario or a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat

import numpy as np

from cluster_sim.analysis.assumed_answers import (
    TimedTurn,
    client_requests,
    recorded_requests,
    session_requests,
)
from cluster_sim.analysis.demand import Demand, TraceReading
from cluster_sim.analysis.offered_rate import offered_per_s
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.arrivals import ArrivalProcess, WaitingClients
from cluster_sim.workload.generate import length_pieces
from cluster_sim.workload.random_streams import AT_A_TIME, stream
from cluster_sim.workload.sessions import Turn
from cluster_sim.workload.shared_prefix import SharedPrefix
from cluster_sim.workload.traces import Tally, Trace
from cluster_sim.workload.traces.rows import Batch, Pieces

_MAX_REQUESTS = 20_000_000
"""Number of requests after which unlimited traffic is cut."""


@dataclass(frozen=True)
class _Remade:
    """Beginnings of prompts, created again for each use to save memory in long sessions."""

    made: Callable[[], Iterator[Pieces]]

    def __iter__(self) -> Iterator[Pieces]:
        return self.made()


ANSWER_TOKENS_PER_S = 50.0
"""Rate of answers that is assumed if requests wait for them and no rate is given [1/s]."""


def of_trace(
    trace: Trace,
    name: str,
    seed: int = 0,
    until_s: float = float("inf"),
    tokens_per_s: float = ANSWER_TOKENS_PER_S,
) -> Demand:
    """Return the requests of a trace at their recorded times.

    Parameters
    ----------
    trace
        Description of the trace.
    name
        Name of the traffic.
    seed
        Seed of the random choices of `sample` and `dejitter`.
    until_s
        Time after which requests are omitted [s].
    tokens_per_s
        Assumed rate of every answer, if requests follow answers and have no times [tokens/s].
        Answers begin immediately.

    Raises
    ------
    ScenarioError
        The trace is malformed.
    """
    if not trace.has_times:
        return _of_recorded(trace, name, seed, until_s, tokens_per_s)
    tally = Tally()
    batches = []
    for batch in trace.batches(seed, tally, links_wanted=trace.links_turns):
        batches.append(
            batch if batch.time_s[-1:].sum() < until_s else batch.take(batch.time_s < until_s)
        )
        if len(batch.time_s) and batch.time_s[-1] >= until_s:
            break
    times_s, prompts, outputs = (
        np.concatenate([batch[column] for batch in batches]) for column in range(3)
    )
    pieces = None
    if any(batch.blocks for batch in batches):
        pieces = _Remade(lambda: chain.from_iterable(batch.pieces() for batch in batches))
    sessions = None
    if trace.links_turns:
        sessions = tally.sessions or _count_sessions(batches)
    added = None
    if tally.prefixes_apart:
        added = int(np.sum(prompts)) - sum(_block_tokens(batch) for batch in batches)
    reading = _reading(trace, tally, times_s, sessions, added)
    notes = list(tally.said())
    return Demand(name, times_s, prompts, outputs, pieces, notes=notes, reading=reading)


def _block_tokens(batch: Batch) -> int:
    """Return the number of tokens in all blocks of these requests."""
    return sum(
        len(ids) * block_tokens if isinstance(block_tokens, int) else sum(block_tokens)
        for ids, block_tokens in batch.blocks or ()
    )


def _count_sessions(batches: Sequence[Batch]) -> int:
    """Return the number of conversations. A request without a conversation counts as one."""
    known: set[int] = set()
    alone = 0
    for batch in batches:
        session = np.full(len(batch.line), -1) if batch.links is None else batch.links.session
        alone += int(np.sum(session < 0))
        known.update(np.unique(session[session >= 0]).tolist())
    return alone + len(known)


def _reading(
    trace: Trace, tally: Tally, times_s: np.ndarray, sessions: int | None, added: int | None = None
) -> TraceReading:
    """Return facts about the trace as it was read.

    Parameters
    ----------
    trace
        The trace.
    tally
        Counts of the reading, with its clock.
    times_s
        Recorded arrivals as they are replayed, ascending [s].
    sessions
        Number of conversations; None where there are none.
    added
        Sum of the prompts that conversations add; None where prompts are whole [tokens].
    """
    if tally.zero_s is None or not len(times_s):
        return TraceReading(trace.path, sessions=sessions, added_prompt_tokens=added)
    first_s, last_s = (tally.zero_s + trace.speedup * float(times_s[at]) for at in (0, -1))
    return TraceReading(trace.path, first_s, last_s, sessions, added)


def _of_recorded(trace: Trace, name: str, seed: int, until_s: float, tokens_per_s: float) -> Demand:
    """Return the requests of recorded sessions without recorded times."""
    tally = Tally()
    recorded = [
        session for session in trace.replayed_sessions(seed, tally) if session.start_s < until_s
    ]
    timed = list(islice(recorded_requests(iter(recorded), until_s, tokens_per_s), trace.limit))
    demand = _of_turns(timed, name, [*tally.said(), _assumption(tokens_per_s)])
    adds = any(session.adds for session in recorded)
    added = _added_tokens(turn for _, turn in timed) if adds else None
    starts_s = np.array([session.start_s for session in recorded])
    return replace(demand, reading=_reading(trace, tally, starts_s, len(recorded), added))


def _added_tokens(turns: Iterable[Turn]) -> int:
    """Return the sum of the tokens that each prompt adds to the previous conversation [tokens].

    Turns of one conversation share their history.
    """
    context: dict[int, int] = {}
    added = 0
    for turn in turns:
        added += turn.prompt_tokens - context.get(id(turn.history), 0)
        context[id(turn.history)] = turn.prompt_tokens + turn.output_tokens
    return added


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
    return replace(demand, prompt_tokens=prompt_tokens, pieces=_Remade(pieces))


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


def _assumption(tokens_per_s: float) -> str:
    return f"requests wait for answers: {tokens_per_s:g} tokens per second are assumed"


def _of_sessions(scenario: Scenario, until_s: float, tokens_per_s: float) -> Demand:
    """Return the requests of sessions."""
    tally = Tally()
    requests = session_requests(scenario, until_s, tokens_per_s, tally)
    timed = list(islice(requests, scenario.requests_wanted or _MAX_REQUESTS))
    return _of_turns(timed, scenario.title, [*tally.said(), _assumption(tokens_per_s)])


def _of_turns(timed: Iterable[TimedTurn], name: str, notes: list[str]) -> Demand:
    """Return the requests of sessions, in order of time."""
    pairs = list(timed)
    times_s, turns = zip(*pairs, strict=True) if pairs else ((), ())
    return Demand(
        name,
        np.array(times_s),
        np.array([turn.prompt_tokens for turn in turns], dtype=np.int64),
        np.array([turn.output_tokens for turn in turns], dtype=np.int64),
        _Remade(lambda: (turn.pieces for turn in turns)),
        [turn.output_piece for turn in turns],
        notes,
    )


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
        notes=[_assumption(tokens_per_s)],
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
