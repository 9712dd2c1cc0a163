"""Links that fail or lose bandwidth, on cases whose times are known by hand."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.physics.step_work import StepWork
from cluster_sim.results.results import Results
from tests.machines import SMALL_GPU, engine, node
from tests.scenarios import WORKLOAD, make_scenario, unchecked_scenario

PROMPT, KV_TOKEN_BYTES = 300, 256
ALONE_S = PROMPT * KV_TOKEN_BYTES / 2 / 1e6
"""Time to send a prompt's KV cache over two rails of 1 MB/s each [s]."""


def rails(role: str = "both", nodes: int = 1, **plan: Any) -> dict[str, Any]:
    """A pool of nodes with two GPUs and two NICs, each of which has a link of 1 MB/s to the spine."""
    own = node(SMALL_GPU, 2)
    fast = {"kind": "wire", "bandwidth": "1 GB/s", "latency": "0 s"}
    own["places"] = {"nic": 2}
    own["links"] = [
        {"between": ["device", "nic"], **fast},
        {"between": ["host", "nic"], **fast},
        {"between": ["device", "switch"], **fast},
    ]
    own["network"] = {
        "name": "rail",
        "links": [
            {"between": ["front_door", "spine"], **fast},
            {"between": ["spine", "node"], **fast, "bandwidth": "2 MB/s"},
        ],
    }
    replica = {"tensor_parallel": 2, "engine": engine(), "role": role} | plan
    return {"name": role, "node": own, "nodes": nodes, "replica": replica}


def scenario(pools: list[dict[str, Any]], *events: dict[str, Any], **changes: Any) -> Any:
    keys: dict[str, Any] = {"cluster": {"pools": pools}, "site": {"events": events}}
    return keys | changes


def moved(*events: dict[str, Any], decoders: int = 1, **changes: Any) -> Results:
    """Results of one request that is prefilled on one node and decoded on another."""
    cluster = {
        "pools": [rails("prefill"), rails("decode", decoders)],
        "disaggregation": {"kv_transfer": "whole", "policy": "round_robin"},
    }
    workload = {
        "arrivals": {"process": "at_once", "requests": 1},
        "prompt_tokens": PROMPT,
        "output_tokens": 20,
    }
    keys: dict[str, Any] = {"cluster": cluster, "workload": workload, "site": {"events": events}}
    return cluster_sim.simulate(make_scenario(**(keys | {"duration": None} | changes)))


def read_s() -> float:
    """Time at which the KV cache of the prompt begins to move [s]."""
    return float(moved().requests.to_pylist()[0]["first_token_s"])


def sent_s(results: Results) -> float:
    """Time from the first token to the arrival of the KV cache [s]."""
    (row,) = [row for row in results.events.to_pylist() if row["what"] == "handed_over"]
    return float(row["value"])


def fails(where: str, at_s: float = 0.0, **keys: Any) -> dict[str, Any]:
    return {"at": f"{at_s!r} s", "what": "link_failure", "where": where} | keys


def degrades(where: str, factor: float, at_s: float = 0.0, **keys: Any) -> dict[str, Any]:
    return fails(where, at_s, what="link_degraded", factor=factor, **keys)


RAIL = "prefill/0/nic1 - rail/spine"


def test_kv_cache_moves_over_both_rails() -> None:
    assert sent_s(moved()) == approx(ALONE_S, rel=1e-9)
    # a fault of another link changes nothing, though all links are looked at then
    assert sent_s(moved(fails("decode/1/nic0", 1e9), decoders=2)) == approx(ALONE_S, rel=1e-9)


@pytest.mark.parametrize("where", [RAIL, "rail/spine - prefill/0/nic1", "prefill/0/nic1"])
def test_with_half_of_the_rails_it_takes_twice_as_long(where: str) -> None:
    """Both devices send over the NIC that is left."""
    assert sent_s(moved(fails(where))) == approx(2 * ALONE_S, rel=1e-9)
    # at the receiving end it is the same, and a device names the links of its NIC
    assert sent_s(moved(fails("decode/0/device0"))) == approx(2 * ALONE_S, rel=1e-9)


