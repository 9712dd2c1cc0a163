"""The router by rules sends each request where the first rule that fits leads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cluster_sim
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.request import Request
from cluster_sim.results.unanswered import unanswered
from cluster_sim.serving.routing import RoutingSetting, Rules
from tests.machines import SMALL_GPU, engine, node
from tests.scenarios import WORKLOAD, make_pool, make_scenario, unchecked_scenario
from tests.serving.test_routing import Loaded

LONGER = {"when": {"prompt_tokens": {"min": 500}}, "to": "long"}
POOLS = {0: "chat", 1: "chat", 2: "long", 3: "long", 4: "batch"}


class Shop:
    """Rules over two replicas of chat, two of long and one of batch, all of them open."""

    def __init__(self, *rules: dict[str, Any], within: Any = "least_requests") -> None:
        described = Rules.model_validate({"rules": list(rules), "within": within})
        setting = RoutingSetting(POOLS, ("urgent", "batch"))
        self.picker = described.picker(np.random.default_rng(0), setting)
        self.loads = [Loaded(number, 0) for number in POOLS]
        for load in self.loads:
            self.picker.opened(load)

    def sent(self, request: Request) -> int | None:
        """The number of the replica that gets a request."""
        index = self.picker.pick_open(request, self.loads, 0.0)
        return None if index is None else self.loads[index].number

    def pool(self, request: Request) -> str | None:
        number = self.sent(request)
        return None if number is None else POOLS[number]


def asked(tokens: int = 100, **fields: Any) -> Request:
    request = Request(0, 0.0, tokens, 10)
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def test_the_first_rule_that_matches_decides() -> None:
    shop = Shop(
        {"when": {"prompt_tokens": {"min": 8000}}, "to": "long"},
        {"when": {"class": "batch"}, "to": ["batch"]},
        {"to": "chat"},
    )
    assert shop.pool(asked(8000, class_number=1)) == "long"
    assert shop.pool(asked(7999, class_number=1)) == "batch"
    assert shop.pool(asked(7999)) == "chat"


def test_a_condition_holds_if_all_of_its_keys_do() -> None:
    shop = Shop(
        {"when": {"turn": {"min": 2}, "prompt_tokens": {"max": 50}}, "to": "long"},
        {"when": {"max_output_tokens": {"min": 10, "max": 20}}, "to": "batch"},
    )
    assert shop.pool(asked(50, turn=2)) == "long"
    assert shop.pool(asked(51, turn=2)) is None
    assert shop.pool(asked(50, turn=1)) is None
    assert [shop.pool(asked(output_limit=limit)) for limit in (9, 10, 20, 21)] == [
        None, "batch", "batch", None,
    ]  # fmt: skip


def test_a_rule_without_an_open_replica_leaves_the_request_to_the_next_one() -> None:
    shop = Shop({"to": "batch"}, {"to": "chat"})
    batch = shop.loads.pop()
    shop.picker.closed(batch)
    shop.loads[0].requests = 1
    assert shop.sent(asked()) == 1
    shop.loads.append(batch)
    shop.picker.opened(batch)
    assert shop.sent(asked()) == 4
    assert shop.picker.pick(asked(), shop.loads[:2]) == 1  # only these two can hold it


def test_each_list_of_pools_has_its_own_turns() -> None:
    """Every second request is long; by its number it would always be the same replica's turn."""
    shop = Shop(LONGER, {"to": "chat"}, within="round_robin")
    sent = [shop.sent(asked(tokens, number=number)) for number, tokens in enumerate([600, 100] * 4)]
    assert sent == [2, 0, 3, 1, 2, 0, 3, 1]


def test_a_policy_within_has_the_keys_that_it_has_alone() -> None:
    shop = Shop({"to": ["chat", "long"]}, within={"policy": "least_work", "staleness": "1 s"})
    for load, requests in zip(shop.loads, (3, 2, 1, 4, 0), strict=True):
        load.requests = requests
    assert shop.sent(asked()) == 2
    shop.loads[0].requests = 0
    assert shop.sent(asked()) == 2  # by the report of this second
    assert shop.sent(asked(arrival_s=1.5)) == 0


TWO_POOLS = [make_pool("short"), make_pool("long")]
LONG = {"when": {"prompt_tokens": {"min": 100}}, "to": "long"}


def router(*rules: Any, **keys: Any) -> dict[str, Any]:
    return {"policy": "rules", "rules": list(rules)} | keys


