"""Tiers of KV cache that the replicas of a pool or of the cluster share over the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cluster_sim
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.limited_view import causal_pairs
from cluster_sim.physics.step_work import StepWork
from cluster_sim.results.bandwidth import over_time
from tests.machines import SMALL_GPU, engine, node, small_gpu, tiny_model
from tests.scenarios import make_scenario, unchecked_scenario

TOKEN_BYTES = 256  # two layers, key and value, two heads of 16, two bytes
PREFIX, OWN, BLOCK = 400, 40, 16
STORE = {"tier": "store", "capacity": "1 GB", "bandwidth": "10 MB/s", "shared": "pool"}


def pool(
    tier: dict[str, Any], name: str = "p", link: str = "1 GB/s", nodes: int = 2, **kv: Any
) -> dict[str, Any]:
    own = node(SMALL_GPU)
    own["network"]["links"][0]["bandwidth"] = link
    kv = {"prefix_caching": True, "offload": [tier]} | kv
    return {"name": name, "node": own, "nodes": nodes, "kv": kv, "replica": {"engine": engine()}}


def scenario_of(
    pools: list[dict[str, Any]], rate: str = "0.2 /s", **changes: Any
) -> dict[str, Any]:
    """Few requests that all begin with the same 400 tokens, in turn to the replicas."""
    return {
        "workload": {
            "arrivals": {"process": "poisson", "rate": rate},
            "shared_prefix": {"tokens": PREFIX, "groups": 1},
            "prompt_tokens": OWN, "output_tokens": 10,
        },
        "cluster": {"pools": pools, "router": {"policy": "round_robin"}},
        "duration": "60 s",
        "seed": 3,
    } | changes  # fmt: skip


def serve(pools: list[dict[str, Any]], **changes: Any) -> cluster_sim.Results:
    return cluster_sim.simulate(make_scenario(**scenario_of(pools, **changes)))


def fetched(results: cluster_sim.Results) -> list[int]:
    tokens: list[int] = results.requests["fetched_tokens"].to_pylist()
    return tokens


def prefill_s(tokens: int, past: int) -> float:
    pairs = causal_pairs(tokens, past)
    times = GpuSteps(tiny_model(), small_gpu())
    return times.ramp(StepWork(prompt_tokens=tokens, sampled=1, pairs=pairs)).first_s


def ttft_s(results: cluster_sim.Results) -> np.ndarray[Any, Any]:
    table = results.requests
    return np.array(table["first_token_s"]) - np.array(table["arrival_s"])


@pytest.mark.parametrize(
    ("changes", "link", "seconds"),
    [
        ({}, "1 GB/s", PREFIX * TOKEN_BYTES / 10e6),
        ({"store_bandwidth": "4 MB/s"}, "1 GB/s", PREFIX * TOKEN_BYTES / 4e6),
        ({}, "2 MB/s", PREFIX * TOKEN_BYTES / 2e6),
        ({"latency": "30 ms"}, "1 GB/s", 30e-3 + PREFIX * TOKEN_BYTES / 10e6),
    ],
)
def test_a_replica_fetches_what_another_one_wrote(
    changes: dict[str, Any], link: str, seconds: float
) -> None:
    """The first replica computes the prefix and writes it; the second fetches it, over the slowest
    of link, tier and store, and computes the 40 tokens behind it. Later both have it."""
    results = serve([pool(STORE | changes, link=link)])
    assert len(fetched(results)) > 4
    assert fetched(results)[:2] == [0, PREFIX] and not any(fetched(results)[2:])
    assert ttft_s(results)[:3] == pytest.approx(
        [prefill_s(PREFIX + OWN, 0), seconds + prefill_s(OWN, PREFIX), prefill_s(OWN, PREFIX)]
    )
    assert results.summary()["offload_hit_fraction"] > 0


def test_each_prompt_is_written_once_and_all_bytes_cross_the_network() -> None:
    """27 blocks of the first prompt, 2 own ones of each later prompt, and one prefix is fetched."""
    results = serve([pool(STORE)])
    count = len(fetched(results))
    written = (PREFIX + OWN) // BLOCK + (count - 1) * ((PREFIX + OWN) // BLOCK - PREFIX // BLOCK)
    moved = results.transfers.to_pylist()
    assert sum(row["bytes"] for row in moved if row["to_replica"] < 0) == pytest.approx(
        written * BLOCK * TOKEN_BYTES
    )
    assert sum(row["bytes"] for row in moved if row["to_replica"] >= 0) == pytest.approx(
        PREFIX * TOKEN_BYTES
    )
    doors = [row for row in results.links.to_pylist() if "front_door" in (row["from"], row["to"])]
    assert sum(row["offload_bytes"] for row in doors) == pytest.approx(
        sum(row["bytes"] for row in moved)
    )


def test_a_link_is_full_while_blocks_are_written_after_the_last_request() -> None:
    """27 blocks of one prompt leave at 10 kB/s: from its first token until 11 s later."""
    results = serve(
        [pool(STORE, link="10 kB/s", nodes=1)],
        workload={
            "arrivals": {"process": "at_once", "requests": 1},
            "prompt_tokens": PREFIX + OWN, "output_tokens": 10,
        },
    )  # fmt: skip
    (row,) = results.transfers.to_pylist()
    written_s = (PREFIX + OWN) // BLOCK * BLOCK * TOKEN_BYTES / 10e3
    assert row["ended_s"] == pytest.approx(ttft_s(results)[0] + written_s)
    assert row["ended_s"] > results.info.simulated_s + 10.0
    (door,) = [row for row in results.links.to_pylist() if "front_door" in (row["from"], row["to"])]
    for name in ("utilisation", "saturated_share"):
        assert door[name] == pytest.approx(written_s / row["ended_s"])


def test_the_course_of_the_bandwidth_has_the_traffic_of_a_tier() -> None:
    results = serve([pool(STORE, nodes=1)])
    _, (course,) = over_time(results)
    (link,) = course.links
    assert (link.what, link.capacity_bytes_per_s, list(link.by_kind)) == ("wire", 1e9, ["KV out"])


def test_blocks_are_found_when_the_last_of_them_has_been_written() -> None:
    """The second request comes while the first one's blocks are on their way, at 1 kB/s."""
    slow = STORE | {"bandwidth": "1 kB/s"}
    assert not any(fetched(serve([pool(slow, link="2 kB/s")])))