def test_a_transfer_that_is_cut_begins_again_over_what_is_left() -> None:
    """A quarter is moved when a rail fails; all of it is sent again over the other one."""
    results = moved(fails(RAIL, read_s() + ALONE_S / 4))
    assert sent_s(results) == approx((0.25 + 2.0) * ALONE_S, rel=1e-6)
    (row,) = results.transfers.to_pylist()
    assert row["bytes"] == approx(PROMPT * KV_TOKEN_BYTES)
    links = {row["from"]: row["kv_bytes"] for row in results.links.to_pylist() if row["to"] == "rail/spine"} | {
        row["to"]: row["kv_bytes"] for row in results.links.to_pylist() if row["from"] == "rail/spine"
    }  # fmt: skip
    moved_bytes = PROMPT * KV_TOKEN_BYTES
    assert links["prefill/0/nic1"] == approx(0.125 * moved_bytes)
    assert links["prefill/0/nic0"] == approx(1.125 * moved_bytes)


def test_a_repaired_link_carries_the_transfers_that_begin_later() -> None:
    assert sent_s(moved(fails(RAIL, 0.0, lasts=f"{read_s() / 2!r} s"))) == approx(ALONE_S, rel=1e-9)


def test_a_degraded_rail_slows_the_transfer_from_its_time_on() -> None:
    """Equal parts go over both rails, so the slower one determines the time: half is moved, and the
    other half takes four times as long. After the repair it is as fast as before."""
    half_s = read_s() + ALONE_S / 2
    assert sent_s(moved(degrades(RAIL, 0.25, half_s))) == approx((0.5 + 2.0) * ALONE_S, rel=1e-6)
    results = moved(degrades(RAIL, 0.25, half_s, lasts=f"{ALONE_S!r} s"))  # a quarter moves in it
    assert sent_s(results) == approx((0.5 + 1.0 + 0.25) * ALONE_S, rel=1e-6)
    assert sent_s(moved(degrades("decode/0", 0.5))) == approx(2 * ALONE_S, rel=1e-9)


def test_kv_cache_goes_elsewhere_where_no_path_is_left() -> None:
    """The first decode replica is cut off when half of the KV cache is there."""
    results = moved(fails("decode/0", read_s() + ALONE_S / 2), decoders=2)
    (request,) = results.requests.to_pylist()
    assert request["status"] == "finished" and request["replica"] == 2
    assert sent_s(results) == approx(1.5 * ALONE_S, rel=1e-6)
    states = [(row["replica"], row["state"]) for row in results.states.to_pylist()]
    assert states == [(1, "lost")]


def test_nobody_gets_kv_cache_where_all_are_cut_off_at_once() -> None:
    """While the replicas are lost one after the other, no transfer begins to the next one."""
    cluster = {
        "pools": [rails("decode", 3), rails("prefill")],
        "disaggregation": {"kv_transfer": "layers", "policy": "round_robin"},
    }
    traffic = WORKLOAD | {"arrivals": {"process": "poisson", "rate": "100 /s"}}
    results = moved(
        fails("rail/spine", 0.5, lasts="1 s"), cluster=cluster, duration="3 s", workload=traffic
    )
    lost = [row["replica"] for row in results.states.to_pylist() if row["state"] == "lost"]
    assert lost == [0, 1, 2, 3]
    assert not [row for row in results.transfers.to_pylist() if 0.5 < row["ended_s"] < 1.5]
    assert [row for row in results.transfers.to_pylist() if row["ended_s"] > 1.5]


def served(*events: dict[str, Any], **changes: Any) -> Results:
    """Results of 10 s of traffic on two nodes with a replica each."""
    keys = scenario([rails(nodes=2)], *events, workload=WORKLOAD)
    return cluster_sim.simulate(make_scenario(**(keys | changes)))


