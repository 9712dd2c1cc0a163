"""Decode replicas are asked only when their answer may have changed, and no request waits longer."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

import cluster_sim
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe
from cluster_sim.sim.able_decoders import AbleDecoders
from cluster_sim.sim.decode_replica import DecodeReplica
from cluster_sim.sim.prefilled_request import PrefilledRequest
from tests.machines import SMALL_GPU, engine, node
from tests.scenarios import WORKLOAD, make_scenario
from tests.tiny_scenarios import tiny_scenario

ASKED = AbleDecoders.able


def all_asked(able: AbleDecoders, first: PrefilledRequest) -> list[DecodeReplica]:
    """Ask every replica, and compare with what the class knows."""
    known = ASKED(able, first)
    request, tokens = first.request, first.total_tokens
    assert known == [each for each in able._decoders if each.can_take(request, tokens)]
    return known


def crowded(decoders: int, **disaggregation: Any) -> Scenario:
    """One prefill replica and decoders with two batch slots each: most requests wait for a slot."""
    pools = [
        {"name": name, "node": node(SMALL_GPU, count), "replica": {"engine": engine(max_sequences=slots), "role": name}}
        for name, count, slots in (("prefill", 4, 50), ("decode", decoders, 2))
    ]  # fmt: skip
    return make_scenario(
        duration="200 ms",
        workload=WORKLOAD | {"arrivals": {"process": "poisson", "rate": "1000 /s"}, "prompt_tokens": 20, "output_tokens": 90},
        cluster={"pools": pools, "disaggregation": disaggregation},
    )  # fmt: skip


@pytest.mark.parametrize("kv_transfer", ["layers", "whole", "off"])
def test_the_able_replicas_are_those_that_would_say_so(
    kv_transfer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AbleDecoders, "able", all_asked)
    results = cluster_sim.simulate(crowded(5, kv_transfer=kv_transfer))
    assert results.summary()["completed"] == results.requests.num_rows > 100


def test_a_full_replica_is_asked_once_for_a_waiting_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nearly all calls are by the replica whose batch changed; each asks that replica alone."""
    asked, calls = [0], [0]
    can_take, able = DecodeReplica.can_take, AbleDecoders.able

    def counted(self: DecodeReplica, *arguments: Any) -> bool:
        asked[0] += 1
        return can_take(self, *arguments)

    def called(self: AbleDecoders, first: PrefilledRequest) -> list[DecodeReplica]:
        calls[0] += 1
        return able(self, first)

    monkeypatch.setattr(DecodeReplica, "can_take", counted)
    monkeypatch.setattr(AbleDecoders, "able", called)
    requests = cluster_sim.simulate(crowded(20)).requests.num_rows
    assert calls[0] > 3 * requests
    assert asked[0] < calls[0] + 20 * requests < 7 * calls[0]


@pytest.mark.slow
def test_no_scenario_has_a_replica_that_becomes_able_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AbleDecoders, "able", all_asked)
    seen = 0
    for seed in range(40):
        keys = tiny_scenario(Random(seed), tmp_path)
        if any(pool["replica"].get("role") == "decode" for pool in keys["cluster"]["pools"]):
            scenario = describe(Scenario, Document(keys, str(tmp_path / "tiny.yaml")))
            if not list(faults_of(scenario)):
                cluster_sim.simulate(scenario)
                seen += 1
    assert seen > 2
