"""Files of benchmark clients whose answers came in chunks: each by its own definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim import export as clients
from cluster_sim.export import aiperf, guidellm, mlperf, vllm
from cluster_sim.export.client_view import Answers, answers
from cluster_sim.results.streaming.token_times import TokenTimes
from cluster_sim.sim.simulate import simulate
from tests.machines import engine
from tests.scenarios import make_pool, make_scenario


def simulated(workload: dict[str, Any], **settings: Any) -> cluster_sim.Results:
    pool = make_pool(replica={"engine": engine(**settings)})
    return simulate(make_scenario(workload=workload, cluster={"pools": [pool]}))


def alone(**settings: Any) -> cluster_sim.Results:
    """One answer of 7 tokens."""
    arrivals = {"process": "closed_loop", "concurrency": 1, "requests": 1}
    workload = {"arrivals": arrivals, "prompt_tokens": 100, "output_tokens": 7}
    return simulated(workload, **settings)


@pytest.fixture(scope="module")
def crowd() -> cluster_sim.Results:
    """Answers of 1 to 40 tokens in chunks of 3, the first of which is two steps late."""
    workload = {
        "arrivals": {"process": "poisson", "rate": "20 /s"},
        "prompt_tokens": 100,
        "output_tokens": {"distribution": "uniform", "low": 1, "high": 40},
    }
    return simulated(workload, stream_interval=3, first_chunk_delay=2)


def seconds(results: cluster_sim.Results) -> tuple[float, list[float], float]:
    """TTFT of the engine, its six gaps between tokens, and the latency [s] of the one request."""
    row = results.requests.to_pylist()[0]
    steps_s = TokenTimes(results).gaps_s(0).tolist()
    assert len(steps_s) == 6
    return row["first_token_s"] - row["arrival_s"], steps_s, row["finish_s"] - row["arrival_s"]


# One answer of 7 tokens, an interval of 3, the first chunk two steps late: 3, 3 and 1 tokens


@pytest.fixture(scope="module")
def late() -> Answers:
    return answers(alone(stream_interval=3, first_chunk_delay=2))


def test_vllm_gaps_are_those_of_chunks_and_tpot_divides_by_tokens_less_one(late: Answers) -> None:
    ttft_s, steps_s, latency_s = seconds(late.results)
    first_s = ttft_s + sum(steps_s[:2])
    result = vllm.document(late, detailed=True)
    assert result["ttfts"] == approx([first_s])
    assert result["itls"] == [approx([sum(steps_s[2:5]), steps_s[5]])]
    assert result["mean_itl_ms"] == approx(1e3 * (sum(steps_s[2:5]) + steps_s[5]) / 2)
    assert result["mean_tpot_ms"] == approx(1e3 * (latency_s - first_s) / 6)
    assert result["mean_e2el_ms"] == approx(1e3 * latency_s)
    assert result["max_output_tokens_per_s"] == 3  # it counts chunks


def test_aiperf_divides_by_the_tokens_after_the_first_chunk(late: Answers) -> None:
    ttft_s, steps_s, latency_s = seconds(late.results)
    first_s = ttft_s + sum(steps_s[:2])
    result = aiperf.document(late)
    assert result["time_to_first_token"]["avg"] == approx(1e3 * first_s)
    assert result["inter_token_latency"]["avg"] == approx(1e3 * (latency_s - first_s) / (7 - 3))
    assert result["time_to_second_token"]["avg"] == approx(1e3 * sum(steps_s[2:5]))
    assert result["inter_chunk_latency"]["count"] == 2
    assert result["inter_chunk_latency"]["max"] == approx(1e3 * sum(steps_s[2:5]))


def test_guidellm_tpot_holds_the_first_chunk_and_itl_divides_by_tokens_less_one(
    late: Answers,
) -> None:
    ttft_s, steps_s, latency_s = seconds(late.results)
    first_s = ttft_s + sum(steps_s[:2])
    (benchmark,) = guidellm.document(late)["benchmarks"]
    (request,) = benchmark["requests"]["successful"]
    assert request["time_to_first_token_ms"] == approx(1e3 * first_s)
    assert request["time_per_output_token_ms"] == approx(1e3 * latency_s / 7)
    assert request["inter_token_latency_ms"] == approx(1e3 * (latency_s - first_s) / 6)
    assert request["info"]["timings"]["token_iterations"] == 3
    assert request["iter_tokens_per_iteration"] == 6 / 2


def test_loadgen_divides_by_tokens_less_one(late: Answers) -> None:
    ttft_s, steps_s, latency_s = seconds(late.results)
    queries, first_s = mlperf.Queries(late), ttft_s + sum(steps_s[:2])
    assert queries.first_ns == approx(1e9 * first_s, abs=1)
    assert queries.per_token_ns == approx(1e9 * (latency_s - first_s) / 6, abs=1)


def test_an_answer_in_one_chunk_has_no_gaps_and_no_decode_time() -> None:
    whole = answers(alone(first_chunk_delay=99))
    result = aiperf.document(whole)
    assert "inter_token_latency" not in result and "time_to_second_token" not in result
    assert result["time_to_first_token"]["avg"] == result["request_latency"]["avg"]
    assert vllm.document(whole, detailed=True)["itls"] == [[]]
    assert vllm.document(whole)["mean_tpot_ms"] == vllm.document(whole)["mean_itl_ms"] == 0.0
    (benchmark,) = guidellm.document(whole)["benchmarks"]
    assert benchmark["requests"]["successful"][0]["iter_tokens_per_iteration"] is None


def test_the_first_token_after_reasoning_is_seen_with_its_chunk() -> None:
    # of 7 tokens 3 are reasoning; chunks end at 1, 4 and 7, or at 1, 3, 5 and 7, or at each
    arrivals = {"process": "closed_loop", "concurrency": 1, "requests": 1}
    workload = {
        "arrivals": arrivals,
        "prompt_tokens": 100,
        "output_tokens": 7,
        "reasoning_share": 3 / 7,
    }
    for interval, steps in ((3, 3), (2, 4), (1, 3)):
        results = simulated(workload, stream_interval=interval)
        ttft_s, steps_s, _ = seconds(results)
        done = answers(results).of_done
        assert done.reasoning_tokens is not None and done.reasoning_tokens.tolist() == [3]
        assert done.ttfo_s == approx([ttft_s + sum(steps_s[:steps])])


# Many answers


def test_vllm_statistics_of_chunks_are_those_of_its_own_lists(crowd: cluster_sim.Results) -> None:
    result = vllm.document(answers(crowd), detailed=True)
    gaps_s = np.concatenate([np.array(gaps) for gaps in result["itls"]])
    assert result["mean_itl_ms"] == approx(1e3 * float(np.mean(gaps_s)))
    assert result["p99_itl_ms"] == approx(1e3 * float(np.percentile(gaps_s, 99)))
    latencies_s = np.array(result["ttfts"]) + [sum(gaps) for gaps in result["itls"]]
    assert latencies_s == approx(np.array(result["latencies"]), abs=1e-9)
    summary = crowd.summary()
    for name in ("ttft", "tpot", "itl"):
        assert result[f"mean_{name}_ms"] == approx(summary[f"mean_client_{name}_ms"])
        assert result[f"p99_{name}_ms"] == approx(summary[f"p99_client_{name}_ms"])
    assert result["mean_e2el_ms"] == approx(summary["mean_e2el_ms"])


def test_aiperf_records_of_chunks_add_up_to_its_statistics(crowd: cluster_sim.Results) -> None:
    seen = answers(crowd)
    records = [json.loads(line)["metrics"] for line in aiperf.records(seen, detailed=True)]
    result = aiperf.document(seen)
    for tag in ("inter_token_latency", "time_to_first_token", "time_to_second_token"):
        values = [record[tag]["value"] for record in records if tag in record]
        assert result[tag]["avg"] == approx(float(np.mean(values)))
    chunks = sum(
        len(record.get("inter_chunk_latency", {"value": []})["value"]) for record in records
    )
    assert result["inter_chunk_latency"]["count"] == chunks


def test_own_readers_read_chunks_back(crowd: cluster_sim.Results, tmp_path: Path) -> None:
    for client in clients.FORMATS:
        files = clients.export(crowd, client, tmp_path / client, detailed=True)
        assert all(path.stat().st_size for path in files)
        if clients.CLIENTS[client].reader is not None:
            found = clients.read(files[0])
            assert found.values == clients.as_measured(crowd, found).values


def test_goodput_of_a_client_is_that_of_the_chunks_it_sees() -> None:
    arrivals = {"process": "closed_loop", "concurrency": 1, "requests": 1}
    workload = {"arrivals": arrivals, "prompt_tokens": 100, "output_tokens": 7}
    plain = alone()
    limit_s = seconds(plain)[0] + 1e-6
    pool = make_pool(replica={"engine": engine(first_chunk_delay=2)})
    results = simulate(
        make_scenario(workload=workload, cluster={"pools": [pool]}, slo={"ttft": f"{limit_s} s"})
    )
    good = answers(results).good
    assert good is not None and not good.any()
