"""Speculative decoding: how many steps a request takes, and what a step costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster_sim
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.operating_point import FULL_SPEED
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.speculative_steps import Drafts, SpeculativeSteps
from cluster_sim.physics.step_work import StepWork
from cluster_sim.serving.speculation import Speculation, mean_tokens
from cluster_sim.workload.random_streams import numbered
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node, small_gpu, tiny_model

ONE_OF = "'acceptance', 'acceptance_length', 'acceptance_by_position' and 'drafter'"


def speculation(**keys: Any) -> Speculation:
    return Speculation.model_validate({"draft_tokens": 3} | keys)


def one_by_one(rng: np.random.Generator, tokens: int, drafted: int, acceptance: float) -> int:
    """Steps to finish, each drafted token accepted or not by a throw of its own."""
    steps = made = 0
    while made < tokens:
        kept = 0
        while kept < drafted and rng.random() < acceptance:
            kept += 1
        made += kept + 1
        steps += 1
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("acceptance", [[0.9, 0.3, 0.3], [0.6, 0.5, 0.0]])
def test_steps_follow_the_acceptance_of_each_position(acceptance: list[float]) -> None:
    """1 + 0.9 + 0.3 + 0.3 = 2.5 tokens per step, and 2.1."""
    plan, streams = speculation(acceptance_by_position=acceptance), numbered(3, "speculation")
    steps = np.array([plan.steps(400, streams(number, 0)) for number in range(1_000)])
    per_step = 1.0 + sum(acceptance)
    assert plan.tokens_per_step == pytest.approx(per_step)
    # a request ends within a step, on average in its middle
    assert np.mean(steps) == pytest.approx((400 + (per_step - 1) / 2) / per_step, rel=0.01)


def test_a_mean_acceptance_is_that_of_equal_positions() -> None:
    """0.5, 0.25 and 0.125: the same random numbers give the same steps."""
    streams = numbered(3, "speculation")
    each, all_equal = (
        speculation(**keys)
        for keys in ({"acceptance_by_position": [0.5, 0.25, 0.125]}, {"acceptance": 0.5})
    )
    assert [each.steps(50, streams(n, 0)) for n in range(200)] == [
        all_equal.steps(50, streams(n, 0)) for n in range(200)
    ]


def test_acceptance_falls_with_the_context() -> None:
    """The first token falls from 0.8 to 0.6 at 10,000 tokens, so the second, given the first, falls
    from 0.5 to 0.375: 1 + 0.6 + 0.6·0.375. At 1,000 tokens, halfway in the logarithm, it is 0.7.
    """
    falling = [{"context": 100, "first": 0.8}, {"context": 10_000, "first": 0.6}]
    plan = speculation(
        draft_tokens=2, acceptance_by_position=[0.8, 0.4], acceptance_by_context=falling
    )
    assert plan.tokens_per_step_at(100) == pytest.approx(2.2)
    assert plan.tokens_per_step_at(50_000) == pytest.approx(1.825)
    assert plan.positions_at(1_000) == pytest.approx((0.7, 0.7 * 0.4375))
    near, far = (plan.steps(4_000, np.random.default_rng(1), context) for context in (0, 60_000))
    assert near == pytest.approx(4_000 / plan.tokens_per_step_at(2_000), rel=0.03)
    assert far == pytest.approx(4_000 / 1.825, rel=0.03)


def test_a_measured_drafter_gives_acceptance_range_and_cost(tmp_path: Path) -> None:
    """0.80 + 0.45 + 0.23 of DeepSeek-R1's layer, and 2.35 to 2.85 tokens per step as measured."""
    plan = speculation(drafter="mtp-deepseek-r1")
    assert plan.tokens_per_step == pytest.approx(2.48)
    assert plan.measured_range == pytest.approx((2.35, 2.85))
    assert (plan.passed_layers, plan.passes) == (1, 3)
    assert speculation(draft_tokens=1, drafter="mtp-deepseek-r1").tokens_per_step == 1.8
    own = speculation(drafter="mtp-deepseek-r1", acceptance=0.5, draft_cost=0.1)
    assert own.tokens_per_step == 1.875
    assert own.passed_layers is own.measured_range is None
    said = list(scenario(tmp_path, {"draft_tokens": 3, "drafter": "mtp-deepseek-r1"}).warnings())
    assert any("2.35 to 2.85 were measured" in text for text in said)
    assert any("measured with DeepSeek-R1, not with tiny" in text for text in said)


