"""Hand-overs from prefill to decode replicas, on cases whose times are known by hand."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx
from simpy import Environment, Timeout

import cluster_sim
from cluster_sim.analysis.estimate import explain
from cluster_sim.analysis.pool_arithmetic import highest_rate_per_s
from cluster_sim.deployment.fleet import build_topology, resolve
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.step_work import StepWork
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.cluster import Cluster
from cluster_sim.sim.fabric import Fabric
from cluster_sim.sim.transfer import Parties
from cluster_sim.topology import ParallelPaths, Route, group_path
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node, small_gpu, tiny_model

KV_TOKEN_BYTES = 256  # two layers, key and value, two heads of 16, two bytes
LAYERS = 2


def pool(
    role: str,
    link: str = "1 GB/s",
    latency: str = "0 s",
    capacity: str = "10 GB",
    bandwidth: str = "1 GB/s",
    **changes: Any,
) -> dict[str, Any]:
    own = node(SMALL_GPU | {"memory": {"capacity": capacity, "bandwidth": bandwidth}})
    own["network"]["links"][0] |= {"bandwidth": link, "latency": latency}
    return {"name": role, "node": own, "replica": {"engine": engine(), "role": role}} | changes


def served(
    tmp_path: Path,
    pools: list[dict[str, Any]],
    requests: int = 1,
    prompt: Any = 300,
    output: Any = 50,
    disaggregation: Any = None,
    **changes: Any,
) -> cluster_sim.Results:
    scenario = {
        "name": "hand", "model": TINY_MODEL,
        "workload": {"arrivals": {"process": "at_once", "requests": requests}, "prompt_tokens": prompt, "output_tokens": output},
        "cluster": {"pools": pools} | ({"disaggregation": disaggregation} if disaggregation else {}),
    } | changes  # fmt: skip
    path = tmp_path / "hand.yaml"
    path.write_text(json.dumps(scenario))
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def by_hand(
    prompt: int = 300, output: int = 50, decoding_bandwidth: str = "1 GB/s"
) -> tuple[float, float]:
    """Seconds to read a lone prompt, and to decode what follows its first token."""
    times = GpuSteps(tiny_model(), small_gpu())
    read_s, _, _ = times.ramp(
        StepWork(prompt_tokens=prompt, sampled=1, pairs=prompt * (prompt + 1) // 2)
    )
    times = GpuSteps(
        tiny_model(), small_gpu(memory={"capacity": "10 GB", "bandwidth": decoding_bandwidth})
    )
    decode_s = sum(
        times.ramp(StepWork(batch=1, growth=1, context=prompt + 1 + step)).first_s
        for step in range(output - 1)
    )
    return read_s, decode_s


def times_of(results: cluster_sim.Results, request: int = 0) -> tuple[float, float, float, float]:
    """(first token, wait for room, transfer, finish) in seconds."""
    row = results.requests.to_pylist()[request]
    return row["first_token_s"], row["hand_over_wait_s"], row["kv_transfer_s"], row["finish_s"]


def test_a_lone_request_is_read_moved_and_decoded_one_after_the_other(tmp_path: Path) -> None:
    """The last of two layers and the latency of two links are exposed: 300 tokens x 128 B over 1
    GB/s.
    """
    read_s, decode_s = by_hand()
    first_s, wait_s, moving_s, finish_s = times_of(
        served(tmp_path, [pool("prefill"), pool("decode", latency="3 ms")])
    )
    transfer_s = 300 * KV_TOKEN_BYTES / LAYERS / 1e9 + 3e-3
    assert first_s == approx(read_s)
    assert wait_s == 0.0
    assert moving_s == approx(transfer_s)
    assert finish_s == approx(read_s + transfer_s + decode_s + 3e-3)  # and the answer's way back


def test_a_link_that_does_not_keep_up_exposes_what_reading_does_not_hide(tmp_path: Path) -> None:
    """The first layer is ready after half of the time of reading; from then on the link is the
    bottleneck.
    """
    read_s, decode_s = by_hand()
    for transfer, hidden_s in (("layers", read_s / LAYERS), ("whole", 0.0), ("off", None)):
        results = served(
            tmp_path,
            [pool("prefill", "300 kB/s"), pool("decode", "8 MB/s")],
            disaggregation={"kv_transfer": transfer},
        )
        first_s, _, moving_s, finish_s = times_of(results)
        transfer_s = 300 * KV_TOKEN_BYTES / 300e3 - hidden_s if hidden_s is not None else 0.0
        assert transfer_s > 0.15 or transfer == "off"
        assert first_s == approx(read_s)
        assert moving_s == approx(transfer_s)
        assert finish_s == approx(read_s + transfer_s + decode_s)


def test_an_instant_hand_over_of_a_lone_request_is_no_hand_over(tmp_path: Path) -> None:
    apart = served(
        tmp_path, [pool("prefill"), pool("decode")], disaggregation={"kv_transfer": "off"}
    )
    together = served(tmp_path, [pool("both")])
    for name in ("first_token_s", "finish_s"):
        assert apart.requests[name].to_pylist() == approx(
            together.requests[name].to_pylist(), rel=1e-12
        )


def test_decoding_goes_on_undisturbed_by_prompts(tmp_path: Path) -> None:
    """Prompts fill the other replica for long; the gaps here are those of decoding alone, but for
    the batch that grows.
    """
    apart = served(tmp_path, [pool("prefill"), pool("decode")], requests=30).summary()
    together = served(tmp_path, [pool("both", node=node(SMALL_GPU, 2))], requests=30).summary()
    assert apart["max_tpot_ms"] < 0.5 * together["max_tpot_ms"]
    assert apart["p99_ttft_ms"] > 1.5 * together["p99_ttft_ms"]


def test_transfers_share_the_end_of_the_path_that_they_have_in_common(tmp_path: Path) -> None:
    """Two prompts read in one step by two replicas, and one replica that takes them: its link
    carries both at half of the speed, as the network's adapters take turns between the connections
    that send."""
    readers = pool("prefill", "1 GB/s", nodes=2)
    readers["replica"]["engine"] = engine(max_batched_tokens=300, max_sequences=16)
    results = served(
        tmp_path,
        [readers, pool("decode", "1 MB/s")],
        requests=2,
        disaggregation={"kv_transfer": "whole"},
    )
    one_s = 300 * KV_TOKEN_BYTES / 1e6
    assert sorted(times_of(results, request)[2] for request in range(2)) == [
        approx(2 * one_s),
        approx(2 * one_s),
    ]
    # a replica for each of them: nothing is shared, the network's middle being as wide as all
    results = served(
        tmp_path,
        [readers, pool("decode", "1 MB/s", nodes=2)],
        requests=2,
        disaggregation={"kv_transfer": "whole", "policy": "round_robin"},
    )
    assert [times_of(results, request)[2] for request in range(2)] == [approx(one_s), approx(one_s)]


@pytest.mark.parametrize(
    ("sizes", "ended_s"),
    [
        ((3.0,), (10.6,)),
        ((3.0, 3.0), (10.6, 11.2)),
        # by 10 s 8 of 9.6 have been sent; what is left of them goes before the last layers, 0.6,
        # 0.6 and 1.2
        ((3.0, 3.0, 6.0), (12.2, 12.8, 14.0)),
    ],
)
def test_what_was_sent_while_prompts_were_read_is_not_sent_again(
    sizes: tuple[float, ...], ended_s: tuple[float, ...]
) -> None:
    """Two prompts of one step that lasts 10 s, five layers, 3 s of transfer each: from 2 s on all
    layers but the last go as they are made, and of those 0.6 s for each are left at 10 s. With a
    third, of 6 s, the link is never idle."""
    env, recorder = Environment(), Recorder()
    fabric = Fabric(env, lambda _: 1.0, {}, recorder)
    lanes = ParallelPaths([Route(("a", "b"), (("a", "b"),), 0.0, 1.0)], {"link": 1}, ("a", "b"))

    def read(number: int, size: float) -> Generator[Timeout, None, None]:
        transfer = fabric.begin("kv", lanes, Parties(0, 1, number), lambda: None)
        yield env.timeout(2.0)
        fabric.supply(transfer, 0.0, size / 10.0, is_whole=False)
        yield env.timeout(8.0)
        fabric.supply(transfer, size)

    for number, size in enumerate(sizes):
        env.process(read(number, size))
    env.run()
    assert {number: ended_s for _, _, _, number, _, _, ended_s, _ in recorder.transfers} == approx(
        dict(enumerate(ended_s))
    )


def test_without_room_for_decoding_prompts_wait_in_the_room_where_they_were_read(
    tmp_path: Path,
) -> None:
    """Room for one request decodes; room for two is where they are read: the fourth prompt is read
    when the second has left.
    """
    weights = tiny_model().weight_bytes("bf16")

    def with_room(tokens: int) -> str:
        return f"{(weights + tokens * KV_TOKEN_BYTES + 1) / 1e3} kB"

    one_at_a_time = {"batching": {"max_sequences": 16, "max_batched_tokens": 300}}
    pools = [
        pool("prefill", capacity=with_room(608), **one_at_a_time),
        pool("decode", capacity=with_room(352), bandwidth="30 MB/s"),
    ]
    results = served(
        tmp_path, pools, requests=4, prompt=300, output=50, disaggregation={"kv_transfer": "off"}
    )
    rows = results.requests.to_pylist()
    read_s, decode_s = by_hand(decoding_bandwidth="30 MB/s")
    assert decode_s > 3 * read_s
    finish_s = [row["finish_s"] for row in rows]
    assert finish_s == [approx(read_s + (number + 1) * decode_s) for number in range(4)]
    assert [row["hand_over_wait_s"] for row in rows[:3]] == [
        0.0,
        approx(decode_s - read_s),
        approx(2 * decode_s - 2 * read_s),
    ]
    assert rows[3]["admitted_s"] == approx(
        finish_s[0]
    )  # the second one's KV has gone then, and there is room for a prompt
    assert all(row["preemptions"] == 0 for row in rows)


@pytest.mark.parametrize(
    ("policy", "targets"),
    [
        ("round_robin", [0, 1, 2, 0, 1, 2]),
        ("fixed_turns", [0, 1, 2, 0, 1, 2]),
        ("least_requests", [0, 1, 2, 0, 1, 2]),
        ("least_kv", [0, 1, 2, 1, 2, 1]),
    ],
)
def test_each_policy_chooses_as_its_name_says(
    tmp_path: Path, policy: str, targets: list[int]
) -> None:
    """Prompts of 800, 100, 200, 150, 300, 300 tokens before decoders that take minutes for a step.

    The second one's KV is 100, then 250 tokens, the third one's 200, then 500.
    """
    lengths = [800, 100, 200, 150, 300, 300]
    (tmp_path / "trace.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        + "".join(
            f"2024-01-01 00:00:0{second},{tokens},3\n" for second, tokens in enumerate(lengths)
        )
    )
    pools = [pool("decode", bandwidth="1 kB/s", nodes=3), pool("prefill")]
    results = served(
        tmp_path,
        pools,
        workload={"trace": {"format": "azure", "path": str(tmp_path / "trace.csv")}},
        disaggregation={"policy": policy},
    )
    assert results.requests["replica"].to_pylist() == targets


def test_with_fixed_turns_a_request_waits_for_its_replica_though_another_is_free(
    tmp_path: Path,
) -> None:
    """Each replica decodes one request at a time; answers have 60, 3, 3 and 3 tokens."""
    (tmp_path / "trace.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        + "".join(f"2024-01-01 00:00:00,100,{tokens}\n" for tokens in (60, 3, 3, 3))
    )
    one = {"batching": {"max_sequences": 1, "max_batched_tokens": 16}}
    rows = {
        policy: served(
            tmp_path,
            [pool("prefill"), pool("decode", bandwidth="30 MB/s", nodes=2, **one)],
            workload={"trace": {"format": "azure", "path": str(tmp_path / "trace.csv")}},
            disaggregation={"policy": policy},
        ).requests.to_pylist()
        for policy in ("fixed_turns", "round_robin")
    }
    first, second, third, fourth = rows["fixed_turns"]
    assert [row["replica"] for row in rows["fixed_turns"]] == [1, 2, 1, 2]
    assert third["finish_s"] > first["finish_s"] > fourth["finish_s"] > second["finish_s"]
    # asked first, the free replica takes both of the others
    assert [row["replica"] for row in rows["round_robin"]] == [1, 2, 2, 2]


WAYS: list[tuple[list[tuple[str, int, str]], float, float, float]] = [
    # within a node over NVLink: 4 x 900 GB/s, twice 0.75 us
    ([("dgx-b200", 1, "a/0/device0 a/0/device4")], 3600e9, 3600e9, 1.5e-6),
    # between nodes over four of eight rails of 46 GB/s: PCIe, InfiniBand, InfiniBand, PCIe
    ([("dgx-b200", 2, "a/0/device0 a/1/device4")], 184e9, 184e9, 8e-6),
    ([("dgx-h200", 1, "a/0/device0 b/0/device0"), ("dgx-b200", 1, "")], 184e9, 184e9, 8e-6),
]


@pytest.mark.parametrize(("nodes", "leaving", "entering", "latency_s"), WAYS)
def test_lanes_of_a_way_are_nvlink_within_a_node_and_rails_between_nodes(
    nodes: list[tuple[str, int, str]], leaving: float, entering: float, latency_s: float
) -> None:
    pools = [
        {"name": name, "node": kind, "nodes": count}
        for name, (kind, count, _) in zip("ab", nodes, strict=False)
    ]
    topology = build_topology(Cluster.model_validate({"pools": pools}))
    start, end = nodes[0][2].split()

    def four(first: str) -> list[str]:
        return [f"{first[:-1]}{int(first[-1]) + number}" for number in range(4)]

    way = group_path(topology, four(start), four(end))
    assert (way.out_bytes_per_s, way.in_bytes_per_s) == (approx(leaving), approx(entering))
    assert way.bytes_per_s == approx(min(leaving, entering))
    assert way.route.latency_s == approx(latency_s)


def test_wafers_take_over_what_gpus_have_read(tmp_path: Path) -> None:
    """Four wafers of one node each: 4 x 150 GB/s enter, four of eight rails leave; their fabrics
    meet at the front door.
    """
    path = tmp_path / "wafers.yaml"
    path.write_text(
        """
