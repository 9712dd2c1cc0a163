"""A stretch in closed form is the sum of its steps, and both are what a token-by-token engine does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster_sim.physics.cache_groups import CacheGroup
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.physics.replica_layout import GraphPlan, ReplicaLayout
from cluster_sim.physics.speculative_steps import Drafts, SpeculativeSteps
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_regions import WaferPlan
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.offload import Level
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.rank_rules import LoadBalanceMethod
from cluster_sim.serving.reservation import CapacitySchedulerPolicy, GuaranteedNoEvict
from cluster_sim.serving.routing import Routing, Rules, Thermal
from cluster_sim.serving.scheduler import (
    Continuous,
    DecodeScheduler,
    Drafting,
    Scheduler,
    SchedulerLimits,
    SchedulerOutput,
    Static,
)
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from cluster_sim.serving.scheduler.queue_orders import QueueOrder
from cluster_sim.serving.speculation import Speculation
from cluster_sim.workload.random_streams import numbered
from tests.machines import small_gpu, tiny_model
from tests.oracles import Job, Limits, gpu_step_s, jobs_of, serve_token_by_token
from tests.serve import serve

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# `thermal` needs temperatures; tests/sim/test_cool_replicas.py has it.
UNBUILT = (Rules, Thermal)
ROUTERS = [member() for member in Routing.__origin__.__args__ if member not in UNBUILT]  # type: ignore[attr-defined]
LONG = {"when": {"prompt_tokens": {"min": 40}}, "to": "pool"}
ROUTERS.append(Rules.model_validate({"rules": [LONG, {"to": "pool"}], "within": "least_work"}))
ROUTERS += [
    member.model_validate({"staleness": "20 ms"})
    for member in Routing.__origin__.__args__
    if "staleness_s" in member.model_fields and member is not Thermal
]  # type: ignore[attr-defined]

jobs = st.lists(
    st.tuples(
        st.floats(0.0, 0.05), st.integers(1, 150), st.integers(1, 60)
    ),  # gap [s], prompt, output
    min_size=1,
    max_size=14,
)
limits = st.fixed_dictionaries({
    "blocks": st.integers(4, 60),
    "block_tokens": st.integers(1, 16),
    "max_sequences": st.integers(1, 8),
    "budget": st.integers(8, 200),
    "chunked": st.booleans(),
    "window": st.sampled_from([0, 0, 5, 40]),
    "shares": st.sampled_from([False, False, True]),
    "policy": st.sampled_from(["first_chunk", *get_args(CapacitySchedulerPolicy)]),
    "stages": st.integers(1, 2),
    "answer": st.sampled_from([0, 0, 30, 300]),
    "watermark": st.sampled_from([0.0, 0.0, 0.2]),
    "hold": st.sampled_from([(0, 0.0), (0, 0.0), (3, 0.5), (20, 0.9)]),
    "late": st.booleans(),
})  # fmt: skip


def limits_of(limit: dict[str, Any], more_tokens: int = 0) -> SchedulerLimits:
    return SchedulerLimits(
        max_sequences=limit["max_sequences"],
        max_batched_tokens=limit["budget"] + more_tokens,
        max_context=4096,
        chunked_prefill=limit["chunked"],
        pipeline_stages=limit.get("stages", 1),
        view=LimitedView(limit["window"]),
    )


def kv_cache_of(limit: dict[str, Any], *, has_states: bool = True, **options: Any) -> KVCacheSpec:
    block_tokens = limit["block_tokens"]
    options.setdefault("prefix_caching", limit.get("prefix_caching", False))
    options.setdefault("watermark", watermark_of(limit))
    spec = KVCacheSpec(limit["blocks"] * block_tokens, block_tokens, **options)
    return spec._replace(
        groups=groups_of(limit, has_states=has_states),
        pages=limit["blocks"] if limit.get("shares") else 0,
    )


def watermark_of(limit: dict[str, Any]) -> float:
    """The share that an admission leaves free; none where groups share the blocks."""
    return 0.0 if limit.get("shares") else limit.get("watermark", 0.0)


def groups_of(limit: dict[str, Any], *, has_states: bool = True) -> tuple[CacheGroup, ...]:
    """Layers of the whole context, twice as many with the window, and a state; or one group."""
    if not limit.get("shares"):
        return ()
    block, window = limit["block_tokens"], limit["window"]
    windows = (CacheGroup(block, 2, "window", window),) if window else ()
    states = (CacheGroup(1, 1, "state"),) if has_states else ()
    return (CacheGroup(2 * block), *windows, *states)


def bounds_of(limit: dict[str, Any]) -> Limits:
    """The same limits for the engine that makes token after token."""
    hold_steps, hold_ratio = limit.get("hold", (0, 0.0))
    names = ("blocks", "block_tokens", "max_sequences", "budget", "chunked")
    return Limits(
        *(limit[name] for name in names),
        prefix_caching=limit.get("prefix_caching", False),
        groups=[group[:4] for group in groups_of(limit)],
        policy=limit.get("policy", "first_chunk"),
        ahead=limit.get("stages", 1),
        late=limit.get("late", False),
        watermark=watermark_of(limit),
        hold_steps=hold_steps,
        hold_tokens=hold_ratio * limit["budget"],
    )


def make_scheduler(limit: dict[str, Any]) -> ContinuousScheduler:
    return batching_of(limit).scheduler(limits_of(limit), kv_cache_of(limit))


def batching_of(limit: dict[str, Any], **keys: Any) -> Continuous:
    keys["capacity_scheduler_policy"] = limit.get("policy")
    steps, ratio = limit.get("hold", (0, 0.0))
    keys.setdefault("batch_wait_timeout_iterations", steps)
    keys.setdefault("batch_wait_max_tokens_ratio", ratio)
    return Continuous.model_validate(keys)


def make_requests(gaps: list[tuple[float, int, int]], limit: dict[str, Any]) -> list[Request]:
    """Requests that fit the room, arrivals ascending."""
    now_s, requests = 0.0, []
    for number, (gap_s, prompt, output) in enumerate(gaps):
        now_s += gap_s
        requests.append(Request(number, now_s, prompt, output, output_limit=limit.get("answer", 0)))
    longest = make_scheduler(limit).longest
    return [request for request in requests if request.footprint <= longest]


def model_of(limit: dict[str, Any]) -> Any:
    return (
        tiny_model(window={"tokens": limit["window"], "layers": 1})
        if limit["window"]
        else tiny_model()
    )


@pytest.mark.slow
@SETTINGS
@given(jobs, limits, st.integers(1, 2), st.sampled_from([1, 2]))
def test_a_token_by_token_engine_gives_the_same_times(
    gaps: list[tuple[float, int, int]], limit: dict[str, Any], tensor: int, bytes_: int
) -> None:
    model, device = model_of(limit), small_gpu()
    weights, rate, eta = ("bf16", 1e9, 0.5) if bytes_ == 2 else ("fp8", 2e9, 0.4)
    requests = make_requests(gaps, limit)
    plain = jobs_of(requests)
    step_s = gpu_step_s(model, device, tensor, float(bytes_), 2.0, eta, rate)
    serve_token_by_token(plain, bounds_of(limit), step_s)
    for stepping in (False, True):
        again = make_requests(gaps, limit)
        serve(
            again,
            GpuSteps(model, device, ReplicaLayout(tensor_parallel=tensor, weights=weights)),
            lambda: make_scheduler(limit),
            stepping,
            prepares_ahead=limit["late"],
        )  # type: ignore[arg-type]
        for request, job in zip(again, plain, strict=True):
            assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
            assert request.finish_s == pytest.approx(job.finish_s, rel=1e-9)
            assert not request.preemptions or limit["policy"] != "guaranteed_no_evict"


RANKS: dict[str, Callable[[Job], float]] = {
    "priority": lambda job: job.priority,
    "shortest_first": lambda job: job.prompt,
}


@pytest.mark.slow
@pytest.mark.parametrize("order", sorted(set(get_args(QueueOrder)) - {"fcfs"}))
@SETTINGS
@given(jobs, limits, st.lists(st.integers(0, 2), min_size=14, max_size=14))
def test_the_queue_is_in_the_order_of_a_token_by_token_engine(
    order: str, gaps: list[tuple[float, int, int]], limit: dict[str, Any], priorities: list[int]
) -> None:
    def requests() -> list[Request]:
        made = make_requests(gaps, limit)
        for request in made:
            request.priority = priorities[request.number]
        return made

    model, device = model_of(limit), small_gpu()
    plain = jobs_of(requests())
    bounds = replace(bounds_of(limit), rank=RANKS[order])
    serve_token_by_token(plain, bounds, gpu_step_s(model, device, 1, 2.0, 2.0, 0.5, 1e9))
    steps, ratio = limit["hold"]
    wait = {"batch_wait_timeout_iterations": steps, "batch_wait_max_tokens_ratio": ratio}
    feature = dict(PLAIN, order=order, watermark=watermark_of(limit)) | wait
    for stepping in (False, True):
        again = requests()
        serve(
            again,
            GpuSteps(model, device),
            lambda: make_scheduler_with(limit, feature),
            stepping,
            prepares_ahead=limit["late"],
        )
        for request, job in zip(again, plain, strict=True):
            assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
            assert request.finish_s == pytest.approx(job.finish_s, rel=1e-9)


PLAIN: dict[str, Any] = {
    "static": False, "drafts": 0, "acceptance": 0.0, "prefix_caching": False, "order": "fcfs", "batch_wait_timeout_iterations": 0,
    "batch_wait_max_tokens_ratio": 0.0, "ranks": 1, "load_balance_method": "round_robin", "attention_dp_timeout_iterations": 0, "attention_dp_batching_wait_iterations": 0, "watermark": 0.0, "swap_blocks": 0, "offload": (), "prefill_first": None,
}  # fmt: skip

features = st.fixed_dictionaries({
    "static": st.sampled_from([False, False, False, True]),
    "drafts": st.sampled_from([0, 0, 1, 3]),
    "acceptance": st.sampled_from([0.0, 0.4, 0.9, 1.0]),
    "prefix_caching": st.booleans(),
    "order": st.sampled_from(get_args(QueueOrder)),
    "batch_wait_timeout_iterations": st.sampled_from([0, 0, 3, 20]),
    "batch_wait_max_tokens_ratio": st.sampled_from([0.1, 0.8]),
    "ranks": st.sampled_from([1, 1, 2, 3]),
    "load_balance_method": st.sampled_from(get_args(LoadBalanceMethod)),
    "attention_dp_timeout_iterations": st.sampled_from([0, 3, 20]),
    "attention_dp_batching_wait_iterations": st.sampled_from([0, 2]),
    "watermark": st.sampled_from([0.0, 0.2]),
    "swap_blocks": st.sampled_from([0, 0, 5, 100]),
    "prefill_first": st.sampled_from([None, None, {}, {"mixed_chunks": True}, {"ignore_eos": True}, {"receive_interval": 4}, {"schedule_policy": "lpm"}]),
    "offload": st.sampled_from([(), (), (Level(3, 1e-4, True), Level(8, 1e-3, True)), (Level(100, 1e-4, True),)]),
})  # fmt: skip


def drafting_of(limit: dict[str, Any], feature: dict[str, Any]) -> Drafting | None:
    if not feature["drafts"] or feature["static"]:
        return None
    plan = Speculation(draft_tokens=feature["drafts"], acceptance=feature["acceptance"])
    return Drafting(plan, numbered(1, "speculation"))


def make_scheduler_with(limit: dict[str, Any], feature: dict[str, Any]) -> Scheduler:
    """A scheduler with any of the features switched on."""
    if feature["static"]:
        return Static().scheduler(limits_of(limit), kv_cache_of(limit))
    limits = replace(
        limits_of(limit, limit["max_sequences"] * feature["drafts"]),
        data_parallel=feature["ranks"],
    )
    names = (
        "attention_dp_timeout_iterations",
        "attention_dp_batching_wait_iterations",
        "load_balance_method",
        "order",
        "batch_wait_timeout_iterations",
        "batch_wait_max_tokens_ratio",
        "prefill_first",
    )
    policy = batching_of(limit, **{name: feature[name] for name in names})
    kv_cache = kv_cache_of(
        limit,
        watermark=feature["watermark"],
        prefix_caching=feature["prefix_caching"],
        swap_blocks=feature["swap_blocks"],
        swap_block_s=1e-4,
        offload=feature["offload"],
        has_states=not feature["drafts"],
    )
    return policy.scheduler(limits, kv_cache, drafting=drafting_of(limit, feature))


def audited(scheduler: Scheduler, blocks: int, on_host: int) -> Scheduler:
    """The scheduler, which counts its blocks between any two steps: those in use, those that may be
    found, those without content.
    """
    if not isinstance(scheduler, ContinuousScheduler):
        return scheduler
    kind: type[ContinuousScheduler] = type(scheduler)

    class Audited(kind):  # type: ignore[misc, valid-type]
        __slots__ = ()

        def schedule(self, now_s: float, max_steps: int) -> SchedulerOutput:
            output = super().schedule(now_s, max_steps)
            if kind is ContinuousScheduler:  # who is alone can always be served
                assert output.steps or not self.waiting
            return output

        def advance(self, steps: int, now_s: float) -> list[Request]:
            finished: list[Request] = super().advance(steps, now_s)
            taken = self.blocks_taken()
            swapped = sum(request.swapped for request in self.waiting)
            assert self._kv.swap.free_blocks + swapped == on_host
            # with drafts the room is a mean, and may be exceeded until the next step is scheduled
            if self._decoding.blocks.step_tokens == 1:
                assert 0 <= taken <= blocks
            if isinstance(self._reservation, GuaranteedNoEvict):
                unreserved = self._reservation._unreserved()
                assert unreserved >= 0
                in_transfer = self._in_transfer if isinstance(self, DecodeScheduler) else 0
                if not self.running and not in_transfer:
                    assert unreserved == self._kv.capacity
            if self._kv.caches_prefixes and taken <= blocks:
                self._kv.forget_until(blocks - taken)
                assert taken + sum(self._kv.count_queue()) == blocks
            return finished

    scheduler.__class__ = Audited
    return scheduler


def make_requests_with(gaps: list[tuple[float, int, int]], scheduler: Scheduler) -> list[Request]:
    """Requests of three priorities; two of three begin alike, and some are later turns."""
    now_s, requests = 0.0, []
    for number, (gap_s, prompt, output) in enumerate(gaps):
        now_s += gap_s
        request = Request(number, now_s, prompt, output)
        if number % 3:
            request.pieces = (
                (number % 3, min(prompt, 20)),
                (100 + number, prompt - min(prompt, 20)),
            )
            request.output_piece = 200 + number
        request.priority = number * 7 % 3
        requests.append(request)
    return [request for request in requests if request.footprint <= scheduler.longest]


@pytest.mark.slow
@settings(parent=SETTINGS, max_examples=300)
@given(
    jobs,
    limits,
    features,
    st.sampled_from(ROUTERS),
    st.integers(1, 3),
    st.sampled_from([0.0, 1e-5, 3e-3]),
    st.sampled_from(["gpu", "stages", "graphs", "wafer", "wafer in turns", "wafer streamed"]),
)
def test_stretch_and_step_agree_on_every_first_token_and_finish(
    gaps: list[tuple[float, int, int]],
    limit: dict[str, Any],
    feature: dict[str, Any],
    policy: Any,
    replicas: int,
    latency_s: float,
    machine: str,
) -> None:
    times = step_times(machine, limit)
    if drafting_of(limit, feature) is not None:
        times = SpeculativeSteps(times, Drafts(feature["drafts"], share=0.1))
    seen = []
    for stepping in (False, True):
        requests = make_requests_with(gaps, make_scheduler_with(limit, feature))
        schedulers = [
            audited(make_scheduler_with(limit, feature), limit["blocks"], feature["swap_blocks"])
            for _ in range(replicas)
        ]
        recorder = serve(
            requests,
            times,
            iter(schedulers).__next__,
            stepping,
            replicas,
            policy,
            latency_s,
            prepares_ahead=limit["late"],
        )
        assert recorder.inside == 0
        assert all(
            scheduler.pending_tokens == scheduler.pending_prompt_tokens == 0
            for scheduler in schedulers
        )
        seen.append(requests)
    for stretched, stepped in zip(*seen, strict=True):
        assert stretched.replica == stepped.replica
        assert stretched.preemptions == stepped.preemptions
        evicts = limit["policy"] != "guaranteed_no_evict" or feature["prefill_first"] is not None
        assert evicts or not stretched.preemptions
        assert stretched.prefix_hit_tokens == stepped.prefix_hit_tokens
        assert stretched.fetched_tokens == stepped.fetched_tokens
        assert stretched.admitted_s == pytest.approx(stepped.admitted_s, rel=1e-9)
        assert stretched.first_token_s == pytest.approx(stepped.first_token_s, rel=1e-9)
        assert stretched.finish_s == pytest.approx(stepped.finish_s, rel=1e-9)


def step_times(machine: str, limit: dict[str, Any]) -> Any:
    if machine.startswith("wafer"):
        plan = WaferPlan(
            2,
            layout="whole" if machine == "wafer in turns" else "regions",
            streamed=machine == "wafer streamed",
        )
        return WaferSteps(model_of(limit), small_wafer(), plan, io_bytes_per_s=1e8)
    return GpuSteps(
        model_of(limit),
        small_gpu(),
        ReplicaLayout(
            pipeline_parallel=2 if machine == "stages" else 1,
            graphs=GraphPlan((1, 2, 4), (), (1, 2, 4, 8, 16, 32)) if machine == "graphs" else None,
        ),
    )


def small_wafer() -> Any:
    """A wafer on which latency and the slowest station each bind somewhere in these workloads."""
    from cluster_sim.hardware.device import Device

    return Device.model_validate({
        "name": "small wafer",
        "memory": {"capacity": "1 GB", "bandwidth": "1 TB/s"},
        "peak": {"bf16": "0.4 GFLOP/s"},
        "wafer": {
            "columns": 20, "rows": 30, "clock": "1 MHz", "weight_fill": 0.8, "memory_fill": 0.95, "core": "100 us",
            "collectives": 2.0, "token": "300 us", "wafer_hop": "50 us", "compute": 0.4,
        },
    })  # fmt: skip