def test_a_replica_that_the_front_door_cannot_reach_is_lost_and_keeps_its_weights() -> None:
    results = served(fails("both/0", 4.0, lasts="2 s"))
    assert [(row["at_s"], row["replica"], row["state"]) for row in results.states.to_pylist()] == [
        (4.0, 0, "lost"),
        (6.0, 0, "ready"),
    ]
    for row in results.requests.to_pylist():
        assert row["status"] == "finished"
        if 4.0 <= row["arrival_s"] < 6.0:
            assert row["replica"] == 1
    events = [(row["at_s"], row["what"], row["where"]) for row in results.events.to_pylist()]
    assert (4.0, "link_failure", "both/0") in events and (6.0, "repaired", "both/0") in events


def test_a_replica_that_is_cut_off_before_its_weights_are_loaded_loads_them_again() -> None:
    cold = {"pools": [rails(start="cold", load_bandwidth="20 kB/s")]}
    results = served(fails("both/0", 0.5, lasts="1 s"), cluster=cold)
    (deployment,) = resolve(results.scenario).deployments
    assert deployment.ready_s > 0.5
    states = [(row["at_s"], row["state"]) for row in results.states.to_pylist()]
    loaded_s = approx(1.5 + (deployment.load_s or 0.0))
    assert states == [(0.5, "lost"), (1.5, "loading"), (loaded_s, "ready")]


def test_requests_fail_while_nobody_is_in_reach() -> None:
    results = served(fails("rail/spine", 4.0, lasts="2 s"))
    for row in results.requests.to_pylist():
        assert row["status"] == ("rejected" if 4.0 <= row["arrival_s"] < 6.0 else row["status"])
        assert row["arrival_s"] < 4.0 or row["status"] in ("rejected", "finished")
    assert "rejected" in results.requests["status"].to_pylist()


def test_one_of_two_rails_is_enough_for_requests() -> None:
    results = served(fails("both/0/nic0", 0.0))
    assert results.states.num_rows == 0
    assert set(results.requests["status"].to_pylist()) == {"finished"}