name: wafers
model: llama-3.3-70b
workload:
  arrivals: {process: at_once, requests: 40}
  prompt_tokens: 1000
  output_tokens: 100
cluster:
  pools:
    - {name: prefill, node: dgx-b200, replica: {tensor_parallel: 4, weights: fp8, role: prefill}}
    - {name: decode, node: cs-3, nodes: 4, replica: {wafers: 4, weights: bf16, engine: cerebras, role: decode}}
"""
    )
    scenario = cluster_sim.load_scenario(path)
    fleet = resolve(scenario)
    reader, *_, wafers = fleet.replicas
    way = group_path(fleet.topology, reader.rank_devices, wafers.rank_devices)
    assert (way.out_bytes_per_s, way.in_bytes_per_s) == (approx(184e9), approx(600e9))
    results = cluster_sim.simulate(scenario)
    assert results.summary()["completed"] == 40
    assert set(results.requests["replica"].to_pylist()) == {2}
    assert set(results.requests["prefill_replica"].to_pylist()) == {0, 1}
    # 80 layers, key and value of eight heads of 128 at two bytes each
    carried = {(row["from"], row["to"]): row["kv_bytes"] for row in results.links.to_pylist()}
    assert sum(
        moved
        for (start, end), moved in carried.items()
        if "decode" in start + end and "device" in start + end and "memory" not in end
    ) == approx(40 * 1000 * 80 * 4096)


def test_pools_sum_up_what_they_did_and_kv_transfer_is_reported(tmp_path: Path) -> None:
    summary = served(
        tmp_path, [pool("prefill"), pool("decode"), pool("both")], requests=100
    ).summary()
    assert summary["completed"] == 100
    reader, decoder, both = (summary["pools"][name] for name in ("prefill", "decode", "both"))
    assert reader["completed"] == decoder["completed"] == 100 - both["completed"] > 0
    assert (
        reader["mean_kv_transfer_ms"]
        == decoder["mean_kv_transfer_ms"]
        == summary["mean_kv_transfer_ms"]
        > 0
    )
    assert "mean_kv_transfer_ms" not in both and "mean_itl_ms" not in reader


def test_arithmetic_knows_when_the_link_is_what_saturates(tmp_path: Path) -> None:
    """400 tokens x 256 B over 200 kB/s: half a second for each request, whoever is at the other
    end.
    """
    results = served(
        tmp_path, [pool("prefill", "200 kB/s"), pool("decode")], requests=300, prompt=400, output=4
    )
    reader, decoder = explain(results.scenario)
    assert reader.bound_by == "KV transfer" and decoder.bound_by != "KV transfer"
    assert reader.kv_transfer_s == approx(400 * KV_TOKEN_BYTES / 200e3)
    finish_s = np.sort(results.requests["finish_s"].to_numpy())
    assert 100 / (finish_s[200] - finish_s[100]) == approx(
        highest_rate_per_s([reader, decoder]), rel=0.01
    )
    assert highest_rate_per_s([reader, decoder]) == approx(200e3 / (400 * KV_TOKEN_BYTES))


@pytest.mark.slow
def test_arithmetic_takes_the_lesser_of_what_is_read_and_what_is_decoded(tmp_path: Path) -> None:
    """Everything queued at once: the rate in the middle of the run is that of the replica that
    reads, then of the one that decodes.
    """
    for prompt, output, narrow in ((400, 4, 0), (40, 200, 1)):
        results = served(
            tmp_path, [pool("prefill"), pool("decode")], requests=2000, prompt=prompt, output=output
        )
        pools = explain(results.scenario)
        rate_per_s = highest_rate_per_s(pools)
        assert rate_per_s == pools[narrow].requests_per_s < pools[1 - narrow].requests_per_s
        finish_s = np.sort(results.requests["finish_s"].to_numpy())
        assert rate_per_s == approx(1000 / (finish_s[1500] - finish_s[500]), rel=0.05)
