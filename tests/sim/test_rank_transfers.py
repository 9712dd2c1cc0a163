"""KV cache goes from a request's own attention rank to its own rank, over their own links."""

from __future__ import annotations

from typing import Any

import pytest

import cluster_sim
from cluster_sim.analysis.estimate import explain
from cluster_sim.sim import kv_paths
from tests.machines import SMALL_GPU, engine
from tests.scenarios import make_scenario

LATENT = {"kind": "latent", "layers": 2, "heads": 8, "q_rank": 24, "kv_rank": 32, "rope_dim": 8, "nope_dim": 16, "v_dim": 16}  # fmt: skip
HEADS = {"kind": "full", "layers": 2, "heads": 8, "kv_heads": 4, "head_dim": 16}
LATENT_BYTES = 2 * (32 + 8) * 2  # of a token: two layers, rank and rope, two bytes
HEADS_BYTES = 2 * 2 * 4 * 16 * 2  # of a token: two layers, keys and values of four heads of 16
PROMPT = 300
START = {"start": "9 us", "link_bandwidth": "0.4 GB/s"}
GPU = SMALL_GPU | {
    "collectives": SMALL_GPU["collectives"] | {"all_gather": START, "reduce_scatter": START}
}


def model(kind: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "tiny experts", "hidden": 64, "ffn": 128, "vocabulary": 256, "max_context": 4096,
        "layers": 2, "attention_layers": [kind], "experts": {"count": 8, "top_k": 2, "ffn": 32},
    }  # fmt: skip


def pool(role: str, nodes: int, tensor: int, data: int, nic: str = "1 GB/s") -> dict[str, Any]:
    """Nodes of one replica each; every device has its own NIC to an endless switch."""
    devices = tensor * data
    node = {
        "name": "rails", "device": GPU, "devices": devices, "places": {"nic": devices},
        "links": [
            {"between": ["device", "switch"], "kind": "nvlink", "bandwidth": "10 GB/s", "latency": "0 s"},
            {"between": ["device", "nic"], "kind": "pcie", "bandwidth": "10 GB/s", "latency": "0 s"},
            {"between": ["host", "nic"], "kind": "pcie", "bandwidth": "10 GB/s", "latency": "0 s"},
        ],
        "network": {"name": "rails", "links": [
            {"between": ["node", "spine"], "kind": "rail", "bandwidth": f"{float(nic.split()[0]) * devices} {nic.split()[1]}", "latency": "0 s"},
            {"between": ["front_door", "spine"], "kind": "door", "bandwidth": "100 GB/s", "latency": "0 s"},
        ]},
    }  # fmt: skip
    plan = {"tensor_parallel": tensor, "data_parallel": data, "role": role, "engine": engine()}
    return {"name": role, "node": node, "nodes": nodes, "replica": plan}


def serve(
    kind: dict[str, Any],
    pools: list[dict[str, Any]],
    requests: int,
    stepping: str = "stretch",
    **disaggregation: Any,
) -> cluster_sim.Results:
    cluster = {
        "pools": pools,
        "router": {"policy": "round_robin"},
        "disaggregation": {"kv_transfer": "whole"} | disaggregation,
    }  # fmt: skip
    scenario = make_scenario(
        model=model(kind),
        stepping=stepping,
        workload={
            "arrivals": {"process": "at_once", "requests": requests},
            "prompt_tokens": PROMPT,
            "output_tokens": 5,
        },
        cluster=cluster,
    )
    return cluster_sim.simulate(scenario)


def transfer_s(results: cluster_sim.Results) -> list[float]:
    times: list[float] = results.requests["kv_transfer_s"].to_pylist()
    return times


def bytes_over_nics(results: cluster_sim.Results, pool: str) -> dict[str, float]:
    """Bytes of KV cache between each NIC of a pool's nodes and the spine."""
    return {
        next(end for end in (row["from"], row["to"]) if "nic" in end): row["kv_bytes"]
        for row in results.links.to_pylist()
        if row["kind"] == "rail" and pool in row["from"] + row["to"]
    }


