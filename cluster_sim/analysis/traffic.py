"""The traffic alone, without a cluster: gathered from a scenario or a trace, described, and written
for other tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from itertools import chain, count, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.errors import ScenarioError
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.arrivals import WaitingClients
from cluster_sim.workload.generate import length_pieces
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.sessions import Turn, scripts
from cluster_sim.workload.statistics import (
    ArrivalStatistics,
    AskedPrompt,
    LengthStatistics,
    of_arrivals,
    of_lengths,
    rank_correlation,
    reuse,
)
from cluster_sim.workload.traces import Tally, Trace
from cluster_sim.workload.traces.rows import Pieces

BLOCK_TOKENS = 512
"""Of Mooncake's blocks."""
FORMATS = (".parquet", ".jsonl")
_MOST_REQUESTS = 20_000_000


@dataclass(frozen=True)
class _Remade:
    """What prompts begin with, made anew each time it is gone through: kept, the pieces of long
    sessions fill the memory.
    """

    made: Callable[[], Iterator[Pieces]]

    def __iter__(self) -> Iterator[Pieces]:
        return self.made()


@dataclass(frozen=True)
class Demand:
    """Requests as columns, in order of arrival: times [s] from zero on, tokens, and what prompts
    begin with (None: nothing is shared).
    """

    name: str
    arrival_s: np.ndarray
    prompt_tokens: np.ndarray
    output_tokens: np.ndarray
    pieces: Iterable[Pieces] | None = None
    output_piece: list[int | None] | None = None
    notes: list[str] = field(default_factory=list)
    """What was left out, or assumed."""

    def reused(self) -> float | None:
        """Share of prompt tokens that a cache without limits would have held; None where prompts
        have no pieces.
        """
        if self.pieces is None:
            return None
        answers: Iterator[int | None] = (
            iter(self.output_piece) if self.output_piece is not None else repeat(None)
        )
        rows = zip(
            self.prompt_tokens.tolist(),
            self.pieces,
            answers,
            self.output_tokens.tolist(),
            strict=False,
        )
        return reuse(
            AskedPrompt(prompt, own, None if answer is None else (answer, output))
            for prompt, own, answer, output in rows
        ).token_fraction

    def arrivals(self) -> ArrivalStatistics:
        """Rate, bursts and peaks."""
        return of_arrivals(self.arrival_s)

    def tokens(self) -> tuple[LengthStatistics, LengthStatistics] | None:
        """Of prompts and answers; None where there are no requests."""
        return (
            (of_lengths(self.prompt_tokens), of_lengths(self.output_tokens))
            if len(self.arrival_s)
            else None
        )

    def correlation(self) -> float | None:
        """Spearman's, of prompts and answers."""
        return rank_correlation(self.prompt_tokens, self.output_tokens)

    def summary(self) -> dict[str, Any]:
        """All statistics under their names."""
        arrivals, both = self.arrivals(), self.tokens()
        told: dict[str, Any] = {
            "requests": arrivals.requests,
            "span_s": arrivals.span_s,
            "rate_per_s": arrivals.rate_per_s,
            "cv": arrivals.cv,
        }
        told |= {
            f"dispersion_{window_s:g}s": value for window_s, value in arrivals.dispersion.items()
        }
        told |= {
            f"peak_to_mean_{window_s:g}s": value
            for window_s, value in arrivals.peak_to_mean.items()
        }
        for key, one in zip(("prompt", "output"), both or (), strict=False):
            told |= {f"mean_{key}_tokens": one.mean, f"max_{key}_tokens": one.largest}
            told |= {f"p{100 * at:g}_{key}_tokens": value for at, value in one.quantiles.items()}
        return told | {"length_correlation": self.correlation(), "prefix_reuse": self.reused()}


def of_trace(trace: Trace, name: str, seed: int = 0, until_s: float = float("inf")) -> Demand:
    """The requests of a trace until `until_s`. Raises ScenarioError as `Trace.rows` does."""
    tally = Tally()
    batches = []
    for batch in trace.batches(seed, tally):
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
    return Demand(name, times_s, prompts, outputs, pieces, notes=list(tally.said()))