@pytest.mark.parametrize(("acceptance", "made"), [(0.0, 1), (1.0, 4)])
def test_speed_without_and_with_full_acceptance_is_arithmetic(
    tmp_path: Path, acceptance: float, made: int
) -> None:
    """Answers of 3,001 tokens take 3,000 steps of one token, or 750 of four, of equal cost but for
    the context.
    """
    plan = {"draft_tokens": 3, "acceptance": acceptance, "mtp_layers": 1}
    workload = {
        "arrivals": {"process": "at_once", "requests": 3},
        "prompt_tokens": 100,
        "output_tokens": 3_001,
    }
    made_scenario = scenario(tmp_path, plan, workload=workload)
    results = cluster_sim.simulate(made_scenario)
    times = resolve(made_scenario).deployments[0].times_at(FULL_SPEED)
    middle = StepWork(batch=3, growth=3.0 * made, context=3 * (1_604 - made / 2), sampled=3)
    step_s = times.ramp(middle).first_s
    for row in results.requests.to_pylist():
        assert row["finish_s"] - row["first_token_s"] == pytest.approx(
            3_000 / made * step_s, rel=1e-6
        )


@pytest.mark.slow
@pytest.mark.parametrize("acceptance", [0.2, 0.7, 0.95])
@pytest.mark.parametrize("tokens", [1, 7, 60])
def test_steps_to_finish_are_spread_as_if_every_token_was_thrown_for(
    acceptance: float, tokens: int
) -> None:
    plan, streams, rng = (
        speculation(acceptance=acceptance),
        numbered(3, "speculation"),
        np.random.default_rng(8),
    )
    drawn = np.array([plan.steps(tokens, streams(number, 0)) for number in range(4_000)])
    thrown = np.array([one_by_one(rng, tokens, 3, acceptance) for _ in range(4_000)])
    for steps in range(1, tokens + 1):
        seen, expected = np.mean(drawn <= steps), np.mean(thrown <= steps)
        assert (
            abs(seen - expected) < 4.5 * (2 * max(expected * (1 - expected), 1e-3) / 4_000) ** 0.5
        )


def test_a_request_draws_the_same_whenever_it_is_asked() -> None:
    plan, streams = speculation(acceptance=0.5), numbered(3, "speculation")
    forth = [plan.steps(50, streams(number, 0)) for number in range(100)]
    back = [plan.steps(50, streams(number, 0)) for number in reversed(range(100))]
    assert forth == back[::-1]
    assert forth != [plan.steps(50, streams(number, 1)) for number in range(100)]
    assert forth != [plan.steps(50, numbered(4, "speculation")(number, 0)) for number in range(100)]


def test_nothing_kept_is_a_step_a_token_and_all_kept_is_the_draft_and_one() -> None:
    rng = np.random.default_rng(1)
    assert speculation(acceptance=0.0).steps(50, rng) == 50
    assert speculation(acceptance=1.0).steps(50, rng) == 13
    assert speculation(acceptance=0.5).steps(0, rng) == 0


def test_a_measured_length_is_met() -> None:
    """1 + p + p² + p³ = 2.4 at p = 0.6377: 1 + 0.6377 + 0.4067 + 0.2593 = 2.3037, so p is larger;
    at 0.6629: 1 + 0.6629 + 0.4394 + 0.2913.
    """
    assert speculation(acceptance_length=2.4).probability == pytest.approx(0.6656, abs=3e-3)
    assert speculation(acceptance_length=2.4).tokens_per_step == pytest.approx(2.4, rel=1e-12)
    assert speculation(acceptance_length=1.0).probability == pytest.approx(0.0, abs=1e-12)
    assert speculation(acceptance_length=4.0).tokens_per_step == pytest.approx(4.0)
    assert mean_tokens(0.5, 3) == 1.875