def test_two_ranks_receive_over_their_own_links() -> None:
    """Two replicas of one device prefill a prompt each; both caches go to one replica of two ranks:
    neither waits for the other. To a replica of one device both take twice as long.
    """
    alone_s = PROMPT * LATENT_BYTES / 1e6
    nic = "1 MB/s"
    apart = serve(LATENT, [pool("prefill", 2, 1, 1, nic), pool("decode", 1, 1, 2, nic)], 2)
    assert transfer_s(apart) == pytest.approx([alone_s, alone_s])
    assert bytes_over_nics(apart, "decode") == pytest.approx(
        dict.fromkeys(("decode/0/nic0", "decode/0/nic1"), PROMPT * LATENT_BYTES)
    )
    shared = serve(LATENT, [pool("prefill", 2, 1, 1, nic), pool("decode", 1, 1, 1, nic)], 2)
    assert transfer_s(shared) == pytest.approx([2 * alone_s, 2 * alone_s])


@pytest.mark.parametrize(
    ("kind", "prefill", "decode", "sent", "received"),
    [
        # a latent vector is whole on every device: one of four sends, each of two gets a copy
        (LATENT, 4, 1, [1, 0, 0, 0], [1]),
        (LATENT, 1, 2, [2], [1, 1]),
        (LATENT, 4, 2, [1, 0, 1, 0], [1, 1]),
        # heads are split: all of four send, and each of eight copies a head
        (HEADS, 4, 1, [1 / 4] * 4, [1]),
        (HEADS, 2, 4, [1 / 2] * 2, [1 / 4] * 4),
        (HEADS, 4, 8, [1 / 2] * 4, [1 / 4] * 8),
    ],
)
def test_bytes_of_each_device_follow_from_both_layouts(
    kind: dict[str, Any], prefill: int, decode: int, sent: list[float], received: list[float]
) -> None:
    """Shares of the whole cache of a sequence that each device sends and receives, and the time
    that the busiest link takes."""
    pools = [pool("prefill", 1, prefill, 1, "1 MB/s"), pool("decode", 1, decode, 1, "1 MB/s")]
    results = serve(kind, pools, 1)
    whole = PROMPT * (LATENT_BYTES if kind is LATENT else HEADS_BYTES)
    for name, shares in (("prefill", sent), ("decode", received)):
        assert list(bytes_over_nics(results, name).values()) == pytest.approx(
            [share * whole for share in shares]
        )
    assert transfer_s(results) == pytest.approx([max(*sent, *received, 0) * whole / 1e6])


@pytest.mark.parametrize(("copied", "senders"), [("first", 1), ("by_rank", 4)])
def test_copies_are_sent_by_the_first_device_or_by_each_in_turn(copied: str, senders: int) -> None:
    """Four requests for four ranks from four devices with the same latent vectors: one link carries
    all, or each its own."""
    pools = [pool("prefill", 1, 4, 1, "1 MB/s"), pool("decode", 1, 1, 4, "1 MB/s")]
    results = serve(LATENT, pools, 4, copied_kv=copied)
    whole = PROMPT * LATENT_BYTES
    assert list(bytes_over_nics(results, "prefill").values()) == pytest.approx(
        [4 * whole / senders] * senders + [0.0] * (4 - senders)
    )
    assert list(bytes_over_nics(results, "decode").values()) == pytest.approx([whole] * 4)
    # two prompts fit into a step: the first two share the link, or have one each
    assert max(transfer_s(results)) >= (1 if senders == 4 else 2) * whole / 1e6 * (1 - 1e-9)


def test_decode_pools_of_different_shapes_are_chosen_by_the_policy() -> None:
    """In turn: two ranks of one device, and two devices that share the heads."""
    wide, narrow = pool("decode", 1, 1, 2), pool("decode", 1, 2, 1)
    pools = [pool("prefill", 1, 1, 1), wide | {"name": "wide"}, narrow | {"name": "narrow"}]
    results = serve(HEADS, pools, 8, policy="round_robin")
    assert sorted(results.requests["replica"].to_pylist()) == [1] * 4 + [2] * 4
    whole = PROMPT * HEADS_BYTES
    assert sum(bytes_over_nics(results, "wide").values()) == pytest.approx(4 * whole)
    assert list(bytes_over_nics(results, "narrow").values()) == pytest.approx([2 * whole] * 2)