def test_a_degraded_link_among_devices_slows_their_collectives() -> None:
    """The steps of the first replica take as long as with half of the links, those of the second as
    before."""
    results = served(degrades("both/0/device1 - both/0/switch", 0.5))
    times_at = resolve(results.scenario).deployments[0].times_at
    prompt = StepWork(prompt_tokens=100, sampled=1, pairs=100 * 101 // 2)
    lone = [
        row for row in results.stretches.to_pylist() if row["pairs"] == prompt.pairs and row["sampled"] == 1
        and row["batch"] == 0
    ]  # fmt: skip
    for replica, links in ((0, 0.5), (1, 1.0)):
        step_s = times_at(OperatingPoint(links=links)).ramp(prompt).first_s
        durations_s = [row["first_s"] for row in lone if row["replica"] == replica]
        assert durations_s == approx([step_s] * len(durations_s), rel=1e-9) and durations_s
    assert times_at(OperatingPoint(links=0.5)).ramp(prompt).first_s > step_s


@pytest.mark.parametrize("fault", [degrades("both/0/nic1", 0.5), fails("both/1/nic0")])
def test_a_rail_that_is_slower_or_dead_slows_the_group_over_its_nodes(
    fault: dict[str, Any],
) -> None:
    """Devices behind a dead NIC use the other one, so that each has half of its bandwidth."""
    pools = [rails(nodes=4, tensor_parallel=4)]
    results = served(fault, cluster={"pools": pools})
    times_at = resolve(results.scenario).deployments[0].times_at
    prompt = StepWork(prompt_tokens=100, sampled=1, pairs=100 * 101 // 2)
    rows = [
        row for row in results.stretches.to_pylist() if row["pairs"] == prompt.pairs and row["sampled"] == 1
        and row["batch"] == 0
    ]  # fmt: skip
    for replica, share in ((0, 0.5), (1, 1.0)):
        step_s = times_at(OperatingPoint(rails=share)).ramp(prompt).first_s
        durations_s = [row["first_s"] for row in rows if row["replica"] == replica]
        assert durations_s == approx([step_s] * len(durations_s), rel=1e-9) and durations_s
    assert times_at(OperatingPoint(rails=0.5)).ramp(prompt).first_s > step_s


def test_a_node_without_rails_stops_the_group_until_they_are_back() -> None:
    pools = [rails(nodes=2, tensor_parallel=4)]
    results = served(fails("both/1", 4.0, lasts="1 s"), cluster={"pools": pools})
    states = [(row["at_s"], row["state"]) for row in results.states.to_pylist()]
    assert states[0] == (4.0, "lost")
    assert states[1][0] == 5.0


def test_a_failed_link_among_devices_stops_the_replica_until_its_weights_are_loaded() -> None:
    results = served(fails("both/0/device1 - both/0/switch", 4.0, lasts="1 s"))
    load_s = resolve(results.scenario).deployments[0].load_s or 0.0
    states = [(row["at_s"], row["replica"], row["state"]) for row in results.states.to_pylist()]
    assert states == [(4.0, 0, "lost"), (5.0, 0, "loading"), (approx(5.0 + load_s), 0, "ready")]
    # a replica of one device has no collectives
    assert served(
        fails("both/0/device1 - both/0/switch", 4.0),
        cluster={"pools": [rails(tensor_parallel=1)]},
    ).states.num_rows == 0  # fmt: skip


def test_two_faults_of_one_link_end_one_after_the_other() -> None:
    results = served(
        fails("both/0", 2.0, lasts="3 s"), fails("both/0/nic0", 3.0, lasts="1 s"),
        fails("both/0/nic1", 3.0, lasts="4 s"), degrades("both/0/nic1", 0.5, 4.0, lasts="4 s"),
    )  # fmt: skip
    states = [(row["at_s"], row["state"]) for row in results.states.to_pylist()]
    assert states == [(2.0, "lost"), (5.0, "ready")]  # over nic0


def test_stretch_and_step_agree_while_links_fail() -> None:
    events = [
        degrades("prefill/0/nic0", 0.3, 0.3, lasts="1 s"), fails("decode/0/nic1", 0.7, lasts="2 s"), fails("decode/1", 1.5, lasts="1 s"),
        degrades("decode/0/device0 - decode/0/switch", 0.4, 0.5, lasts="1 s"), fails("prefill/0/nic0", 2.2, lasts="1 s"),
    ]  # fmt: skip
    seen = []
    for stepping in ("stretch", "step"):
        results = moved(
            *events, decoders=2, stepping=stepping, duration="4 s",
            workload=WORKLOAD | {"arrivals": {"process": "poisson", "rate": "20 /s"}},
        )  # fmt: skip
        seen.append(results.requests.to_pylist())
        assert {row["what"] for row in results.events.to_pylist()} >= {"link_failure", "repaired"}
    for stretched, stepped in zip(*seen, strict=True):
        assert stretched["replica"] == stepped["replica"]
        assert stretched["finish_s"] == approx(stepped["finish_s"], rel=1e-9)


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        ("both/0/nic7", "did you mean"),
        ("both/0/nic0 - rail/spines", "did you mean 'both/0/nic0 - rail/spine'?"),
        ("xyz", "expected both ends of a link, such as 'both/0/nic0 - rail/spine'"),
    ],
)
def test_an_unknown_link_is_refused_by_name(where: str, hint: str) -> None:
    keys = scenario([rails()], fails(where))
    ((trail, message),) = faults_of(unchecked_scenario(**keys))
    assert trail == ("site", "events", 0, "where")
    assert message.startswith(f"got '{where}'") and hint in message
    with pytest.raises(ScenarioError, match="link_degraded needs 'factor'"):
        make_scenario(**scenario([rails()], fails("both/0", what="link_degraded")))
