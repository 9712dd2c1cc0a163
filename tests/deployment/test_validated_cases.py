"""Deployments are compared with measured cases: validated, near or outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.setup_key import SetupKey, profile_name, setup_keys
from cluster_sim.deployment.validated_cases import (
    VALIDATED_CASES,
    Case,
    differences,
    nearest_case,
    read_cases,
    validation_of,
)
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, catalog_entry, catalog_names, describe, second_names
from cluster_sim.serving.engine import Engine
from tests.scenarios import make_scenario

LLAMA = SetupKey("dense, full", 70.6, "fp4", "no", "vllm-0.15", "NVIDIA B200 SXM", "TP2", "fp8")


def case(runs: int = 10, tpot_error: float | None = 0.03, **changes: Any) -> Case:
    fitted, ttft_error = changes.pop("fitted", 0), changes.pop("ttft_error", None)
    return Case(
        model="llama-3.3-70b",
        setup=LLAMA._replace(**changes),
        runs=runs,
        fitted=fitted,
        tpot_error=tpot_error,
        ttft_error=ttft_error,
        throughput_error=None,
        releases="vllm 0.15",
        datasets="a test",
    )


@pytest.mark.parametrize(
    ("cases", "status", "differs"),
    [
        ([case()], "validated", ()),
        ([case(layout="TP8")], "near", ("layout",)),
        ([case(precision="fp8")], "near", ("precision",)),
        ([case(parameters_b=122.6)], "near", ("model",)),
        ([case(engine="vllm-0.10")], "near", ("release",)),
        ([case(drafts="3")], "near", ("drafts",)),
        ([case(device="NVIDIA H200 SXM")], "outside", ("device",)),
        ([case(layout="TP8", precision="fp8")], "outside", ("precision", "layout")),
        # not known well enough: one thing more that is not as measured
        ([case(runs=2)], "near", ()),
        ([case(tpot_error=0.21)], "near", ()),
        ([case(tpot_error=None)], "near", ()),
        ([case(runs=2, layout="TP8")], "outside", ("layout",)),
        # no likeness at all
        ([case(family="experts, latent")], "outside", ()),
        ([case(engine="sglang")], "outside", ()),
        ([case(parameters_b=8.0)], "outside", ()),
        ([], "outside", ()),
        # the nearest decides
        ([case(device="NVIDIA H200 SXM"), case(layout="TP8"), case(runs=2)], "near", ("layout",)),
    ],
)
def test_the_status_counts_what_differs_from_the_nearest_case(
    cases: list[Case], status: str, differs: tuple[str, ...]
) -> None:
    validation = nearest_case(LLAMA, cases)
    assert (validation.status, validation.differs_in) == (status, differs)


def test_a_case_with_more_runs_is_nearer_among_equals() -> None:
    few, many = case(runs=5, layout="TP4"), case(runs=50, layout="TP8")
    assert nearest_case(LLAMA, [few, many]).nearest == many


def test_sizes_of_models_may_differ_by_a_factor_of_three() -> None:
    assert differences(LLAMA, LLAMA._replace(parameters_b=211.7)) == ("model",)
    assert differences(LLAMA, LLAMA._replace(parameters_b=211.9)) is None
    assert differences(LLAMA._replace(parameters_b=211.9), LLAMA) is None


def on(engine: Any, **replica: Any) -> Scenario:
    """A scenario on one DGX B200."""
    plan = {"tensor_parallel": 2, "weights": "fp4", "kv_cache": "fp8", "engine": engine} | replica
    return make_scenario(
        model="llama-3.3-70b",
        cluster={"pools": [{"name": "b200", "node": "dgx-b200", "replica": plan}]},
    )


def test_the_setup_of_a_scenario_names_its_model_engine_device_and_layout() -> None:
    assert setup_keys(resolve(on("vllm-0.15"))) == [LLAMA]
    drafts = {"draft_tokens": 2, "acceptance": 0.7, "draft_cost": 0.1}
    (key,) = setup_keys(resolve(on("trtllm", pipeline_parallel=2, speculation=drafts)))
    assert (key.engine, key.drafts, key.layout) == ("trtllm-1.2", "2", "TP2PP2")


def test_pools_apart_are_one_setup_with_both_layouts() -> None:
    scenario = cluster_sim.load_scenario("example:disaggregated_70b", "disaggregated")
    assert [key.layout for key in setup_keys(resolve(scenario))] == ["2xTP4+2xTP4"]


def settings(engine: Any, **pool: Any) -> tuple[str, ...]:
    """Properties in which a deployment differs from the same one with the plain profile."""
    plain, own = (
        make_scenario(
            model="llama-3.3-70b",
            cluster={
                "pools": [
                    {
                        "name": "b200",
                        "node": "dgx-b200",
                        "replica": {"tensor_parallel": 2, "weights": "fp4", "engine": each},
                        **more,
                    }
                ]
            },
        )
        for each, more in (("trtllm-1.2", {}), (engine, pool))
    )
    (first,), (second,) = setup_keys(resolve(plain)), setup_keys(resolve(own))
    return differences(first, second) or ()


def test_what_changes_the_scheduler_or_the_times_differs_in_settings() -> None:
    assert settings({"like": "trtllm-1.2", "max_sequences": 7}) == ("settings",)
    assert settings({"like": "trtllm-1.2", "step": "3 ms"}) == ("settings",)
    assert settings("trtllm-1.2", batching={"policy": "static", "max_sequences": 8}) == (
        "settings",
    )
    policy = {"capacity_scheduler_policy": "max_utilization"}
    assert settings("trtllm-1.2", batching=policy) == ("settings",)


def test_what_clients_see_and_limits_of_the_batch_differ_in_nothing() -> None:
    assert settings({"like": "trtllm-1.2", "stream_interval": 10}) == ()
    assert settings("trtllm-1.2", batching={"max_sequences": 64}) == ()


def test_pools_apart_that_differ_are_like_no_case_of_one_kind() -> None:
    plans = [("prefill", "dgx-h200", "vllm-0.15"), ("decode", "dgx-b200", "vllm-0.22")]
    pools = [
        {
            "name": role,
            "node": node,
            "replica": {"role": role, "tensor_parallel": 8, "weights": "fp8", "engine": engine},
        }
        for role, node, engine in plans
    ]
    (key,) = setup_keys(resolve(make_scenario(model="llama-3.3-70b", cluster={"pools": pools})))
    assert key.device == "NVIDIA H200 SXM+NVIDIA B200 SXM"
    assert (key.engine, key.engine_name) == ("vllm-0.15+vllm-0.22", "vllm")


@pytest.mark.parametrize("name", sorted({*catalog_names("engines")} - {*second_names("engines")}))
def test_every_profile_of_the_catalog_is_found_by_its_values(name: str) -> None:
    entry = Document(catalog_entry("engines", name), name)
    assert profile_name(describe(Engine, entry)) == name


def test_of_several_pools_the_least_known_one_decides() -> None:
    pools = [
        {
            "name": name,
            "node": node,
            "replica": {
                "tensor_parallel": 2,
                "weights": "fp4",
                "kv_cache": "fp8",
                "engine": "vllm-0.15",
            },
        }
        for name, node in (("a", "dgx-b200"), ("b", "dgx-h200"))
    ]
    fleet = resolve(make_scenario(model="llama-3.3-70b", cluster={"pools": pools}))
    assert validation_of(fleet, [case()]).differs_in == ("device",)
    assert validation_of(fleet, [case()]).status == "outside"


def test_fields_of_the_summary_name_the_nearest_case_and_its_errors() -> None:
    fields = nearest_case(LLAMA, [case(layout="TP8")]).fields()
    assert fields == {
        "status": "near",
        "nearest": "llama-3.3-70b in fp4 on NVIDIA B200 SXM, TP8, vllm-0.15",
        "runs": 10,
        "fitted": 0,
        "differs_in": ["layout"],
        "tpot_error": approx(0.03),
    }
    assert nearest_case(LLAMA, []).fields() == {"status": "outside"}


def test_the_table_of_the_catalog_has_cases_of_catalog_models_and_profiles() -> None:
    cases = read_cases()
    models = {*catalog_names("models"), *catalog_names("measured_models")}
    assert len(cases) > 50
    assert {case.model for case in cases} <= models
    profiles = {case.setup.engine.split(" with ")[0] for case in cases}
    # a bare name stands for another release in each version of the catalog
    assert profiles <= set(catalog_names("engines")) - set(second_names("engines"))
    assert all(case.datasets and 0 <= case.fitted <= case.runs for case in cases)
    assert VALIDATED_CASES.stat().st_size < 100_000


def test_without_a_table_there_are_no_cases(tmp_path: Path) -> None:
    assert read_cases(tmp_path / "none.csv") == ()


def test_the_line_for_users_says_what_is_known_and_how_well() -> None:
    name = "llama-3.3-70b in fp4 on NVIDIA B200 SXM, TP2, vllm-0.15"
    assert nearest_case(LLAMA, [case()]).text == (
        f"validated by 10 measured runs of {name}; median errors there: TPOT 3.0 %"
    )
    assert nearest_case(LLAMA, [case(runs=1)]).text == (
        f"near what was validated: only 1 run of {name} was measured; median errors there: TPOT 3.0 %"
    )
    assert nearest_case(LLAMA, [case(runs=2, fitted=1)]).text == (
        f"near what was validated: only 2 runs (1 in the fit) of {name} were measured; "
        "median errors there: TPOT 3.0 %"
    )
    assert nearest_case(LLAMA, [case(tpot_error=0.31)]).text == (
        f"near what was validated: errors are large in 10 measured runs of {name}; "
        "median errors there: TPOT 31 %"
    )
    assert nearest_case(LLAMA, [case(fitted=10)]).text.startswith(
        "validated by 10 measured runs (all in the fit) of"
    )
    assert nearest_case(LLAMA, [case(fitted=4, ttft_error=1.5)]).text == (
        f"near what was validated: errors are large in 10 measured runs (4 in the fit) of {name}; "
        "median errors there: TPOT 3.0 %, TTFT 150 %"
    )
    assert nearest_case(LLAMA._replace(layout="TP8"), [case(tpot_error=0.31)]).text == (
        f"outside what was validated: differs in layout from 10 measured runs of {name}, "
        "whose errors are large; median errors there: TPOT 31 %"
    )
    assert differences(LLAMA, LLAMA._replace(engine="vllm-0.15+sglang-0.5")) is None
    wide = nearest_case(LLAMA._replace(layout="TP8", precision="fp8"), [case()]).text
    assert wide.startswith(
        "outside what was validated: differs in precision and layout from 10 measured runs of"
    )
    assert nearest_case(LLAMA, []).text.startswith("outside what was measured: no measured run")