def test_arithmetic_counts_the_links_of_all_ranks() -> None:
    """Requests whose KV takes a second of one link: a replica of four ranks receives four per
    second, one of four devices that send one copy of a latent vector sends one."""
    nic = f"{PROMPT * LATENT_BYTES / 1e3} kB/s"
    pools = [pool("prefill", 1, 4, 1, nic), pool("decode", 1, 1, 4, nic)]
    prefill, decode = explain(serve(LATENT, pools, 1).scenario)
    assert (prefill.bound_by, decode.bound_by) == ("KV transfer", "KV transfer")
    assert prefill.requests_per_s == pytest.approx(1.0)
    assert decode.requests_per_s == pytest.approx(4.0)
    assert prefill.kv_transfer_s == pytest.approx(1.0)


def test_stepping_changes_nothing_and_no_link_carries_more_than_it_can() -> None:
    pools = [pool("prefill", 2, 2, 2, "1 MB/s"), pool("decode", 1, 1, 4, "1 MB/s")]
    stretch, step, again = (
        serve(HEADS, pools, 24, stepping) for stepping in ("stretch", "step", "stretch")
    )
    assert step.info.events > stretch.info.events
    for name in ("first_token_s", "finish_s", "kv_transfer_s"):
        times_s = stretch.requests[name].to_pylist()
        assert times_s == again.requests[name].to_pylist()
        assert step.requests[name].to_pylist() == pytest.approx(times_s, rel=1e-9)
    assert 0.5 < max(stretch.links["utilisation"].to_pylist()) <= 1 + 1e-9
    assert sum(bytes_over_nics(stretch, "decode").values()) == pytest.approx(
        24 * PROMPT * HEADS_BYTES
    )


def test_paths_of_many_ranks_are_forgotten_and_their_bytes_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 32 pairs of ranks, of which one pair's paths are kept, all is as if all were kept."""
    pools = [pool("prefill", 1, 1, 4, "1 MB/s"), pool("decode", 1, 1, 8, "1 MB/s")]
    monkeypatch.setattr(kv_paths, "_FEW", 32)
    kept = serve(LATENT, pools, 24)
    monkeypatch.setattr(kv_paths, "_FEW", 1)
    monkeypatch.setattr(kv_paths, "_KEPT", 1)
    forgotten = serve(LATENT, pools, 24)
    assert transfer_s(forgotten) == transfer_s(kept)
    for name in ("kv_bytes", "utilisation", "saturated_share"):
        assert forgotten.links[name].to_pylist() == pytest.approx(kept.links[name].to_pylist())
    assert sum(bytes_over_nics(kept, "decode").values()) == pytest.approx(
        24 * PROMPT * LATENT_BYTES
    )


def test_bytes_of_a_transfer_that_the_end_of_the_run_cuts_off_have_crossed_the_links() -> None:
    """The NIC sends 200 kB/s from the end of the prefill until the run ends after 10 s."""
    pools = [pool("prefill", 1, 1, 1, "200 kB/s"), pool("decode", 1, 1, 1, "200 kB/s")]
    scenario = make_scenario(
        model=model(HEADS),
        duration="2 s",
        drain="8 s",
        workload={
            "arrivals": {"process": "at_once", "requests": 1},
            "prompt_tokens": 2000,
            "output_tokens": 5,
        },
        cluster={"pools": pools, "disaggregation": {"kv_transfer": "whole"}},
    )
    results = cluster_sim.simulate(scenario)
    prefilled_s = results.stretches["ended_s"].to_pylist()[-1]
    assert results.transfers.num_rows == 0
    assert 2000 * HEADS_BYTES > 200e3 * (10 - prefilled_s) > 1e5
    for name in ("prefill", "decode"):
        (moved,) = bytes_over_nics(results, name).values()
        assert moved == pytest.approx(200e3 * (10 - prefilled_s))