def of_scenario(scenario: Scenario, tokens_per_s: float) -> Demand:
    """The requests of a scenario's workload.

    Where they wait for answers, each answer is taken to come at `tokens_per_s` and at once.
    Raises ScenarioError where a trace is malformed, or where nothing ends the arrivals.
    """
    workload, until_s = (
        scenario.workload,
        scenario.duration_s if scenario.duration_s is not None else float("inf"),
    )
    if workload.trace is not None:
        return of_trace(workload.trace, scenario.title, scenario.seed, until_s)
    note = f"requests wait for answers: {tokens_per_s:g} tokens a second are assumed"
    if workload.sessions is not None:
        turns = list(
            islice(
                _conversations(scenario, until_s, tokens_per_s),
                scenario.requests_wanted or _MOST_REQUESTS,
            )
        )
        times_s, asked = zip(*turns, strict=True) if turns else ((), ())
        prompts, outputs = (
            np.array([turn[column] for turn in asked], dtype=np.int64) for column in (1, 2)
        )
        pieces_asked = _Remade(lambda: (turn.pieces for turn in asked))
        return Demand(
            scenario.title,
            np.array(times_s),
            prompts,
            outputs,
            pieces_asked,
            [turn.output_piece for turn in asked],
            [note],
        )
    arrivals, prompt, output = workload.arrivals, workload.prompt_tokens, workload.output_tokens
    assert arrivals is not None
    wanted = arrivals.requests or _MOST_REQUESTS
    if (clients := arrivals.waiting_clients()) is not None:
        rows = list(islice(_clients(scenario, clients, until_s, tokens_per_s), wanted))
        times, prompt_tokens, output_tokens = zip(*rows, strict=True) if rows else ((), (), ())
        return Demand(
            scenario.title,
            np.array(times),
            np.array(prompt_tokens),
            np.array(output_tokens),
            notes=[note],
        )
    pieces: list[np.ndarray] = []
    drawn = 0
    for piece in arrivals.pieces(stream(scenario.seed, "arrivals")):
        inside = piece[: wanted - drawn]
        pieces.append(inside[inside < until_s])
        drawn += len(inside)
        if piece[-1] >= until_s or drawn >= wanted:
            break
    at_s = np.concatenate(pieces)
    if workload.classes or prompt is None or output is None:
        pairs = np.array(
            list(islice(workload.lengths(scenario.seed), len(at_s))), dtype=np.int64
        ).reshape(-1, 2)
        return Demand(scenario.title, at_s, pairs[:, 0], pairs[:, 1])
    columns = islice(
        length_pieces(prompt, output, scenario.seed, workload.length_correlation),
        len(at_s) // 4096 + 1,
    )
    prompts, outputs = (
        np.concatenate(column)[: len(at_s)] for column in zip(*columns, strict=True)
    )
    return Demand(scenario.title, at_s, prompts, outputs)