def test_checking_four_tokens_costs_four_in_the_products_and_one_reading_of_the_cache() -> None:
    times = GpuSteps(tiny_model(), small_gpu(peak={"bf16": "20 GFLOP/s"}))
    alone_s, slope_s, _ = times.ramp(StepWork(batch=1, growth=1, context=1_000))
    checked_s, checked_slope_s, _ = times.verify(
        StepWork(batch=1, growth=1.0, context=1_000, sampled=1), 4
    )
    assert checked_s - alone_s == pytest.approx(
        times.tokens_s(4, 4) + times.head_s(4) - times.tokens_s(1, 1) - times.head_s(1), rel=1e-9
    )
    assert times.tokens_s(4, 4) > times.tokens_s(1, 1)
    assert checked_slope_s == pytest.approx(slope_s, rel=1e-12)
    assert times.verify(StepWork(batch=5, growth=5.0, context=3_000, sampled=5), 1) == times.ramp(
        StepWork(batch=5, growth=5, context=3_000)
    )
    padded = GpuSteps(tiny_model(), small_gpu(), ReplicaLayout(graph_batches=(1, 8)))
    assert padded.verify(StepWork(batch=5, growth=5.0, context=3_000, sampled=5), 1) == padded.ramp(
        StepWork(batch=5, growth=5, context=3_000)
    )
    assert (
        padded.verify(StepWork(batch=5, growth=5.0, context=3_000, sampled=5), 4).first_s
        > times.verify(StepWork(batch=5, growth=5.0, context=3_000, sampled=5), 4).first_s
    )
    assert times.verify(
        StepWork(batch=5, growth=5.0, context=3_000, prompt_tokens=40, sampled=6, pairs=820), 1
    ) == times.ramp(
        StepWork(batch=5, growth=5, context=3_000, prompt_tokens=40, sampled=6, pairs=820)
    )


def test_attention_of_many_checked_tokens_is_bound_by_arithmetic() -> None:
    """Each key costs 4·64 FLOP a layer and token: 64 tokens on two layers at 45 % of a GFLOP/s."""
    times = GpuSteps(tiny_model(), small_gpu())
    assert times.verify(
        StepWork(batch=1, growth=1.0, context=1_000, sampled=1), 64
    ).slope_s == pytest.approx(64 * 2 * 4 * 64 / 0.45e9, rel=1e-9)


def test_drafting_adds_its_share_of_a_plain_step_for_each_token_or_the_steps_of_the_drafter() -> (
    None
):
    target, drafter = (GpuSteps(tiny_model(layers=layers), small_gpu()) for layers in (8, 1))
    bare_s = (
        SpeculativeSteps(target, Drafts(3))
        .ramp(StepWork(batch=2, growth=4.0, context=500, sampled=2))
        .first_s
    )
    assert bare_s == target.verify(StepWork(batch=2, growth=4.0, context=500, sampled=2), 4).first_s
    assert SpeculativeSteps(target, Drafts(3, share=0.1)).ramp(
        StepWork(batch=2, growth=4.0, context=500, sampled=2)
    ).first_s == pytest.approx(
        bare_s + 0.3 * target.ramp(StepWork(batch=2, growth=2, context=500)).first_s
    )
    assert SpeculativeSteps(target, Drafts(3, drafter, 3)).ramp(
        StepWork(batch=2, growth=4.0, context=500, sampled=2)
    ).first_s == pytest.approx(
        bare_s
        + drafter.draft(StepWork(batch=2, growth=4.0, context=500, sampled=2), 4).first_s
        + 2 * drafter.draft(StepWork(batch=2, growth=4.0, context=500, sampled=2), 1).first_s
    )


