"""Keys of an engine that have no effect are refused by name; catalog profiles never are."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Document, catalog_names, describe, second_names
from cluster_sim.serving.profiles import entry_of, is_written, profiles
from tests.machines import engine
from tests.scenarios import make_pool, unchecked_scenario, with_partner

SIZES: dict[str, Any] = {"sizes": [1, 2, 4, 8]}
GRAPHS: dict[str, Any] = {"graph_mode": "full_and_piecewise", "graph_sizes": SIZES}
RESERVE = {"static_reserve": {"fixed": "100 MB"}}
NO_EVICT = {"capacity_scheduler_policy": "guaranteed_no_evict"}
STATIC = {"policy": "static"}


def found(of_engine: Any, **of_pool: Any) -> dict[str, str]:
    """Sentences by key of the pool `a`, which has a partner for its role."""
    replica = {"engine": of_engine} | of_pool.pop("replica", {})
    pool = make_pool("a", **({"replica": replica} | of_pool))
    faults = faults_of(unchecked_scenario(cluster={"pools": with_partner(pool)}))
    return {".".join(map(str, trail[3:])): text for trail, text in faults if trail[2:3] == (0,)}


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        (GRAPHS | {"graph_batches": [512]}, "graph_batches"),
        ({"graph_sizes": SIZES}, "graph_sizes"),
        ({"prefill_graph_sizes": SIZES}, "prefill_graph_sizes"),
        ({"graph_memory": {"first": "1 GB"}}, "graph_memory"),
        (
            {"graph_mode": "full_decode_only", "graph_sizes": SIZES, "prefill_graph_sizes": SIZES},
            "prefill_graph_sizes",
        ),
        (GRAPHS | {"prefill_graph_sizes": SIZES | {"unit": "sequences"}}, "prefill_graph_sizes"),
        (GRAPHS | {"prefill_graph_sizes": SIZES | {"padding": False}}, "prefill_graph_sizes"),
        ({"by_device": [{"largest_graph": 4}]}, "by_device"),
        (RESERVE | {"memory_fraction": 0.3}, "memory_fraction"),
        (RESERVE | {"memory_fraction": None, "by_device": [{"memory_fraction": 0.3}]}, "by_device"),
        ({"batch_wait_timeout_iterations": 40}, "batch_wait_timeout_iterations"),
        ({"batch_wait_max_tokens_ratio": 0.5}, "batch_wait_max_tokens_ratio"),
        ({"attention_dp_timeout_iterations": 50}, "attention_dp_timeout_iterations"),
        (NO_EVICT | {"watermark": 0.5}, "watermark"),
        ({"prefill_first": {}, "watermark": 0.5}, "watermark"),
    ],
)
def test_a_key_that_another_key_makes_void_is_refused(keys: dict[str, Any], key: str) -> None:
    assert list(found(engine(**keys))) == [f"replica.engine.{key}"]


def test_the_message_says_how_to_mend_it() -> None:
    mode = {"like": "vllm-0.22", "graph_batches": [512], "memory_fraction": 0.5}
    assert found(mode) == {
        "replica.engine.graph_batches": "got rules; expected no graph_batches, or graph_mode: "
        "null: with graph_mode full_and_piecewise, graph_sizes has the sizes"
    }


@pytest.mark.parametrize(
    ("pool", "keys", "is_refused"),
    [
        ({"batching": STATIC}, {"async_scheduling": True}, True),
        ({"replica": {"role": "decode"}}, {"async_scheduling": True}, True),
        ({"replica": {"role": "prefill"}}, {"async_scheduling": True}, False),
        ({}, {"async_scheduling": True}, False),
        ({"batching": NO_EVICT, "kv": {"watermark": 0.0}}, {"watermark": 0.5}, False),
        ({"batching": NO_EVICT}, {"watermark": 0.5}, True),
        ({"batching": {"batch_wait_max_tokens_ratio": 0.5}}, {"batch_wait_timeout_iterations": 40}, False),
        ({"batching": {"batch_wait_timeout_iterations": 0}}, {"batch_wait_max_tokens_ratio": 0.5}, False),
    ],
)  # fmt: skip
def test_batching_and_role_decide_as_well(
    pool: dict[str, Any], keys: dict[str, Any], *, is_refused: bool
) -> None:
    assert list(found(engine(**keys), **pool)) == [f"replica.engine.{key}" for key in keys] * (
        is_refused
    )


@pytest.mark.parametrize(
    "keys",
    [
        {"memory_fraction": 0.2},
        {"static_reserve": {"fixed": "40 GB"}},
        {"graph_batches": [8]},
        {"memory_base": "free"},
        {"logit": "4 B"},
        {"draft_step": "3 ms"},
    ],
)
def test_wafers_have_neither_graphs_nor_the_memory_of_gpus(keys: dict[str, Any]) -> None:
    (key,) = keys
    faults = found({"like": "cerebras", **keys}, node="cs-3", replica={"wafers": 1})
    assert list(faults) == [f"replica.engine.{key}"]
    assert "is a wafer" in faults[f"replica.engine.{key}"]


def test_a_prefill_pool_sends_no_chunks() -> None:
    """The pool of the role decode sends all chunks, here one per token."""
    streams = {"stream_interval": 10, "first_chunk_delay": 20, "detokenisation": "50 ms"}
    assert list(found(engine(**streams), replica={"role": "prefill"})) == [
        f"replica.engine.{key}" for key in streams
    ]
    assert found(engine(**streams), replica={"role": "decode"}) == {}


@pytest.mark.parametrize("name", catalog_names("engines"))
@pytest.mark.parametrize("batching", [{}, STATIC])
def test_no_key_of_a_profile_of_the_catalog_is_refused(name: str, batching: dict[str, Any]) -> None:
    """Engines of wafers run on wafers only, and `compiled` is for any device."""
    if name == "compiled" or name.startswith("cerebras"):
        assert found(name, node="cs-3", replica={"wafers": 1}, batching=batching) == {}
    if name.startswith("cerebras"):
        return
    roles = ["both"] if batching else ["both", "prefill", "decode"]
    for role in roles:
        partner = {} if role == "both" else {"role": role}
        assert found(name, node="dgx-h200", replica=partner, batching=batching) == {}


def test_what_a_profile_gives_is_not_written() -> None:
    for profile in profiles().values():
        assert not any(is_written(profile, key) for key in type(profile).model_fields)
    assert set(profiles()) | set(second_names("engines")) == set(catalog_names("engines"))
    assert all(entry_of(profile) == name for name, profile in profiles().items())


def test_a_mode_written_over_a_profile_may_leave_its_sizes_unused() -> None:
    for changes in ({"graph_mode": None}, {"graph_mode": "none"}):
        assert found({"like": "vllm-0.22", **changes}) == {}


@pytest.mark.parametrize(
    ("batching", "share"),
    [({}, 0.1), (NO_EVICT, 0.0), ({"prefill_first": {}}, 0.0), ({"order": "priority"}, 0.1)],
)
def test_the_watermark_of_a_profile_holds_only_with_rules_that_use_it(
    batching: dict[str, Any], share: float
) -> None:
    """A tenth of the KV cache stays free by the profile of wafers, unless answers are reserved."""
    keys = make_pool(node="cs-3", replica={"engine": "cerebras"}, batching=batching)
    assert describe(Pool, Document(keys, "test")).watermark == share
