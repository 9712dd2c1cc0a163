"""Failures of nodes and devices, and spot reclaims: what is lost, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.results.results import Results
from tests.machines import SMALL_GPU, engine, node
from tests.scenarios import WORKLOAD, make_pool, make_scenario


def run(*events: dict[str, Any], **changes: Any) -> Results:
    """Run 100 s of traffic on two nodes of two GPUs, a replica on each GPU, with these events."""
    keys: dict[str, Any] = {
        "duration": "100 s",
        "seed": 3,
        "cluster": {
            "pools": [make_pool(devices=2, nodes=2)],
            "router": {"policy": "round_robin"},
        },
    }
    return cluster_sim.simulate(make_scenario(**(keys | {"site": {"events": events}} | changes)))


def states_of(results: Results) -> list[tuple[float, int, str]]:
    rows = results.states.to_pylist()
    return [(row["at_s"], row["replica"], row["state"]) for row in rows]


def statuses(results: Results) -> set[str]:
    return set(results.requests["status"].to_pylist())


def fails(what: str, where: str, **keys: str) -> dict[str, Any]:
    return {"at": "20 s", "what": what, "where": where} | keys


def test_a_node_takes_all_its_replicas_and_brings_them_back_after_loading() -> None:
    results = run(fails("node_failure", "gpus/1", lasts="30 s"))
    load_s = resolve(results.scenario).deployments[0].load_s or 0.0
    assert states_of(results) == [
        (20.0, 2, "lost"),
        (20.0, 3, "lost"),
        (50.0, 2, "loading"),
        (50.0, 3, "loading"),
        (pytest.approx(50.0 + load_s), 2, "ready"),
        (pytest.approx(50.0 + load_s), 3, "ready"),
    ]
    assert statuses(results) == {"finished"}
    events = [row for row in results.events.to_pylist() if row["where"] == "gpus/1"]
    assert [(row["at_s"], row["what"], row["value"]) for row in events] == [
        (20.0, "node_failure", 30.0),
        (50.0, "repaired", 30.0),
    ]
    served = results.requests.to_pylist()
    while_lost = [row for row in served if 20.0 < row["arrival_s"] < 50.0]
    assert {row["replica"] for row in while_lost} == {0, 1}
    assert {row["replica"] for row in served if row["arrival_s"] > 60.0} == {0, 1, 2, 3}


def test_a_device_takes_only_its_own_replica_and_stays_lost_without_a_repair() -> None:
    results = run(fails("device_failure", "gpus/0/device1"))
    assert states_of(results) == [(20.0, 1, "lost")]
    [event] = [row for row in results.events.to_pylist() if row["where"]]
    assert event["value"] == 0.0


def test_a_replica_on_several_nodes_is_lost_with_any_of_them() -> None:
    pool = make_pool(nodes=4, replica={"engine": engine(), "pipeline_parallel": 2})
    results = run(fails("node_failure", "gpus/3"), cluster={"pools": [pool]})
    assert states_of(results) == [(20.0, 1, "lost")]


def test_faults_that_overlap_end_with_the_last_repair() -> None:
    results = run(
        fails("node_failure", "gpus/0", lasts="30 s"),
        {"at": "40 s", "what": "device_failure", "where": "gpus/0/device0", "lasts": "20 s"},
    )
    back_s = {number: at_s for at_s, number, state in states_of(results) if state == "loading"}
    assert back_s == {0: 60.0, 1: 50.0}


def test_a_reclaimed_spot_node_drains_is_off_and_starts_again() -> None:
    results = run(fails("spot_reclaim", "gpus/1", notice="10 s", lasts="40 s"))
    assert [(at_s, state) for at_s, number, state in states_of(results) if number == 2][:4] == [
        (20.0, "draining"),
        (30.0, "off"),
        (70.0, "starting"),
        (70.0, "loading"),
    ]
    served = results.requests.to_pylist()
    gone = [row for row in served if 20.0 < row["arrival_s"] < 70.0]
    assert not {2, 3} & {row["replica"] for row in gone}
    assert not (results.events["what"].to_pylist()).count("retried")  # all were finished in time
    assert statuses(results) == {"finished"}


def test_what_a_spot_node_has_at_the_end_of_its_notice_goes_on_elsewhere() -> None:
    results = run(
        fails("spot_reclaim", "gpus/1", notice="0 s"),
        workload=WORKLOAD | {"output_tokens": 2_000, "arrivals": {"process": "poisson", "rate": "3 /s"}},
    )  # fmt: skip
    retried = [row for row in results.events.to_pylist() if row["what"] == "retried"]
    assert retried and all(row["at_s"] == 20.0 for row in retried)
    assert statuses(results) == {"finished"}


def test_a_fault_after_the_last_request_does_not_keep_the_run_alive() -> None:
    late = {"at": "1e6 s", "what": "node_failure", "where": "gpus/0", "lasts": "1 h"}
    results = run(late, duration="20 s")
    assert results.info.simulated_s < 30.0
    assert states_of(results) == []


def test_a_run_says_which_events_come_after_its_end() -> None:
    [note] = run(fails("node_failure", "gpus/0") | {"at": "10 h"}).info.notes
    assert "node_failure at 10 h is after the end of the run" in note
    assert note.endswith("1 of 1 events did not happen")


def test_a_run_ends_with_its_last_request_though_a_replica_still_loads_its_weights() -> None:
    pool = make_pool(devices=2, nodes=2, replica={"engine": engine(), "load_bandwidth": "1 kB/s"})
    results = run(
        fails("node_failure", "gpus/1", lasts="10 s"),
        cluster={"pools": [pool], "router": {"policy": "round_robin"}},
    )
    assert statuses(results) == {"finished"}
    last_s = max(row["finish_s"] for row in results.requests.to_pylist())
    assert results.info.simulated_s == pytest.approx(last_s, abs=0.01)
    assert states_of(results)[-1] == (30.0, 3, "loading")


def test_without_a_repair_nothing_is_served_once_all_is_lost() -> None:
    results = run(fails("node_failure", "gpus"))
    rows = results.requests.to_pylist()
    assert all((row["status"] == "finished") == (row["arrival_s"] < 20.0) for row in rows[:30])
    assert {row["reason"] for row in results.events.to_pylist() if row["reason"]} == {"all_down"}


def drawn(rate: str = "0.01 /s", **changes: Any) -> Results:
    workload = WORKLOAD | {"arrivals": {"process": "poisson", "rate": rate}}
    return run(workload=workload, **changes)


@pytest.mark.slow
def test_the_availability_of_nodes_is_that_of_the_two_state_markov_chain() -> None:
    """MTBF / (MTBF + repair) = 0.8, and of both nodes at once its square."""
    failures = {
        "node": {"mtbf": "400 s", "repair": {"distribution": "exponential", "mean": "100 s"}}
    }
    results = drawn(
        rate="0.0005 /s",
        duration="2e6 s",
        site={"failures": failures},
        cluster={"pools": [make_pool(nodes=2)]},
    )  # fmt: skip
    lost_s, both_s = lost_times(results, 2)
    assert 1.0 - lost_s / (2 * 2e6) == pytest.approx(0.8, rel=0.02)
    assert 1.0 - both_s / 2e6 == pytest.approx(1.0 - 0.2**2, rel=0.02)


def lost_times(results: Results, nodes: int) -> tuple[float, float]:
    """Total time in which replicas are lost, and time in which all are lost at once [s]."""
    lost, before_s, total_s, all_s = set[int](), 0.0, 0.0, 0.0
    for at_s, number, state in states_of(results):
        total_s += len(lost) * (at_s - before_s)
        all_s += (at_s - before_s) if len(lost) == nodes else 0.0
        before_s = at_s
        lost.add(number) if state == "lost" else lost.discard(number)
    return total_s, all_s


FAILURES = {
    "node": {"mtbf": "60 s", "repair": "5 s"},
    "device": {"mtbf": "80 s", "repair": "lognormal"},
}


def faults_of(results: Results) -> list[tuple[float, str, str]]:
    kinds = ("node_failure", "device_failure")
    rows = [row for row in results.events.to_pylist() if row["what"] in kinds]
    return [(row["at_s"], row["where"], row["value"]) for row in rows]


def test_variants_see_the_same_faults_of_nodes_with_the_same_names() -> None:
    plain = drawn(rate="2 /s", site={"failures": FAILURES})
    other_traffic = drawn(rate="1 /s", site={"failures": FAILURES})
    pools = [make_pool("new", devices=1), make_pool(devices=2, nodes=3)]
    other_pools = drawn(
        rate="2 /s",
        site={"failures": FAILURES},
        cluster={"pools": pools, "router": {"policy": "round_robin"}},
    )
    known = ("gpus/0", "gpus/1")
    faults = faults_of(plain)
    assert len(faults) > 3
    assert [row for row in faults_of(other_traffic) if row[0] < 100.0] == [
        row for row in faults if row[0] < 100.0
    ]
    kept = [row for row in faults_of(other_pools) if row[1].startswith(known)]
    assert [row for row in kept if row[0] < 100.0] == [row for row in faults if row[0] < 100.0]
    assert faults_of(drawn(rate="2 /s", seed=4, site={"failures": FAILURES})) != faults


def test_the_faults_of_a_run_can_be_replayed_from_its_folder(tmp_path: Path) -> None:
    spot = fails("spot_reclaim", "gpus/1", notice="10 s", lasts="40 s")
    first = drawn(rate="2 /s", site={"failures": FAILURES, "events": [spot]})
    first.save(tmp_path / "run")
    again = drawn(rate="2 /s", site={"failures": {"path": str(tmp_path / "run")}})
    assert again.requests.equals(first.requests)
    assert again.events.equals(first.events)
    assert again.states.equals(first.states)


def test_a_replay_says_which_faults_name_nothing_here(tmp_path: Path) -> None:
    path = tmp_path / "faults.csv"
    path.write_text(
        "at_s,what,where,lasts_s\n5,node_failure,gpus/0,10\n6,node_failure,other/7,10\n"
    )
    results = drawn(site={"failures": {"path": str(path)}})
    assert results.info.notes == (
        "site.failures: 1 of 2 recorded faults name no node, device or link of this cluster and were left out",
    )


def test_a_run_without_faults_says_how_many_are_expected() -> None:
    """Two nodes, 100 s: 200 s over 1500 h are 3.7e-05."""
    failures = {"node": {"mtbf": "1500 h", "repair": "6 h"}}
    results = drawn(rate="2 /s", site={"failures": failures})
    [note] = results.info.notes
    assert "nothing failed; 3.7e-05 faults are expected in 100 s" in note


def test_a_step_at_a_time_gives_the_same_with_failures() -> None:
    whole = drawn(rate="3 /s", site={"failures": FAILURES})
    steps = drawn(rate="3 /s", site={"failures": FAILURES}, stepping="step")
    assert states_of(whole) == states_of(steps)
    for name in ("finish_s", "first_token_s"):
        one, other = (
            run.requests[name].to_numpy(zero_copy_only=False).astype(float)
            for run in (whole, steps)
        )
        assert one == pytest.approx(other, rel=1e-9, nan_ok=True)


def test_devices_are_of_a_node_s_own_kind() -> None:
    """A pool of two kinds of machines is two pools; names of devices of each are known."""
    results = run(
        fails("device_failure", "gpus/0"),
        cluster={"pools": [{"name": "gpus", "node": node(SMALL_GPU, 2), "replica": {"engine": engine()}}]},
    )  # fmt: skip
    assert [(number, state) for _, number, state in states_of(results)] == [
        (0, "lost"),
        (1, "lost"),
    ]


def test_a_reclaimed_spot_node_that_also_failed_starts_after_the_last_repair() -> None:
    results = run(
        fails("spot_reclaim", "gpus/1", notice="0 s", lasts="20 s"),
        {"at": "30 s", "what": "node_failure", "where": "gpus/1", "lasts": "30 s"},
    )
    on = [(at_s, state) for at_s, number, state in states_of(results) if number == 2]
    assert on[1:4] == [(20.0, "off"), (60.0, "starting"), (60.0, "loading")]


def test_a_spot_node_that_is_reclaimed_twice_starts_when_both_reclaims_are_over() -> None:
    results = run(
        fails("spot_reclaim", "gpus/1", notice="0 s", lasts="20 s"),
        {"at": "30 s", "what": "spot_reclaim", "where": "gpus", "notice": "0 s", "lasts": "30 s"},
    )
    started = {number: at_s for at_s, number, state in states_of(results) if state == "starting"}
    assert started == {0: 60.0, 1: 60.0, 2: 60.0, 3: 60.0}


def test_a_node_that_fails_sends_no_request_to_its_own_other_replica() -> None:
    results = run(fails("node_failure", "gpus/0"), workload=WORKLOAD | {"output_tokens": 2_000})
    retried = [row for row in results.events.to_pylist() if row["what"] == "retried"]
    assert retried and len({row["request"] for row in retried}) == len(retried)


def test_a_cluster_that_turns_requests_away_has_recovered_when_a_replica_is_ready() -> None:
    results = run(fails("node_failure", "gpus", lasts="30 s"))
    load_s = resolve(results.scenario).deployments[0].load_s or 0.0
    summary = results.summary()
    assert summary["rejected"] > 0
    assert summary["time_to_recover_s"] == pytest.approx(30.0 + load_s)


def test_a_cluster_whose_clients_time_out_has_recovered_when_a_replica_is_ready() -> None:
    """Clients that leave after 100 ms keep the queue of the outage short; it lasts all the same.
    Pools that scale keep requests at the router instead of rejecting them."""
    scale = {"metric": "queue", "min": 4, "max": 4}
    clients = {"timeout": {"ttft": "100 ms"}}
    results = run(
        fails("node_failure", "gpus", lasts="30 s"), workload=WORKLOAD | {"clients": clients},
        cluster={"pools": [make_pool(nodes=2, devices=2, autoscale=scale)]},
    )  # fmt: skip
    load_s = resolve(results.scenario).deployments[0].load_s or 0.0
    summary = results.summary()
    assert summary["timed_out"] > 0 and not summary["rejected"]
    assert summary["time_to_recover_s"] == pytest.approx(30.0 + load_s)


def test_a_cluster_that_turns_requests_away_to_the_end_has_not_recovered() -> None:
    summary = run(fails("node_failure", "gpus")).summary()
    assert summary["unrecovered_failures"] == 1 and "time_to_recover_s" not in summary


def test_a_reclaimed_node_that_has_failed_starts_after_both_have_ended() -> None:
    """Its repair comes after there is capacity again."""
    results = run(
        fails("node_failure", "gpus/1", lasts="60 s"),
        {"at": "30 s", "what": "spot_reclaim", "where": "gpus/1", "notice": "5 s", "lasts": "20 s"},
    )
    assert [(at_s, state) for at_s, number, state in states_of(results) if number == 2][:4] == [
        (20.0, "lost"),
        (35.0, "off"),
        (80.0, "starting"),
        (80.0, "loading"),
    ]