def test_host_times_of_drafts_are_added_per_step_and_sequence() -> None:
    """1 ms and twice 0.1 ms; nothing in a step that only prefills."""
    target, decoding = (
        GpuSteps(tiny_model(), small_gpu()),
        StepWork(batch=2, growth=4.0, context=500, sampled=2),
    )
    hidden, shown = (
        SpeculativeSteps(target, Drafts(3, host_step_s=step_s, host_sequence_s=step_s / 10))
        for step_s in (0.0, 1e-3)
    )
    assert shown.ramp(decoding).first_s == pytest.approx(hidden.ramp(decoding).first_s + 1.2e-3)
    prompt = StepWork(prompt_tokens=40, sampled=1, pairs=820)
    assert shown.ramp(prompt) == hidden.ramp(prompt)


@pytest.mark.parametrize(("overlaps", "added_s"), [(True, 0.0), (False, 10 * 2.5e-3)])
def test_an_engine_that_overlaps_drafts_hides_their_host_times(
    tmp_path: Path, *, overlaps: bool, added_s: float
) -> None:
    """Ten steps of one request, each with 2 ms and 0.5 ms."""
    times = {"draft_step": "2 ms", "draft_sequence": "500 us", "async_drafts": overlaps}
    decoded = []
    for more in ({}, times):
        pool = {
            "name": "p",
            "node": node(SMALL_GPU),
            "replica": {
                "engine": engine(max_batched_tokens=600) | more,
                "speculation": {"draft_tokens": 3, "acceptance": 1},
            },
        }
        made = scenario(tmp_path, None, cluster={"pools": [pool]})
        decoded.append(decoded_s(cluster_sim.simulate(made)))
    assert decoded[1] - decoded[0] == pytest.approx(added_s, abs=1e-9)


def scenario(tmp_path: Path, plan: dict[str, Any] | None, **changes: Any) -> cluster_sim.Scenario:
    replica = {"engine": engine(max_batched_tokens=600)} | ({"speculation": plan} if plan else {})
    text = {
        "name": "drafts", "seed": 3, "model": TINY_MODEL,
        "workload": {"arrivals": {"process": "at_once", "requests": 1}, "prompt_tokens": 100, "output_tokens": 41},
        "cluster": {"pools": [{"name": "p", "node": node(SMALL_GPU), "replica": replica}]},
    } | changes  # fmt: skip
    path = tmp_path / "drafts.yaml"
    path.write_text(json.dumps(text))
    return cluster_sim.load_scenario(path)


def test_multi_token_prediction_passes_its_layer_and_the_head_for_each_draft(
    tmp_path: Path,
) -> None:
    """A layer of the model, its output head and a step's start: a model of one layer."""
    pool = scenario(
        tmp_path, {"draft_tokens": 2, "acceptance": 0.5, "mtp_layers": 1}
    ).cluster.pools[0]
    whole, last = (
        GpuSteps(tiny_model(layers=layers), small_gpu(), ReplicaLayout(engine="test engine"))
        for layers in (2, 1)
    )
    times = Deployment(pool, tiny_model()).times_at(FULL_SPEED)
    assert times.ramp(
        StepWork(batch=1, growth=3.0, context=500, sampled=1)
    ).first_s == pytest.approx(
        whole.verify(StepWork(batch=1, growth=3.0, context=500, sampled=1), 3).first_s
        + last.draft(StepWork(batch=1, growth=3.0, context=500, sampled=1), 3).first_s
        + last.draft(StepWork(batch=1, growth=3.0, context=500, sampled=1), 1).first_s
    )


def test_the_last_layers_of_a_mixture_are_mixtures() -> None:
    model = tiny_model(layers=6, experts={"count": 4, "top_k": 2, "ffn": 32, "dense_layers": 2})
    assert [
        (model.last_layers(count).layers, model.last_layers(count).moe_layers)
        for count in (1, 4, 5, 6)
    ] == [(1, 1), (4, 4), (5, 4), (6, 4)]