@pytest.mark.parametrize(("capacity", "tokens"), [("45 kB", 160), ("1 GB", PREFIX)])
def test_the_capacity_is_that_of_the_whole_tier(capacity: str, tokens: int) -> None:
    """Ten blocks of 4,096 B fit into 45 kB, the first ones of the prefix; the two own blocks of each
    prompt are less recent than these and go first."""
    assert fetched(serve([pool(STORE | {"capacity": capacity})]))[1] == tokens


@pytest.mark.parametrize(("shared", "tokens"), [("cluster", [0, PREFIX]), ("pool", [0, 0])])
def test_pools_share_a_tier_of_the_cluster_only(shared: str, tokens: list[int]) -> None:
    tier = STORE | {"shared": shared}
    results = serve([pool(tier, "one", nodes=1), pool(tier, "two", nodes=1)])
    assert fetched(results)[:2] == tokens


def test_each_replica_has_its_own_tier_by_default() -> None:
    own = {"tier": "host", "capacity": "1 GB", "bandwidth": "10 MB/s"}
    assert not any(fetched(serve([pool(own)])))


def busy(stepping: str) -> cluster_sim.Results:
    """Little KV cache, a small store and many prefixes: blocks are evicted everywhere."""
    own = pool(STORE | {"capacity": "600 kB", "store_bandwidth": "8 MB/s"}, nodes=3)
    own["node"]["device"] = SMALL_GPU | {"memory": {"capacity": "500 kB", "bandwidth": "1 GB/s"}}
    own["kv"]["offload"] = [
        {"tier": "host", "capacity": "100 kB", "bandwidth": "50 MB/s"},
        *own["kv"]["offload"],
    ]
    changes = scenario_of([own], rate="12 /s", duration="20 s", stepping=stepping)
    changes["workload"] |= {
        "shared_prefix": {"tokens": 200, "groups": 9},
        "prompt_tokens": {"distribution": "uniform", "low": 20, "high": 200},
        "output_tokens": {"distribution": "uniform", "low": 1, "high": 40},
    }
    return cluster_sim.simulate(make_scenario(**changes))


def test_stepping_changes_nothing_and_the_same_seed_gives_the_same_bytes() -> None:
    stretch, step, again = (busy(stepping) for stepping in ("stretch", "step", "stretch"))
    assert step.info.events > stretch.info.events
    assert sum(fetched(stretch)) > 10_000
    assert fetched(stretch) == fetched(step) == fetched(again)
    for name in ("first_token_s", "finish_s"):
        times_s = stretch.requests[name].to_pylist()
        assert times_s == again.requests[name].to_pylist()
        assert step.requests[name].to_pylist() == pytest.approx(times_s, rel=1e-9)
    assert max(stretch.links["utilisation"].to_pylist()) <= 1 + 1e-9


FAULTS: list[tuple[list[dict[str, Any]], str]] = [
    ([pool(STORE | {"shared": "replica"})], "got a store of each replica; expected pool or cluster"),
    (
        [pool({"tier": "host", "capacity": "1 GB", "bandwidth": "1 GB/s", "latency": "1 ms"})],
        "got latency for a tier of each replica",
    ),
    (
        [pool(STORE, offload=[STORE, {"tier": "host", "capacity": "1 GB", "bandwidth": "1 GB/s"}])],
        "got pool for a tier before others; expected one shared tier, the last of the list",
    ),
    (
        [pool(STORE | {"shared": "cluster"}), pool(STORE | {"shared": "cluster", "capacity": "2 GB"}, "q")],
        "got another capacity or store_bandwidth than pool 'p'",
    ),
    (
        [pool(STORE | {"shared": "cluster"}), pool(STORE | {"shared": "cluster"}, "q", block_tokens=32)],
        "block_tokens 32; expected tensor_parallel 1, pipeline_parallel 1, kv_cache bf16 and block_tokens 16 as in pool 'p'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("pools", "message"), FAULTS)
def test_tiers_that_cannot_be_shared_are_refused(pools: list[dict[str, Any]], message: str) -> None:
    (fault,) = (text for _, text in faults_of(unchecked_scenario(**scenario_of(pools))))
    assert message in fault


def test_links_that_fail_are_refused_beside_a_shared_tier() -> None:
    event = {"what": "link_failure", "at": "5 s", "where": "p/0 - front_door"}
    changes = scenario_of([pool(STORE)], site={"events": [event]})
    faults = [text for _, text in faults_of(unchecked_scenario(**changes))]
    assert any("beside links that fail" in text for text in faults)


def test_a_store_outlives_the_replicas_that_wrote_it() -> None:
    """The node of the first replica fails when it has written; the second one fetches."""
    event = {"what": "node_failure", "at": "5 s", "where": "p/0"}
    assert PREFIX in fetched(serve([pool(STORE)], site={"events": [event]}))
