"""The slowest attention data-parallel rank sets a step, on cases by hand and by brute force."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model
from cluster_sim.physics.gpu import WAITING, GpuSteps
from cluster_sim.physics.limited_view import causal_pairs
from cluster_sim.physics.ramp import Ramp, longest
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.step_work import StepWork
from cluster_sim.schema import catalog_entry
from cluster_sim.serving.scheduler.rank_sums import add_work

RANKS = 4


def steps(ranks: int = RANKS, **layout: object) -> GpuSteps:
    """Step times of DeepSeek-R1 on GB200, with attention ranks of one device each."""
    device = Device.model_validate(catalog_entry("devices", "gb200"))
    model = Model.model_validate(catalog_entry("models", "deepseek-r1"))
    plan = {"weights": "fp4", "kv_cache": "fp8", "engine": "TensorRT-LLM 1.2"} | layout
    groups = ReplicaLayout(data_parallel=ranks, expert_parallel=ranks, **plan)  # type: ignore[arg-type]
    return GpuSteps(model, device, groups)


TIMES = steps()


def decoding(batch: int, context: int) -> StepWork:
    """Work of a rank that decodes sequences with so many keys in total."""
    return StepWork(batch=batch, growth=batch, context=context, sampled=batch)


def prefilling(*prompts: int) -> StepWork:
    """Work of a rank that prefills whole prompts."""
    pairs = sum(causal_pairs(prompt, 0) for prompt in prompts)
    return StepWork(prompt_tokens=sum(prompts), sampled=len(prompts), pairs=pairs)


def together(*ranks: StepWork) -> StepWork:
    """Work of a step of several ranks."""
    work = StepWork()
    add_work(work, list(ranks))
    return work


def seconds(*ranks: StepWork) -> float:
    return TIMES.ramp(together(*ranks)).first_s


@pytest.mark.parametrize("rank", [decoding(6, 9_000), prefilling(2_000)])
def test_equal_ranks_are_the_even_case(rank: StepWork) -> None:
    work = together(*[rank] * RANKS)
    assert TIMES.ramp(work)[:2] == pytest.approx(TIMES.ramp(replace(work, ranks=()))[:2], rel=1e-12)
    assert TIMES.parts(work)[WAITING] == pytest.approx(0.0, abs=1e-12)


def test_equal_ranks_are_the_even_case_with_pipeline_stages_and_drafts() -> None:
    times = steps(pipeline_parallel=2)
    work = together(*[decoding(8, 9_000)] * RANKS)
    even = replace(work, ranks=())
    assert times.ramp(work)[:2] == pytest.approx(times.ramp(even)[:2], rel=1e-12)
    assert times.verify(work, 4)[:2] == pytest.approx(times.verify(even, 4)[:2], rel=1e-12)


def test_the_rank_with_the_most_keys_sets_the_step() -> None:
    """What the other ranks read makes no difference."""
    slow = decoding(4, 40_000)
    others = [decoding(4, context) for context in (10_000, 20_000, 30_000)]
    assert seconds(slow, *others) == pytest.approx(seconds(*[slow] * RANKS), rel=1e-12)
    assert seconds(slow, *others) > seconds(*[decoding(4, 25_000)] * RANKS)


def test_ranks_without_work_wait() -> None:
    """A rank with all sequences takes longer than four ranks that share them."""
    shared_s = seconds(*[decoding(4, 20_000)] * RANKS)
    alone_s = seconds(decoding(16, 80_000))
    assert alone_s > shared_s
    assert TIMES.parts(together(decoding(16, 80_000)))[WAITING] == pytest.approx(
        1.0 - shared_s / alone_s, rel=1e-9
    )


def test_a_rank_that_prefills_delays_those_that_decode() -> None:
    """The step is as long as if every rank had the prompt, but for experts and exchanges."""
    others = [decoding(32, 64_000)] * (RANKS - 1)
    one_s = seconds(prefilling(6_000), *others)
    assert seconds(decoding(32, 64_000), *others) < one_s < seconds(*[prefilling(6_000)] * RANKS)


def test_steps_in_which_one_rank_overtakes_another_equal_single_steps() -> None:
    """A rank with fewer keys and more sequences grows faster: the line holds until it is longer."""
    work = together(decoding(2, 70_000), decoding(40, 65_500))
    ramp = TIMES.ramp(work)
    assert 1 < ramp.valid_steps < 100
    for step in range(ramp.valid_steps):
        single_s = TIMES.ramp(work.later(step)).first_s
        assert ramp.first_s + step * ramp.slope_s == pytest.approx(single_s, rel=1e-12)
    after = TIMES.ramp(work.later(ramp.valid_steps + 1))
    assert after.slope_s > ramp.slope_s


def test_the_longest_of_several_lines_is_that_of_brute_force() -> None:
    random = Random(1)
    for _ in range(200):
        lines = [Ramp(random.uniform(0, 9), random.uniform(0, 1)) for _ in range(5)]
        first_s, slope_s, valid_steps = longest(lines)
        for step in range(min(valid_steps, 50)):
            most_s = max(line.first_s + step * line.slope_s for line in lines)
            assert first_s + step * slope_s == pytest.approx(most_s, rel=1e-12)


def test_parts_of_uneven_ranks_add_up() -> None:
    parts = TIMES.parts(together(decoding(4, 90_000), decoding(2, 3_000), prefilling(9_000)))
    assert sum(parts.values()) == pytest.approx(1.0)
    assert min(parts.values()) >= -1e-12
    assert parts[WAITING] > 0.1


def test_prompts_that_differ_by_a_fifth_cost_a_tenth() -> None:
    """NVIDIA measured 10 % in prefill on four GPUs of a GB200 whose prompts vary by 20 % (tech blog
    on DWDP); here they are drawn from 0.8 to 1.2 x 8,192 tokens.
    """
    random, uneven_s, even_s = Random(2), 0.0, 0.0
    for _ in range(100):
        prompts = [round(random.uniform(0.8, 1.2) * 8192) for _ in range(RANKS)]
        uneven_s += seconds(*(prefilling(prompt) for prompt in prompts))
        even_s += seconds(*[prefilling(sum(prompts) // RANKS)] * RANKS)
    assert uneven_s / even_s - 1.0 == pytest.approx(0.10, abs=0.02)