def decoded_s(results: cluster_sim.Results) -> float:
    table = results.requests.to_pylist()[0]
    return float(table["finish_s"] - table["first_token_s"])


def test_a_lone_request_takes_the_sum_of_its_checking_steps(tmp_path: Path) -> None:
    """40 tokens after the first; all of three drafted are kept: ten steps at contexts of 104, 108,
    … tokens.
    """
    results = cluster_sim.simulate(scenario(tmp_path, {"draft_tokens": 3, "acceptance": 1}))
    times = GpuSteps(tiny_model(), small_gpu())
    assert decoded_s(results) == pytest.approx(
        sum(
            times.verify(
                StepWork(batch=1, growth=4.0, context=104 + 4 * step, sampled=1), 4
            ).first_s
            for step in range(10)
        ),
        rel=1e-9,
    )
    assert results.summary()["spec_decode_acceptance_length"] == pytest.approx(4.0)


def test_drafts_that_are_never_kept_only_cost(tmp_path: Path) -> None:
    plain, drafted = (
        cluster_sim.simulate(scenario(tmp_path, plan))
        for plan in (None, {"draft_tokens": 3, "acceptance": 0})
    )
    assert decoded_s(drafted) > decoded_s(plain)
    assert drafted.summary()["spec_decode_acceptance_length"] == pytest.approx(1.0)


def test_the_mean_of_many_requests_is_the_acceptance_length(tmp_path: Path) -> None:
    workload = {
        "arrivals": {"process": "at_once", "requests": 400},
        "prompt_tokens": 20,
        "output_tokens": 400,
    }
    results = cluster_sim.simulate(
        scenario(tmp_path, {"draft_tokens": 4, "acceptance_length": 2.7}, workload=workload)
    )
    assert results.summary()["spec_decode_acceptance_length"] == pytest.approx(2.7, rel=0.01)


def test_a_drafter_takes_room_from_the_cache(tmp_path: Path) -> None:
    alone, both = (
        resolve(scenario(tmp_path, {"draft_tokens": 2, "acceptance": 0.5} | more))
        .deployments[0]
        .placement
        for more in ({}, {"draft_model": TINY_MODEL | {"name": "drafter"}})
    )
    assert both.kv_token_bytes == 2 * alone.kv_token_bytes
    assert both.weight_bytes == 2 * alone.weight_bytes
    assert both.kv_bytes == alone.kv_bytes - alone.weight_bytes