def ran(*rules: Any, pools: list[dict[str, Any]] = TWO_POOLS, **workload: Any) -> Any:
    return cluster_sim.simulate(
        make_scenario(
            cluster={"pools": pools, "router": router(*rules)}, workload=WORKLOAD | workload
        )
    )


def test_long_prompts_are_served_by_their_own_pool() -> None:
    lengths = {"distribution": "uniform", "low": 1, "high": 199}
    table = ran(LONG, {"to": "short"}, prompt_tokens=lengths).requests
    is_long = table["prompt_tokens"].to_numpy() >= 100
    assert 0 < is_long.sum() < table.num_rows
    assert np.array_equal(table["replica"].to_numpy(), is_long.astype(int))


def test_a_request_that_no_rule_matches_is_rejected_and_the_reason_is_told() -> None:
    results = ran(LONG, prompt_tokens=99)
    assert results.summary()["rejected"] == results.requests.num_rows > 0
    assert "long" not in {*results.requests["status"].to_pylist()}
    (reason,) = unanswered(results)
    assert reason.text == "no rule of the router matches it"
    assert reason.requests == results.requests.num_rows


def test_a_request_that_its_pool_cannot_hold_goes_to_the_next_rule() -> None:
    """The first pool holds 368 tokens of KV cache."""
    tiny = SMALL_GPU | {"memory": {"capacity": "310 kB", "bandwidth": "1 GB/s"}}
    small = make_pool("short") | {"node": node(tiny), "replica": {"engine": engine()}}
    rules = ({"when": {"prompt_tokens": {"max": 2000}}, "to": "short"}, {"to": "long"})
    table = ran(*rules, pools=[small, make_pool("long")], prompt_tokens=1000).requests
    assert {*table["replica"].to_pylist()} == {1}
    table = ran(*rules, pools=[small, make_pool("long")], prompt_tokens=300).requests
    assert {*table["replica"].to_pylist()} == {0}
    (first, _) = rules
    results = ran(first, {"when": {"prompt_tokens": {"min": 2000}}, "to": "long"},
        pools=[small, make_pool("long")], prompt_tokens=1000)  # fmt: skip
    (reason,) = unanswered(results)
    assert reason.text == "longer than the pools hold to which the router's rules lead it"


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        (router({"to": "lnog"}), "no pool 'lnog'; did you mean 'long'?"),
        (router({"to": ["long", "long"]}), "got 'long' twice; expected each pool once"),
        (router(LONG | {"when": {"class": "chat"}}), "got 'chat', and the workload has no classes; expected workload.classes"),
        (router(LONG | {"when": {"turn": {"min": 2}}}), "got a turn, and the requests belong to no sessions; expected workload.sessions, or a trace with replay: sessions"),
        (router(LONG | {"when": {"max_output_tokens": {"min": 2}}}), "got a limit on the answer, and clients send none; expected workload.max_output_tokens"),
        (router({"to": "short"}, LONG), "rules[0] takes every request before; expected rules with 'when' first"),
        (router({"to": ["short", "long"]}, {"to": "long"}), "rules[0] takes the same requests to the same pools before; expected one of both"),
        (router(LONG, LONG), "rules[0] takes the same requests to the same pools before; expected one of both"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_meant_are_refused(keys: dict[str, Any], fault: str) -> None:
    scenario = unchecked_scenario(cluster={"pools": TWO_POOLS, "router": keys})
    assert [text for _, text in faults_of(scenario)] == [fault]


def test_a_class_that_does_not_exist_and_a_pool_that_only_decodes_are_refused() -> None:
    classes = [{"name": "chat", "share": 0.5}, {"name": "agents", "share": 0.5}]
    pools = [
        make_pool(role, replica={"engine": engine(), "role": role})
        for role in ("prefill", "decode")
    ]
    rules = router({"when": {"class": "chta"}, "to": "decode"}, {"to": "prefill"})
    scenario = unchecked_scenario(
        cluster={"pools": pools, "router": rules}, workload=WORKLOAD | {"classes": classes}
    )
    assert [text for _, text in faults_of(scenario)] == [
        "pool 'decode' only decodes; expected a pool that takes requests, with replica.role both or prefill",
        "no class 'chta'; did you mean 'chat'?",
    ]


def test_requests_without_a_rule_and_pools_without_requests_are_warned_of() -> None:
    scenario = make_scenario(cluster={"pools": TWO_POOLS, "router": router(LONG)})
    told = [text for text in scenario.warnings() if "router" in text]
    assert told == [
        "cluster.router.rules: requests that match no rule are rejected; a last rule without 'when' takes them",
        "cluster.router.rules: no rule leads to pool 'short'; it gets no requests",
    ]
