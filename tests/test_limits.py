"""Counts that are more than can be simulated are refused, with the limit and its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cluster_sim import ScenarioError, limits
from cluster_sim.limits import COUNT, Limit
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import StudySections
from cluster_sim.schema import Description, Document, describe
from tests.json_schemas import schema, uses_schema
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node
from tests.scenarios import make_pool, make_scenario


def whole_numbers(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every whole number of a JSON Schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer":
            yield path, schema
        for key, part in schema.items():
            yield from whole_numbers(part, f"{path}.{key}")
    elif isinstance(schema, list):
        for part in schema:
            yield from whole_numbers(part, path)


def refused(kind: type[Description], keys: dict[str, Any]) -> str:
    """The message about keys that are no description of this kind."""
    with pytest.raises(ScenarioError) as told:
        describe(kind, Document(keys, "x.yaml"))
    return str(told.value)


def made(**changes: Any) -> dict[str, Any]:
    """The keys of a small scenario, changed."""
    arrivals = {"process": "poisson", "rate": "2 /s"}
    return {
        "name": "small",
        "duration": "10 s",
        "model": TINY_MODEL,
        "workload": {"arrivals": arrivals, "prompt_tokens": 100, "output_tokens": 20},
        "cluster": {"pools": [make_pool()]},
    } | changes


@uses_schema
def test_every_whole_number_of_a_scenario_has_a_limit():
    numbers = dict(whole_numbers(schema()))
    assert len(numbers) > 100
    assert [path for path, number in numbers.items() if "maximum" not in number] == []


def test_every_limit_is_a_number_and_the_end_of_a_sentence():
    known = {name: each for name, each in vars(limits).items() if isinstance(each, Limit)}
    assert len(known) >= 10
    for name, limit in known.items():
        assert limit.most > 1, name
        assert limit.why[0].islower() or limit.why.startswith("KV"), name
        assert limit.why[-1] not in ".!:", name


POOL = "cluster.pools[0]"
OF_DEVICES = "expected at most 200,000: each device has its own states, routes and rows in memory"
OF_NODES = "expected at most 10,000: each has its own routes inside the node"
OF_CLIENTS = "expected at most 1,000,000: each waiting client is kept in memory"
OF_REQUESTS = "expected at most 100,000,000: a run keeps 1.4 kB per request in memory"
OF_COUNTS = "expected at most 1,000,000,000: the product of two counts stays exact in 64 bits"
WAITING = {"process": "closed_loop"}


def pool(**changes: Any) -> dict[str, Any]:
    return made(cluster={"pools": [make_pool(**changes)]})


def workload(**changes: Any) -> dict[str, Any]:
    return made(workload=made()["workload"] | changes)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (pool(nodes=200_001), f"{POOL}.nodes: got 200001; {OF_DEVICES}"),
        (pool(replicas=10**12), f"{POOL}.replicas: got 1000000000000; {OF_DEVICES}"),
        (
            pool(replica={"engine": engine(), "pipeline_parallel": 10**400}),
            f"{POOL}.replica.pipeline_parallel: got a huge number; {OF_DEVICES}",
        ),
        (
            pool(node=node(SMALL_GPU, 10_001)),
            f"{POOL}.node.devices: got 10001; {OF_NODES}",
        ),
        (
            pool(node=node(SMALL_GPU, 1) | {"places": {"nic": 10**6}}),
            f"{POOL}.node.places.nic: got 1000000; {OF_NODES}",
        ),
        (
            made(model=TINY_MODEL | {"layers": 1001}),
            "model.layers: got 1001; expected at most 1,000: the placement of layers on wafers tries all cuts",
        ),
        (
            made(model=TINY_MODEL | {"ffn": COUNT.most + 1}),
            f"model.ffn: got 1000000001; {OF_COUNTS}",
        ),
        (
            workload(arrivals=WAITING | {"concurrency": 10**9}),
            f"workload.arrivals.concurrency: got 1000000000; {OF_CLIENTS}",
        ),
        (
            workload(arrivals={"process": "at_once", "requests": 10**9}),
            f"workload.arrivals.requests: got 1000000000; {OF_REQUESTS}",
        ),
        (made(sample=f"1/{10**10}"), f"sample: got 10000000000; {OF_COUNTS}"),
        (
            made(seed=2**128),
            "seed: got 340282366920938463463374607431768211456; expected "
            "at most 340,282,366,920,938,463,463,374,607,431,768,211,455: generators of random numbers are seeded with 128 bits",
        ),
    ],
)  # fmt: skip
def test_a_count_above_its_limit_is_refused(keys: dict[str, Any], message: str):
    assert refused(Scenario, keys) == f"x.yaml: {message}"


@pytest.mark.slow
def test_devices_of_all_nodes_and_pools_are_counted_together():
    """200 nodes of 1,000 devices are as many as there may be; one device more is too many."""
    many = make_pool("many", devices=1000, nodes=200)
    assert faults_of_pools(many) == []
    assert faults_of_pools(many, make_pool("one")) == [f"got 200001 devices; {OF_DEVICES}"]


def test_places_of_all_nodes_are_counted_together():
    """1,000 nodes of a device, its memory and 9,999 switches are ten million places."""
    switches = node(SMALL_GPU, 1) | {"places": {"switch": 9_999}}
    assert faults_of_pools(make_pool(node=switches, nodes=1000)) == [
        "got 10001000 link ends of all nodes; expected at most 1,000,000: each link end of each node is in the graph of the cluster"
    ]


def faults_of_pools(*pools: dict[str, Any]) -> list[str]:
    keys = made(cluster={"pools": list(pools)})
    return [what for _, what in faults_of(describe(Scenario, Document(keys, "x.yaml")))]


def test_requests_of_the_whole_run_are_counted():
    """2,000 requests per second make 1e8 in 50,000 s."""
    traffic = made()["workload"] | {"arrivals": {"process": "poisson", "rate": "2000 /s"}}
    assert make_scenario(workload=traffic, duration="50000 s")
    keys = made(workload=traffic, duration="100000 s")
    (fault,) = faults_of(describe(Scenario, Document(keys, "x.yaml")))
    assert fault == (
        ("workload", "arrivals"),
        f"got 200000000 requests within 100000 s; {OF_REQUESTS}",
    )


@pytest.mark.parametrize(
    "arrivals",
    [
        {"process": "on_off", "on": "1 us", "off": "1 us", "off_sigma": 0, "burst_rate": "1 /s"},
        {
            "process": "mmpp",
            "states": [{"rate": f"{rate} /s", "mean_dwell": "1 us"} for rate in "12"],
        },
    ],
)
def test_bursts_and_stays_of_the_whole_run_are_counted(arrivals: dict[str, Any]):
    """A million per second are 1e8 in 100 s."""
    keys = workload(arrivals=arrivals) | {"duration": "100 s"}
    (fault,) = faults_of(describe(Scenario, Document(keys, "x.yaml")))
    assert fault == (
        ("workload", "arrivals"),
        "got 100000000 bursts or stays within 100 s; expected at most 10,000,000: "
        "each burst and each stay in a state is drawn separately",
    )


def test_requests_of_a_burst_that_never_ends_within_the_run_are_counted_too():
    burst = {"at": "1 s", "lasts": "1000000 s", "rate": "1000 /s"}
    arrivals = {"process": "burst", "rate": "1 /s", "bursts": [burst]}
    assert refused(Scenario, workload(arrivals=arrivals)) == (
        "x.yaml: workload.arrivals.bursts[0]: got 1000000000 requests of a burst; " + OF_REQUESTS
    )


@pytest.mark.parametrize("key", ["duration", "drain"])
def test_a_run_of_more_than_32_years_is_refused(key: str):
    """The step between floating-point numbers is 1.2e-7 at 1e9, and grows with them."""
    keys = made(**{"duration": "10 s", key: "2e9 s"})
    faults = list(faults_of(describe(Scenario, Document(keys, "x.yaml"))))
    assert faults[0] == (
        (key,),
        "got 2e+09 s; expected at most 1e+09 s: later times have no resolution of a tenth of a microsecond",
    )


def test_a_sample_counts_what_it_simulates():
    """Half of twice as many requests is as many as there may be."""
    traffic = made()["workload"] | {"arrivals": {"process": "poisson", "rate": "4000 /s"}}
    scenario = make_scenario(
        workload=traffic,
        duration="50000 s",
        sample="1/2",
        cluster={"pools": [make_pool(nodes=2)]},
    )
    assert scenario.sample == 2


def test_steps_of_a_session_are_its_turns_times_the_steps_of_each():
    """A thousand turns of a step and 500 tool steps each are 501,000."""
    drawn = {"median": 2, "sigma": 0.5}
    sessions = {
        "concurrency": 1,
        "turns": drawn | {"max": 1000},
        "tool_steps": drawn | {"max": 500},
        "first_tokens": 10,
        "user_tokens": 10,
        "tool_tokens": 10,
        "output_tokens": 10,
        "user_gap": "1 s",
        "tool_gap": "1 s",
    }
    assert refused(Scenario, made(workload={"sessions": sessions})) == (
        "x.yaml: workload.sessions: got 501000 steps of a session; "
        "expected at most 500,000: the steps of 64 sessions are drawn together"
    )


def test_a_log_normal_that_is_too_wide_to_have_a_mean_is_refused():
    lengths = {"distribution": "lognormal", "median": 10, "sigma": 100}
    assert refused(Scenario, workload(prompt_tokens=lengths)) == (
        "x.yaml: workload.prompt_tokens.sigma: got 100; expected at most 12"
    )


OF_POINTS = "expected at most 1,000,000: each point of a study is planned in memory"


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        (
            {"axes": [{"a": {"low": 1, "high": 2, "points": 10**7}}]},
            f"sweep.axes[0].a: got 10000000 points; {OF_POINTS}",
        ),
        (
            {"axes": [{key: {"low": 1, "high": 2, "points": 2000}} for key in "ab"]},
            f"sweep: got 4000000 runs; {OF_POINTS}",
        ),
        (
            {"axes": [{"a": [1, 2]}], "replications": 600_000},
            f"sweep: got 1200000 runs; {OF_POINTS}",
        ),
    ],
)
def test_points_of_a_study_are_counted_with_their_replications(sweep: dict[str, Any], message: str):
    assert refused(StudySections, {"sweep": sweep}) == f"x.yaml: {message}"
