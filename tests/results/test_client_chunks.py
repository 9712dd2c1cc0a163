"""Chunks of answers as clients see them: rules by hand, and brute force over whole runs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.results.streaming.boundaries import RULES, Boundaries
from cluster_sim.results.streaming.chunks import Chunks
from cluster_sim.results.streaming.token_times import TokenTimes
from cluster_sim.sim.simulate import simulate
from tests.laws.test_any_scenario import loaded
from tests.machines import engine
from tests.scenarios import make_pool, make_scenario
from tests.tiny_scenarios import tiny_scenario


def run(workload: dict[str, Any] | None = None, **settings: Any) -> cluster_sim.Results:
    """A tiny run with settings of the engine."""
    pool = make_pool(replica={"engine": engine(**settings)})
    traffic = {
        "arrivals": {"process": "poisson", "rate": "20 /s"},
        "prompt_tokens": 100,
        "output_tokens": {"distribution": "uniform", "low": 1, "high": 40},
    }
    return simulate(make_scenario(workload=workload or traffic, cluster={"pools": [pool]}))


def boundaries(
    ticks: int, tokens: int, interval: int, rule: str = "unsent", delay: int = 0
) -> Boundaries:
    """One answer of `tokens` tokens in `ticks` steps after the first."""
    values = (ticks, tokens, interval, RULES.index(rule), delay)
    return Boundaries(*(np.array([value]) for value in values))


def tokens_sent(
    ticks: int, tokens: int, interval: int, rule: str = "unsent", delay: int = 0
) -> list[int]:
    """Numbers of tokens that a client has after each chunk."""
    answer = boundaries(ticks, tokens, interval, rule, delay)
    return [int(answer.tokens_until(tick)[0]) for tick in answer.of(0)]


# By hand: 7 tokens, an interval of 3


def test_of_seven_tokens_at_three_the_client_has_one_four_and_seven() -> None:
    assert tokens_sent(6, 7, 3) == [1, 4, 7]
    assert boundaries(6, 7, 3).count == [3]


def test_of_eight_tokens_at_three_the_last_chunk_holds_one() -> None:
    assert tokens_sent(7, 8, 3) == [1, 4, 7, 8]


def test_steps_are_counted_from_the_first_token_and_sent_at_multiples() -> None:
    assert tokens_sent(6, 7, 3, "steps") == [1, 3, 6, 7]
    assert tokens_sent(6, 7, 1, "steps") == [1, 2, 3, 4, 5, 6, 7]


def test_a_first_chunk_two_steps_late_holds_three_tokens() -> None:
    assert tokens_sent(6, 7, 3, delay=2) == [3, 6, 7]
    assert tokens_sent(6, 7, 3, "steps", delay=2) == [3, 6, 7]
    assert tokens_sent(6, 7, 1, delay=2) == [3, 4, 5, 6, 7]


def test_an_answer_shorter_than_the_delay_is_one_chunk() -> None:
    assert tokens_sent(6, 7, 3, delay=6) == tokens_sent(6, 7, 3, delay=99) == [7]
    assert tokens_sent(0, 1, 3) == [1]


def test_with_drafts_a_chunk_waits_until_three_tokens_are_unsent() -> None:
    # two tokens per step: 1, 3, 5, 7; after the first, 3 has two unsent and 5 four
    assert tokens_sent(3, 7, 3) == [1, 5, 7]
    assert tokens_sent(3, 7, 3, "steps") == [1, 5, 7]  # steps 1, 3 and the last
    assert tokens_sent(3, 7, 1) == tokens_sent(3, 7, 2) == [1, 3, 5, 7]


def test_a_rule_for_tokens_is_that_for_unsent_ones_without_drafts() -> None:
    for delay in (0, 2):
        sent = tokens_sent(30, 31, 4, "tokens", delay)
        assert sent == tokens_sent(30, 31, 4, "unsent", delay)


def test_steps_of_two_tokens_on_average_meet_every_other_chunk_of_thirty_tokens() -> None:
    # 1 or 3 tokens per step at equal chances, as an engine makes them one after the other
    random, sizes = Random(3), []
    for _ in range(300):
        there = sent = 1
        while there < 3000:
            there += random.choice([1, 3])
            if there % 30 == 1:
                sizes, sent = [*sizes, there - sent], there
    assert np.mean(sizes) == approx(60, rel=0.03)
    tokens, ticks = np.full(300, 3001), np.full(300, 1500)
    rule, none = np.full(300, RULES.index("tokens")), np.zeros(300, dtype=np.int64)
    answers = Boundaries(ticks, tokens, np.full(300, 30), rule, none)
    drawn = [np.diff(1 + 2 * answers.of(row)) for row in range(300)]
    pooled = np.concatenate([sizes_of[:-1] for sizes_of in drawn])
    assert np.mean(pooled) == approx(60, rel=0.03)
    for percent in (50, 90, 99):
        assert np.percentile(pooled, percent) == approx(np.percentile(sizes, percent), abs=31)


# Brute force


def sent_one_by_one(ticks: int, tokens: int, interval: int, rule: str, delay: int) -> list[int]:
    """Ticks of chunks, as an engine decides at the end of each step."""
    sent, chunks = 0, []
    for tick in range(ticks + 1):
        there = 1 + (tick * (tokens - 1) // ticks if ticks else 0)
        if rule == "steps":
            is_due = not sent or (tick + 1) % interval == 0
        else:
            is_due = not sent or there - sent >= interval
        if tick == ticks or (tick >= delay and is_due):
            sent, chunks = there, [*chunks, tick]
    return chunks


def test_rules_of_random_answers_are_those_of_an_engine_that_decides_step_by_step() -> None:
    random = Random(4)
    drawn = []
    for _ in range(2000):
        ticks = random.choice([0, 1, 2, random.randint(3, 90)])
        per_tick = random.choice([1, 1, random.randint(1, 4)])
        drawn.append(
            (
                ticks,
                1 if not ticks else random.randint(ticks + 1, per_tick * ticks + 1),
                random.choice([1, 2, 3, random.randint(1, 50)]),
                random.choice(["unsent", "steps"]),
                random.choice([0, 0, 1, random.randint(0, 60)]),
            )
        )
    ticks, tokens, interval, rule, delay = zip(*drawn, strict=True)
    number = [RULES.index(name) for name in rule]
    answers = Boundaries(*map(np.array, (ticks, tokens, interval, number, delay)))
    expected = [sent_one_by_one(*values) for values in drawn]
    assert [answers.of(row).tolist() for row in range(len(drawn))] == expected
    assert answers.count.tolist() == [len(ticks) for ticks in expected]
    row, begin, end = answers.irregular
    pairs = {tuple(gap) for gap in zip(row.tolist(), begin.tolist(), end.tolist(), strict=True)}
    assert pairs == {
        (answer, *gap)
        for answer, sent in enumerate(expected)
        if not answers.is_regular[answer]
        for gap in pairwise(sent)
    }


def chunks_as_an_engine_sends_them(results: cluster_sim.Results) -> list[np.ndarray]:
    """Gaps between the chunks of each finished request [s], from the gaps between its tokens."""
    times, table = TokenTimes(results), results.requests
    rows = np.nonzero(table["counted"].to_numpy() & (table["status"].to_numpy() == "finished"))[
        0
    ].tolist()
    gaps_s = []
    for place, row in enumerate(rows):
        number = table["replica"][row].as_py()
        engine = results.fleet.replicas[number].deployment.pool.replica.engine
        ticks = sent_one_by_one(
            int(times.chunks[place]) - 1,
            table["output_tokens"][row].as_py(),
            engine.stream_interval,
            engine.stream_rule,
            engine.first_chunk_delay,
        )
        gaps_s.append(np.diff(np.append(0.0, np.cumsum(times.gaps_s(place)))[ticks]))
    return gaps_s


def pooled_gaps_agree(results: cluster_sim.Results) -> int:
    """Hold the pooled gaps, the gaps of each request and the chunks against brute force."""
    chunks, expected = Chunks(results), chunks_as_an_engine_sends_them(results)
    assert chunks.chunks.tolist() == [len(gaps) + 1 for gaps in expected]
    for row, gaps_s in enumerate(expected):
        assert chunks.gaps_s(row) == approx(gaps_s, abs=1e-9)
    every, pooled = np.concatenate([np.empty(0), *expected]), chunks.gaps()
    assert pooled.count == len(every)
    if len(every):
        assert pooled.mean() == approx(float(np.mean(every)), abs=1e-9)
        assert pooled.std() == approx(float(np.std(every)), abs=1e-9)
        assert pooled.percentiles([0, 25, 50, 99, 100]) == approx(
            np.percentile(every, [0, 25, 50, 99, 100]).tolist(), abs=1e-8
        )
        assert int(np.sum(chunks.arrivals().weight)) == len(every)
    return len(every)


QUICK = (2, 4, 8, 10, 13, 14)


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=() if seed in QUICK else pytest.mark.slow) for seed in range(60)],
)
def test_pooled_gaps_of_random_runs_are_those_of_their_tokens(seed: int, tmp_path: Path) -> None:
    # replicas are lost, requests are preempted, moved and answered with drafts
    random = Random(seed)
    section = tiny_scenario(random, tmp_path)
    for pool in section["cluster"]["pools"]:
        pool["replica"]["engine"] |= {
            "stream_interval": random.choice([1, 2, 3, 10]),
            "stream_rule": random.choice(["unsent", "steps"]),
            "first_chunk_delay": random.choice([0, 0, 1, 7]),
            "detokenisation": random.choice(["0 s", "1 ms"]),
        }
    scenario = loaded(section, tmp_path)
    if scenario is not None:
        results = simulate(scenario)
        pooled_gaps_agree(results)
        results.summary()


# Whole runs


def test_a_client_of_seven_tokens_sees_two_gaps_of_three_steps_each() -> None:
    alone = {
        "arrivals": {"process": "closed_loop", "concurrency": 1, "requests": 1},
        "prompt_tokens": 100,
        "output_tokens": 7,
    }
    plain, late = run(alone), run(alone, stream_interval=3)
    steps_s = TokenTimes(plain).gaps_s(0)
    gaps_s = [sum(steps_s[:3]), sum(steps_s[3:])]
    summary = late.summary()
    assert len(steps_s) == 6
    assert summary["mean_client_itl_ms"] == approx(1e3 * np.mean(gaps_s))
    assert summary["max_client_itl_ms"] == approx(1e3 * max(gaps_s))
    assert summary["chunks_per_request"] == 3
    assert summary["tokens_per_chunk"] == approx(7 / 3)
    assert "mean_client_ttft_ms" not in summary
    other = {"name", "pools", "wall_s"}
    shared = {name: value for name, value in plain.summary().items() if name not in other}
    assert {name: summary[name] for name in shared} == shared


def test_a_late_first_chunk_moves_time_from_tpot_to_ttft() -> None:
    alone = {
        "arrivals": {"process": "closed_loop", "concurrency": 1, "requests": 1},
        "prompt_tokens": 100,
        "output_tokens": 7,
    }
    results = run(alone, first_chunk_delay=2)
    steps_s, summary = TokenTimes(results).gaps_s(0), results.summary()
    assert summary["mean_client_ttft_ms"] == approx(
        summary["mean_ttft_ms"] + 1e3 * (steps_s[0] + steps_s[1])
    )
    assert summary["mean_client_tpot_ms"] == approx(1e3 * sum(steps_s[2:]) / 6)
    assert summary["mean_client_itl_ms"] == approx(1e3 * np.mean(steps_s[2:]))
    assert summary["chunks_per_request"] == 5


def test_an_engine_that_sends_each_step_has_no_metrics_of_clients() -> None:
    summary = run().summary()
    assert not [name for name in summary if "client" in name or "chunk" in name]


def test_one_chunk_per_step_is_what_stretches_hold() -> None:
    results = run()
    chunks = Chunks(results)
    assert pooled_gaps_agree(results) == int(np.sum(chunks.boundaries.tokens - 1))
    assert 1e3 * chunks.gaps().mean() == approx(results.summary()["mean_itl_ms"])
    assert chunks.first_s == approx(results.requests["first_token_s"].to_numpy(), abs=1e-12)


def test_detokenisation_delays_answers_and_closed_loop_clients_but_no_step() -> None:
    alone = {
        "arrivals": {"process": "closed_loop", "concurrency": 1, "requests": 5},
        "prompt_tokens": 100,
        "output_tokens": 7,
    }
    plain, late = run(alone), run(alone, detokenisation="2 ms")
    for name in ("mean_ttft_ms", "mean_e2el_ms"):
        assert late.summary()[name] == approx(plain.summary()[name] + 2.0)
    for name in ("mean_itl_ms", "mean_tpot_ms", "mean_queue_ms"):
        assert late.summary()[name] == approx(plain.summary()[name], abs=1e-9)
    assert late.summary()["duration"] == approx(plain.summary()["duration"] + 5 * 2e-3)


def test_a_pool_that_sends_each_step_has_no_metrics_beside_one_that_does_not() -> None:
    pools = [
        make_pool("plain"),
        make_pool("thirds", replica={"engine": engine(stream_interval=3)}),
    ]
    parts = simulate(make_scenario(cluster={"pools": pools})).summary()["pools"]
    assert "mean_client_itl_ms" not in parts["plain"]
    assert parts["thirds"]["tokens_per_chunk"] == 20 / 8


def test_chunks_that_drafts_miss_are_the_same_in_every_metric() -> None:
    replica = {
        "engine": engine(stream_interval=3, stream_rule="tokens"),
        "speculation": {"draft_tokens": 3, "acceptance": 0.6},
    }
    results = simulate(make_scenario(cluster={"pools": [make_pool(replica=replica)]}))
    chunks = Chunks(results)
    gaps_s = np.concatenate([chunks.gaps_s(row) for row in range(len(chunks.chunks))])
    assert not chunks.boundaries.is_regular.any()
    assert chunks.gaps().count == len(gaps_s) == int(np.sum(chunks.chunks - 1))
    assert chunks.gaps().percentiles([10, 90]) == approx(np.percentile(gaps_s, [10, 90]).tolist())
    assert 1e3 * chunks.gaps().mean() == approx(results.summary()["mean_client_itl_ms"])
    assert results.summary()["tokens_per_chunk"] > 3
