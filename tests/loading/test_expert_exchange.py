"""Exchanges of experts that a pool cannot run are refused with a way to mend them."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.exchanges import exchanges_of
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe
from cluster_sim.serving.phase_exchanges import PhaseExchanges
from tests.scenarios import make_scenario


def keys(exchange: Any, node: str = "dgx-h200", **replica: Any) -> dict[str, Any]:
    plan: dict[str, Any] = {
        "data_parallel": 8,
        "expert_parallel": 8,
        "weights": "fp8",
        "engine": {"like": "sglang-0.5", "expert_exchange": exchange},
    }
    plan |= replica
    nodes = 2 if plan["data_parallel"] > 8 else 1
    return {
        "name": "exchange",
        "model": "deepseek-r1",
        "workload": {
            "arrivals": {"process": "closed_loop", "concurrency": 8, "requests": 8},
            "prompt_tokens": 1000,
            "output_tokens": 100,
        },
        "cluster": {"pools": [{"name": "a", "node": node, "nodes": nodes, "replica": plan}]},
    }


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"exchange": "nvlink_one_sided"},
            "got nvlink_one_sided; expected auto or deepep_low_latency or deepep_normal: NVIDIA H200 SXM has no figures",
        ),
        (
            {"exchange": "deepep_normal", "expert_parallel": 4},
            "got deepep_normal; it sends tokens to whole experts; expected expert_parallel of 8",
        ),
        (
            {"exchange": "deepep_normal", "data_parallel": 1, "tensor_parallel": 8},
            "expected auto without data_parallel: one rank of attention",
        ),
        (
            {"exchange": "nccl_all_to_all", "node": "mi355x-8"},
            "got nccl_all_to_all; expected auto: AMD MI355X has no figures for all_to_all",
        ),
        (
            {"exchange": "nccl_all_to_all", "data_parallel": 16, "expert_parallel": 16},
            "got nccl_all_to_all; this version simulates it in one node only; expected a group of at most 8",
        ),
        (
            {"exchange": "nvlink_one_sided", "node": "gb200-nvl72", "data_parallel": 144},
            "it sends tokens to whole experts; expected expert_parallel of 144",
        ),
    ],
)
def test_what_a_pool_cannot_run_is_refused(changes: dict[str, Any], fault: str) -> None:
    scenario = describe(Scenario, Document(keys(**changes), "test"))
    texts = [text for trail, text in faults_of(scenario) if trail[-1] == "expert_exchange"]
    assert len(texts) == 1
    assert fault in texts[0]


def test_each_phase_may_have_its_own_exchange() -> None:
    phases = {"prefill": "deepep_normal", "decode": "deepep_low_latency"}
    scenario = make_scenario(**keys(phases))
    pool = scenario.cluster.pools[0]
    assert pool.replica.engine.expert_exchange == PhaseExchanges(
        prefill="deepep_normal", decode="deepep_low_latency"
    )
    assert exchanges_of(pool, scenario.model) == ("deepep_normal", "deepep_low_latency")
    scenario = make_scenario(**keys("auto"))
    kinds = exchanges_of(scenario.cluster.pools[0], scenario.model)
    assert kinds == ("fastest_collective", "fastest_collective")


def test_an_unknown_exchange_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="deepep_low_latency"):
        make_scenario(**keys("deep"))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"prefil": "deepep_normal"}, "unknown key 'prefil'; did you mean 'prefill'?"),
        ({"prefill": "deepep"}, "expert_exchange.prefill: got 'deepep'; did you mean 'deepep_low"),
        (["deepep_normal"], "got a list; expected auto, fastest_collective, "),
        (5, "nvlink_two_sided or a mapping"),
        ("deepep", "got 'deepep'; did you mean 'deepep_low_latency' or 'deepep_normal'?"),
    ],
)
def test_a_word_or_a_mapping_with_a_fault_has_one_message(written: Any, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        make_scenario(**keys(written))
    (fault,) = caught.value.faults
    assert message in fault.what


@pytest.mark.parametrize(
    ("pool", "plan", "section"),
    [
        ({}, {"expert_exchange": "auto"}, "cluster.pools[].replica.engine"),
        ({"expert_load": "even"}, {}, "cluster.pools[].replica"),
        ({}, {"domain": "rack"}, "cluster.pools[]"),
        ({"kv": {"redundant_experts": 3}}, {}, "cluster.pools[].replica"),
        ({}, {"seed": 3}, ""),
        ({"domainx": "rack"}, {}, ""),
    ],
)
def test_a_key_in_another_section_is_sent_to_its_own(
    pool: dict[str, Any], plan: dict[str, Any], section: str
) -> None:
    scenario = keys("auto")
    (written,) = scenario["cluster"]["pools"]
    written |= pool
    written["replica"] |= plan
    with pytest.raises(ScenarioError) as caught:
        make_scenario(**scenario)
    (fault,) = caught.value.faults
    assert fault.what.endswith(f"; it belongs to {section}") is bool(section)
