"""Keys that a scheduler ignores, or that contradict each other, are refused with a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.loading.checks.scenario import faults_of
from tests.machines import engine
from tests.scenarios import WORKLOAD, make_pool, make_scenario, unchecked_scenario, with_partner

SWAP = {"preemption": "swap"}
WAIT = {"batch_wait_timeout_iterations": 8, "batch_wait_max_tokens_ratio": 0.5}
FIRST: dict[str, Any] = {"prefill_first": {}}
NO_EVICT = {"capacity_scheduler_policy": "guaranteed_no_evict"}


def faults(
    batching: dict[str, Any] | None = None,
    kv: dict[str, Any] | None = None,
    *,
    role: str = "both",
    **of_engine: Any,
) -> dict[str, str]:
    """Sentences by key of a scenario with one pool, or with a partner for its role."""
    replica = {"engine": engine(**of_engine), "role": role}
    pool = make_pool(replica=replica, batching=batching or {}, kv=kv or {})
    scenario = unchecked_scenario(cluster={"pools": with_partner(pool)})
    return {".".join(map(str, trail[3:])): text for trail, text in faults_of(scenario)}


@pytest.mark.parametrize(
    ("batching", "kv", "options", "key"),
    [
        (FIRST | NO_EVICT, {}, {}, "batching.capacity_scheduler_policy"),
        (NO_EVICT, {}, FIRST, "batching.capacity_scheduler_policy"),
        (FIRST | WAIT, {}, {}, "batching.batch_wait_timeout_iterations"),
        (
            {"prefill_first": {"schedule_policy": "lpm"}, "order": "priority"},
            {},
            {},
            "batching.order",
        ),
        (FIRST, SWAP, {}, "kv.preemption"),
        (FIRST, {"watermark": 0.1}, {}, "kv.watermark"),
        (NO_EVICT, SWAP, {}, "kv.preemption"),
        ({}, SWAP, NO_EVICT, "kv.preemption"),
        (NO_EVICT, {"watermark": 0.1}, {}, "kv.watermark"),
        ({"batch_wait_timeout_iterations": 8}, {}, {}, "batching.batch_wait_timeout_iterations"),
        ({"batch_wait_max_tokens_ratio": 0.5}, {}, {}, "batching.batch_wait_max_tokens_ratio"),
        (NO_EVICT, {}, {"role": "prefill"}, "batching.capacity_scheduler_policy"),
        (WAIT, {}, {"role": "prefill"}, "batching.batch_wait_timeout_iterations"),
        ({}, SWAP, {"role": "prefill"}, "kv.preemption"),
        (FIRST, {}, {"role": "prefill"}, "batching.prefill_first"),
        (FIRST, {}, {"role": "decode"}, "batching.prefill_first"),
        ({"policy": "static"}, SWAP, {}, "kv.preemption"),
        ({}, {}, FIRST | NO_EVICT, "replica.engine.capacity_scheduler_policy"),
        ({}, {}, FIRST | WAIT, "replica.engine.batch_wait_timeout_iterations"),
    ],
)
def test_a_key_without_effect_is_refused(
    batching: dict[str, Any], kv: dict[str, Any], options: dict[str, Any], key: str
) -> None:
    found = faults(batching, kv, **options)
    assert key in found
    assert "expected" in found[key]


@pytest.mark.parametrize(
    ("batching", "kv", "options"),
    [
        (FIRST, {}, NO_EVICT | WAIT),  # the scenario replaces what the engine does
        ({"capacity_scheduler_policy": "full_isl"}, SWAP, NO_EVICT),
        (NO_EVICT, SWAP | {"preemption": "recompute"}, {}),
        ({"capacity_scheduler_policy": "max_utilization"}, SWAP | {"watermark": 0.1}, {}),
        (WAIT, {}, {"role": "decode"}),
        ({}, {}, FIRST | {"role": "decode"} | NO_EVICT),  # which has the rules of vLLM
        ({"batch_wait_max_tokens_ratio": 0.5}, {}, {"batch_wait_timeout_iterations": 8}),
    ],
)
def test_keys_with_an_effect_are_not(
    batching: dict[str, Any], kv: dict[str, Any], options: dict[str, Any]
) -> None:
    assert faults(batching, kv, **options) == {}


def test_a_message_says_what_is_there_what_is_expected_and_why() -> None:
    assert faults(NO_EVICT, SWAP)["kv.preemption"] == (
        "got swap; expected recompute, or another capacity_scheduler_policy: guaranteed_no_evict "
        "never preempts"
    )
    assert faults(NO_EVICT, {}, **FIRST)["batching.capacity_scheduler_policy"] == (
        "got guaranteed_no_evict; expected either no capacity_scheduler_policy or no "
        "prefill_first: prefill_first of the engine (`prefill_first: null` there removes it) has "
        "rules of its own for admission"
    )


def test_a_limit_of_the_client_below_the_longest_answer_is_refused() -> None:
    scenario = make_scenario(workload=WORKLOAD | {"max_output_tokens": 20})
    assert scenario.workload.max_output_tokens == 20
    workload = scenario.workload.model_copy(update={"max_output_tokens": 19})
    short = scenario.model_copy(update={"workload": workload})
    assert list(faults_of(short)) == [
        (
            ("workload", "max_output_tokens"),
            "got 19, below the longest answer of 20 tokens; expected at least 20, or shorter answers",
        )
    ]


def test_prefill_first_of_a_profile_is_removed_by_null() -> None:
    assert faults(NO_EVICT, SWAP | {"preemption": "recompute"}, prefill_first=None) == {}