def test_layers_that_draft_take_weights_and_cache_but_no_head(tmp_path: Path) -> None:
    """One layer beside the two of the model: half as much cache again, a share of the weights."""
    alone, both = (
        resolve(scenario(tmp_path, {"draft_tokens": 2, "acceptance": 0.5} | more))
        .deployments[0]
        .placement
        for more in ({}, {"mtp_layers": 1})
    )
    whole, last = tiny_model(layers=2), tiny_model(layers=1)
    layer = whole.total_parameters - last.total_parameters
    assert both.kv_token_bytes == 1.5 * alone.kv_token_bytes
    assert both.weight_bytes - alone.weight_bytes == pytest.approx(
        alone.weight_bytes * layer / whole.total_parameters, rel=0.02
    )


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"draft_tokens": 3}, f"expected one of {ONE_OF}"),
        (
            {"draft_tokens": 3, "acceptance": 0.5, "acceptance_length": 2},
            f"expected one of {ONE_OF}",
        ),
        (
            {"draft_tokens": 3, "acceptance_by_position": [0.5, 0.4]},
            "acceptance_by_position: got 2 values; expected at least draft_tokens of 3",
        ),
        (
            {"draft_tokens": 2, "acceptance_by_position": [0.5, 0.6]},
            "acceptance_by_position: got a value above the one before it",
        ),
        (
            {"draft_tokens": 4, "drafter": "mtp-deepseek-r1"},
            "draft_tokens: got 4; expected no more than DeepSeek-R1 MTP was measured with, 3",
        ),
        (
            {
                "draft_tokens": 1,
                "acceptance": 0.5,
                "acceptance_by_context": [
                    {"context": 9, "first": 0.5},
                    {"context": 3, "first": 0.6},
                ],
            },
            "acceptance_by_context: expected ascending contexts",
        ),
        (
            {"draft_tokens": 3, "acceptance_length": 4.5},
            "acceptance_length: got 4.5; expected at most draft_tokens + 1 = 4",
        ),
        (
            {"draft_tokens": 3, "acceptance": 0.5, "draft_cost": 0.1, "mtp_layers": 1},
            "expected at most one of 'draft_model', 'draft_cost' and 'mtp_layers'",
        ),
    ],
)
def test_a_plan_that_cannot_be_says_why(tmp_path: Path, plan: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as fault:
        scenario(tmp_path, plan)
    assert message in str(fault.value)
    assert "cluster.pools[0].replica.speculation" in str(fault.value)


def test_slots_are_as_many_as_fit_into_a_step_with_their_drafts(tmp_path: Path) -> None:
    """600 tokens hold 60 sequences with ten tokens each; a number of one's own is not changed."""
    plan = {"draft_tokens": 9, "acceptance": 0.5}
    assert scenario(tmp_path, plan).cluster.pools[0].max_sequences == 60
    sglang = {
        "name": "p",
        "node": node(SMALL_GPU),
        "replica": {
            "engine": engine(max_batched_tokens=600, max_drafting_sequences=48),
            "speculation": plan,
        },
    }
    made = scenario(tmp_path, None, cluster={"pools": [sglang]})
    assert made.cluster.pools[0].max_sequences == 48
    own = {
        "name": "p",
        "node": node(SMALL_GPU),
        "batching": {"max_sequences": 64},
        "replica": {"engine": engine(max_batched_tokens=600), "speculation": plan},
    }
    with pytest.raises(
        ScenarioError,
        match="got max_sequences of 64 with 10 tokens each; expected at most max_batched_tokens of 600",
    ):
        scenario(tmp_path, None, cluster={"pools": [own]})


def test_a_model_with_chunks_is_refused(tmp_path: Path) -> None:
    heads = {"heads": 4, "kv_heads": 2, "head_dim": 16}
    chunked = {key: TINY_MODEL[key] for key in TINY_MODEL.keys() - heads.keys()} | {
        "attention_layers": [{"kind": "chunked", "layers": 2, "tokens": 32} | heads]
    }
    with pytest.raises(
        ScenarioError,
        match="tiny has layers with states, chunks, an indexer or compressed entries; this version",
    ):
        scenario(
            tmp_path,
            {"draft_tokens": 2, "acceptance": 0.5},
            model=chunked,
        )


@pytest.mark.parametrize("prefix_caching", [False, True])
def test_a_model_with_windows_drafts(tmp_path: Path, *, prefix_caching: bool) -> None:
    """2.5 tokens per step on average; the layer that drafts takes pages of its own."""
    pool = {
        "name": "p",
        "node": node(SMALL_GPU),
        "kv": {"prefix_caching": prefix_caching},
        "replica": {
            "engine": engine(max_batched_tokens=600),
            "speculation": {"draft_tokens": 3, "acceptance_length": 2.5, "mtp_layers": 1},
        },
    }
    made = scenario(
        tmp_path,
        None,
        model=TINY_MODEL | {"window": {"tokens": 32, "layers": 1}},
        workload={
            "arrivals": {"process": "at_once", "requests": 60},
            "prompt_tokens": 100,
            "output_tokens": 300,
        },
        cluster={"pools": [pool]},
    )
    results = cluster_sim.simulate(made)
    assert results.summary()["spec_decode_acceptance_length"] == pytest.approx(2.5, rel=0.02)
    deployment = resolve(made).deployments[0]
    alone, both = deployment.target.placement.pool, deployment.placement.pool
    assert alone is not None and both is not None
    assert [group.pages for group in alone.groups] == [1, 1]
    assert [group.pages for group in both.groups] == [2, 1]
