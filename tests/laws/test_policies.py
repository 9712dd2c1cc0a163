"""What holds whichever router and whichever admission there is; a new one in either folder is tried
here by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster_sim
from cluster_sim.results.run_data import TABLES
from cluster_sim.serving.admission import Admission
from cluster_sim.serving.routing import Routing
from tests.laws import test_conservation as laws
from tests.laws.test_conservation import column, run

pytestmark = pytest.mark.slow

# What a policy cannot do without, chosen so that it refuses some and lets some in.
NEEDED: dict[str, dict[str, Any]] = {
    "queue_limit": {"max_waiting": 5},
    "token_bucket": {"rate": "60 /s", "burst": 20},
}
ADMISSIONS = [
    {"policy": name} | NEEDED.get(name, {})
    for name in sorted(
        member.model_fields["policy"].default for member in Admission.__origin__.__args__
    )  # type: ignore[attr-defined]
]
ADMISSIONS += [
    {"policy": "queue_limit", "max_waiting": 9, "per": "cluster"},
    {"policy": "token_bucket", "rate": "4000 tokens/s", "burst": 3000, "counts": "tokens"},
]
ROUTERS: list[dict[str, Any]] = [
    {"policy": name} | (laws.RULES if name == "rules" else {}) for name in laws.ROUTERS
]
ROUTERS += [
    {"policy": member.model_fields["policy"].default, "staleness": "40 ms"}
    for member in Routing.__origin__.__args__  # type: ignore[attr-defined]
    if "staleness_s" in member.model_fields
]

CLASSES = [
    {"name": "interactive", "share": 0.7, "slo": {"ttft": "30 ms"}},
    {"name": "batch", "share": 0.3, "priority": 5, "slo": {"e2el": "10 s"}, "output_tokens": 70},
]

# every router with everybody let in, and every admission behind one router
CASES = [(router, {"policy": "accept_all"}) for router in ROUTERS] + [
    ({"policy": "power_of_two"}, admission) for admission in ADMISSIONS
]


def name_of(description: object) -> str:
    return (
        "-".join(map(str, description.values())).replace(" ", "")
        if isinstance(description, dict)
        else str(description)
    )


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(name_of, case)))
def policies(request: pytest.FixtureRequest) -> dict[str, Any]:
    router, admission = request.param
    return {"router": router, "admission": admission}


def of_workload(arrivals: str) -> dict[str, Any]:
    return {
        "arrivals": laws.ARRIVALS[arrivals],
        "prompt_tokens": {"distribution": "lognormal", "median": 60, "sigma": 0.9},
        "output_tokens": {"distribution": "uniform", "low": 1, "high": 60},
        "classes": CLASSES,
    }


def served(
    tmp_path: Path, policies: dict[str, Any], arrivals: str = "on_off", **changes: Any
) -> cluster_sim.Results:
    return run(tmp_path, arrivals, "", cluster=policies, workload=of_workload(arrivals), **changes)


@pytest.mark.parametrize("arrivals", ["on_off", "closed_loop"])
def test_the_laws_hold(tmp_path: Path, policies: dict[str, Any], arrivals: str) -> None:
    # clients that are refused back off for seconds
    changes = {"duration": "12 s"} if arrivals == "closed_loop" else {}
    results = served(tmp_path, policies, arrivals, **changes)
    nothing_is_lost(results)
    the_refused_are_in_the_events_with_a_reason(results)
    classes_add_up(results)
    laws.a_request_arrives_is_admitted_answered_and_finished_in_that_order(results)
    laws.every_token_is_accounted_for(results)
    laws.kv_never_exceeds_the_room(results)
    laws.stretches_of_a_replica_do_not_overlap(results)
    laws.no_replica_idles_while_a_request_waits(results)
    laws.littles_law_holds_exactly(results)


def nothing_is_lost(results: cluster_sim.Results) -> None:
    status, summary = column(results, "status"), results.summary()
    assert list(column(results, "request")) == list(range(len(status)))
    assert set(status) <= {"finished", "rejected"}
    assert np.array_equal(status == "finished", ~np.isnan(column(results, "finish_s")))
    assert summary["completed"] + summary["failed"] + summary["rejected"] == int(
        np.sum(column(results, "counted"))
    )
    assert summary["completed"] > 50
    if results.scenario.cluster.admission.policy != "accept_all":
        assert summary["rejected"] > 10


def the_refused_are_in_the_events_with_a_reason(results: cluster_sim.Results) -> None:
    events, refused = (
        results.events.to_pydict(),
        np.nonzero(column(results, "status") == "rejected")[0],
    )
    rows = [
        (number, reason)
        for number, what, reason in zip(
            events["request"], events["what"], events["reason"], strict=True
        )
        if what == "rejected"
    ]
    assert sorted(number for number, _ in rows) == list(refused)
    assert {reason for _, reason in rows} <= {"too_long", results.scenario.cluster.admission.policy}
    assert all(
        reason is None
        for what, reason in zip(events["what"], events["reason"], strict=True)
        if what != "rejected"
    )


def classes_add_up(results: cluster_sim.Results) -> None:
    summary = results.summary()
    for key in ("completed", "failed", "rejected", "total_input_tokens", "total_output_tokens"):
        assert sum(part[key] for part in summary["classes"].values()) == summary[key]
    shares = [
        part["completed"] + part["failed"] + part["rejected"]
        for part in summary["classes"].values()
    ]
    good = sum(
        part["slo_attainment"] * share
        for part, share in zip(summary["classes"].values(), shares, strict=True)
    )
    assert summary["slo_attainment"] == pytest.approx(good / sum(shares))
    assert shares[1] / sum(shares) == pytest.approx(0.3, abs=4 * (0.21 / sum(shares)) ** 0.5)
    assert np.array_equal(
        column(results, "class") == "batch", column(results, "output_tokens") == 70
    )


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, policies: dict[str, Any]) -> None:
    for folder in ("one", "two"):
        served(tmp_path, policies).save(tmp_path / folder)
    for name in TABLES:
        assert (tmp_path / "one" / f"{name}.parquet").read_bytes() == (
            tmp_path / "two" / f"{name}.parquet"
        ).read_bytes()


def test_stepping_changes_nothing_but_the_number_of_events(
    tmp_path: Path, policies: dict[str, Any]
) -> None:
    stretch, step = (
        served(tmp_path, policies, stepping=stepping) for stepping in ("stretch", "step")
    )
    assert np.array_equal(column(stretch, "status"), column(step, "status"))
    done = column(stretch, "status") == "finished"
    assert np.array_equal(column(stretch, "replica")[done], column(step, "replica")[done])
    for name in ("first_token_s", "finish_s"):
        np.testing.assert_allclose(column(stretch, name)[done], column(step, name)[done], rtol=1e-9)


def test_policies_see_identical_traffic(tmp_path: Path, policies: dict[str, Any]) -> None:
    one, other = served(tmp_path, policies), served(tmp_path, {"router": {"policy": "round_robin"}})
    for name in ("arrival_s", "prompt_tokens", "output_tokens", "class"):
        assert np.array_equal(column(one, name), column(other, name))