def of_scenarios(scenarios: Sequence[Scenario], tokens_per_s: float) -> list[Demand]:
    """Return the requests of each different workload among the variants of a file.

    A workload is called by its variant, or by the file's name where there is only one. Raises
    ScenarioError as `of_scenario` does.
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


def _conversations(
    scenario: Scenario, until_s: float, tokens_per_s: float
) -> Iterator[tuple[float, Turn]]:
    """Turns of all sessions in order of time."""
    sessions = scenario.workload.sessions
    assert sessions is not None
    own = scripts(sessions, scenario.seed)
    starts_s: Iterator[float] = iter(())
    if sessions.arrivals is not None:
        starts_s = islice(
            sessions.arrivals.times(stream(scenario.seed, "arrivals")), sessions.arrivals.requests
        )
    order = count()
    waiting: list[tuple[float, int, Iterator[Turn] | None, Turn | None]] = [
        (0.0, next(order), None, None) for _ in range(sessions.concurrency or 0)
    ]
    if (start_s := next(starts_s, None)) is not None:
        waiting.append((start_s, next(order), None, None))
    heapify(waiting)
    while waiting and waiting[0][0] < until_s:
        now_s, _, session, turn = heappop(waiting)
        if session is None or turn is None:
            if sessions.concurrency is None and (start_s := next(starts_s, None)) is not None:
                heappush(waiting, (start_s, next(order), None, None))
            if (session := next(own, None)) is None or (turn := next(session, None)) is None:
                continue
        yield now_s, turn
        answered_s = now_s + turn.output_tokens / tokens_per_s
        if (later := next(session, None)) is not None:
            heappush(waiting, (answered_s + later.gap_s, next(order), session, later))
        elif sessions.concurrency is not None:
            heappush(waiting, (answered_s, next(order), None, None))


def _clients(
    scenario: Scenario, clients: WaitingClients, until_s: float, tokens_per_s: float
) -> Iterator[tuple[float, int, int]]:
    """(time, prompt, output) of clients that ask again when they are answered."""
    pairs = scenario.workload.lengths(scenario.seed)
    free_s = [0.0] * clients.number
    while free_s[0] < until_s:
        now_s = heappop(free_s)
        prompt, output = next(pairs)
        yield now_s, prompt, output
        heappush(free_s, now_s + output / tokens_per_s + clients.think_time_s)


def write(demand: Demand, path: Path) -> None:
    """Write the requests as the suffix says: .parquet, or .jsonl as Mooncake does (milliseconds,
    identities of blocks of 512 tokens).

    Raises ScenarioError for another suffix, or where it cannot be written.
    """
    if path.suffix not in FORMATS:
        raise ScenarioError.at(
            str(path), f"'{path.suffix}' is no format of requests; wanted {' or '.join(FORMATS)}"
        )
    try:
        if path.suffix == ".parquet":
            pq.write_table(_table(demand), path, compression="zstd")
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in _mooncake(demand))
    except OSError as fault:
        raise ScenarioError.at(str(path), f"cannot be written: {fault.strerror}") from fault


def _table(demand: Demand) -> pa.Table:
    columns = {
        "arrival_s": demand.arrival_s,
        "prompt_tokens": demand.prompt_tokens,
        "output_tokens": demand.output_tokens,
    }
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    if demand.pieces is not None:
        kind = pa.list_(
            pa.struct([("identity", pa.string()), ("tokens", pa.int64())])
        )  # identities may be beyond 64 bits
        rows = [
            [{"identity": str(identity), "tokens": tokens} for identity, tokens in own]
            for own in demand.pieces
        ]
        table = table.append_column("pieces", pa.array(rows, type=kind))
    return table


def _mooncake(demand: Demand) -> Iterator[dict[str, Any]]:
    """Rows of Mooncake's format."""
    numbers: dict[tuple[int, int, int], int] = {}
    fresh = count(-1, -1)  # of blocks whose content nobody else has
    pieces = demand.pieces if demand.pieces is not None else repeat(())
    for arrival_s, prompt, output, own in zip(
        demand.arrival_s.tolist(),
        demand.prompt_tokens.tolist(),
        demand.output_tokens.tolist(),
        pieces,
        strict=False,
    ):
        keys = _blocks(prompt, own, fresh)
        ids = [numbers.setdefault(key, len(numbers)) for key in keys]
        yield {
            "timestamp": round(1e3 * arrival_s),
            "input_length": prompt,
            "output_length": output,
            "hash_ids": ids,
        }


def _blocks(prompt: int, pieces: Pieces, fresh: Iterator[int]) -> Iterator[tuple[int, int, int]]:
    """What identifies each block of a prompt: the piece in which it ends, its place, and its
    length.

    A piece stands for its content after exactly what is before it, so the piece that holds a
    block's last token says all.
    """
    ends = iter(pieces)
    identity, reached = None, 0
    for place in range(-(-prompt // BLOCK_TOKENS)):
        last = min((place + 1) * BLOCK_TOKENS, prompt)
        while reached < last:
            piece = next(ends, None)
            if piece is None:
                identity, reached = None, prompt
                break
            identity, reached = piece[0], reached + piece[1]
        yield (
            identity if identity is not None else next(fresh),
            place,
            last - place * BLOCK_TOKENS,
        )
