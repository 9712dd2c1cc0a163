"""Exchanges between attention and experts, against hand-worked cases and published tables."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from cluster_sim.hardware.device import Device, device_named
from cluster_sim.hardware.exchange_fits import ExchangeFit, ExchangeFits, OneWayFit
from cluster_sim.llm.layers.feed_forward import Experts
from cluster_sim.llm.model import Model
from cluster_sim.physics.exchange_kinds import KINDS, ExchangePlan, GroupShape, chosen_kind
from cluster_sim.physics.exchange_times import Parcels, one_way_s
from cluster_sim.physics.expert_exchange import (
    ExpertExchange,
    WayTimes,
    reached_devices,
    reached_nodes,
)
from cluster_sim.physics.expert_load import RankLoad, SpreadExperts
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import GroupNetwork, ReplicaLayout
from cluster_sim.physics.step_work import StepWork
from cluster_sim.schema import catalog_entry

R1 = Model.model_validate(catalog_entry("models", "deepseek-r1"))
PLAIN = OneWayFit.model_validate(
    {"start": "10 us", "processor_bandwidth": "1 PB/s", "link_bandwidth": "321 GB/s"}
)


def exchange(
    device: Device, plan: ExchangePlan, model: Model = R1, **changes: object
) -> ExpertExchange:
    """Exchange of DeepSeek-R1 in fp8 among eight devices with whole experts, in decode."""
    layout = ReplicaLayout(data_parallel=8, expert_parallel=8, weights="fp8", exchange=plan)
    return ExpertExchange(model, device, layout._replace(**changes), has_prompts=False)


def always(kind: str) -> ExchangePlan:
    return ExchangePlan(kind, kind)  # type: ignore[arg-type]


def plain_device(kind: str, **changes: object) -> Device:
    """GB200 whose exchange of a kind has a start of 10 us and links of 321 GB/s alone."""
    fit = PLAIN.model_copy(update=changes)
    both = ExchangeFits(**{kind: ExchangeFit(dispatch=fit, combine=fit)})
    return device_named("gb200").model_copy(update={"exchanges": both})


def test_a_low_latency_exchange_sends_one_copy_per_expert() -> None:
    """64 tokens, 8 experts, 7,168 fp8 values with 56 scales and a header: 3,792,896 B."""
    times = exchange(plain_device("deepep_low_latency"), always("deepep_low_latency")).times(64 * 8)
    sent = 64 * 8 * (7168 + 56 * 4 + 16) * 7 / 8
    assert sent == 64 * 7 * 7408
    assert times.dispatch_s == approx(10e-6 + sent / 321e9)
    assert times.combine_s == approx(10e-6 + 64 * 7 * 2 * 7168 / 321e9)


def test_a_normal_exchange_sends_one_copy_per_device() -> None:
    """8 of 256 experts lie on 8 (1 - C(224, 8) / C(256, 8)) = 5.295 of 8 devices.

    C(224, 8) / C(256, 8) = 224/256 x 223/255 x ... x 217/249 = 0.3382.
    """
    reached = 8 * (1 - 0.33817)
    assert reached_devices(Experts(count=256, top_k=8, ffn=1), 8) == approx(reached, rel=1e-4)
    times = exchange(plain_device("deepep_normal"), always("deepep_normal")).times(64 * 8)
    assert times.combine_s == approx(10e-6 + 64 * reached * 14336 * 7 / 8 / 321e9, rel=1e-3)


def test_nvfp4_halves_what_one_sided_kernels_send_and_not_what_returns() -> None:
    device = plain_device("nvlink_one_sided")
    narrow = exchange(device, always("nvlink_one_sided"), weights="fp4").times(8192 * 8)
    wide = exchange(device, always("nvlink_one_sided"), weights="bf16").times(8192 * 8)
    assert wide.dispatch_s - 10e-6 == approx(2 / 0.5625 * (narrow.dispatch_s - 10e-6))
    assert wide.combine_s == narrow.combine_s == wide.dispatch_s


@pytest.mark.parametrize(("parts", "drawn"), [(4, 2), (8, 8), (16, 8)])
def test_reached_devices_are_those_of_drawn_experts(parts: int, drawn: int) -> None:
    rng, experts = random.Random(1), range(64)
    mean = sum(
        len({each * parts // 64 for each in rng.sample(experts, drawn)}) for _ in range(4000)
    )
    assert reached_devices(Experts(count=64, top_k=drawn, ffn=1), parts) == approx(
        mean / 4000, rel=0.02
    )


def test_groups_of_experts_limit_the_nodes_of_a_token() -> None:
    limited = Experts(count=256, top_k=8, ffn=1, routing_groups=8, routed_groups=4)
    assert reached_nodes(limited, 1) == 1.0
    assert reached_nodes(limited, 8) == approx(4 * (1 - 0.75**8))
    free = limited.model_copy(update={"routed_groups": None})
    assert reached_nodes(limited, 8) < 4.0 < reached_nodes(free, 8)


# NVIDIA's TensorRT-LLM blog on wide expert parallelism: dispatch and combine in bf16 on GB200 [us].
BLOG = [
    (8, 1, 19, 31), (8, 64, 22, 34), (8, 256, 51, 53), (8, 1024, 166, 176), (8, 2048, 312, 323),
    (64, 1, 28, 33), (64, 64, 29, 38), (64, 256, 65, 63), (64, 1024, 209, 199), (64, 2048, 399, 372),
]  # fmt: skip


@pytest.mark.parametrize(("ranks", "tokens", "dispatch_us", "combine_us"), BLOG)
def test_one_sided_kernels_are_as_fast_as_nvidia_published(
    ranks: int, tokens: int, dispatch_us: float, combine_us: float
) -> None:
    """Each token goes to 8 ranks. The fit has seen nvfp4 alone, and at most 32 ranks."""
    fit = device_named("gb200").exchanges.nvlink_one_sided
    assert fit is not None
    parcels = Parcels(tokens, 8, 2 * 7168, ranks, 256)
    within = 0.08 if tokens >= 1024 else 0.25
    assert one_way_s(fit.dispatch, parcels) == approx(dispatch_us * 1e-6, rel=within)
    assert one_way_s(fit.combine, parcels) == approx(combine_us * 1e-6, rel=within)


# DeepEP on H800, docs/legacy.md: low-latency kernels with 128 tokens per device [us].
LOW_LATENCY = [
    (2, 118, 195), (4, 155, 273), (8, 173, 314), (16, 192, 369), (32, 194, 360),
]  # fmt: skip
PORT = GroupNetwork(1, 46e9, 8e-6)  # a port of 400 Gb/s, and a device's way to it and back


@pytest.mark.parametrize(("nodes", "dispatch_us", "combine_us"), LOW_LATENCY)
def test_low_latency_kernels_over_nodes_agree_with_deepep_s_table(
    nodes: int, dispatch_us: float, combine_us: float
) -> None:
    """One constant is fitted to these ten figures; starts are those of an H100's node."""
    plan = always("deepep_low_latency")
    groups = {"data_parallel": 8 * nodes, "expert_parallel": 8 * nodes}
    network = PORT._replace(nodes=nodes)
    far = exchange(device_named("h100-sxm"), plan, network=network, **groups)
    times = far.times(128 * 8 * nodes)
    assert times.dispatch_s == approx(dispatch_us * 1e-6, rel=0.15)
    assert times.combine_s == approx(combine_us * 1e-6, rel=0.15)


# The same page: normal kernels with 4,096 tokens per device. DeepEP's tests choose at most four of
# as many groups as nodes [GB/s per device, with copies for its own node].
NORMAL = [(2, 43, 43), (4, 58, 57), (8, 51, 50)]


@pytest.mark.parametrize(("nodes", "dispatch_gb_s", "combine_gb_s"), NORMAL)
def test_normal_kernels_over_nodes_agree_with_deepep_s_table(
    nodes: int, dispatch_gb_s: float, combine_gb_s: float
) -> None:
    """Links of an H800 carry 7/8 of 153 to 158 GB/s, as measured in one node."""
    h800 = plain_device("deepep_normal", link_bandwidth_bytes_per_s=7 / 8 * 156e9, start_s=5e-5)
    groups = {"data_parallel": 8 * nodes, "expert_parallel": 8 * nodes}
    network = PORT._replace(nodes=nodes)
    limited = min(nodes, 4)
    assert R1.experts is not None
    routing = {"routing_groups": nodes, "routed_groups": limited}
    model = R1.model_copy(update={"experts": R1.experts.model_copy(update=routing)})
    far = exchange(h800, always("deepep_normal"), model, network=network, **groups)
    times = far.times(4096 * 8 * nodes)
    copies = 4096 * limited * (1 - (1 - 1 / limited) ** 8)
    for seconds, width, gb_s in (
        (times.dispatch_s, 7168 * 33 / 32, dispatch_gb_s),
        (times.combine_s, 2 * 7168, combine_gb_s),
    ):
        assert copies * width / seconds / 1e9 == approx(gb_s, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["h100-sxm", "b200-sxm", "gb200", "gb300"])
@given(data=st.data())
def test_more_tokens_or_slower_links_never_take_less_time(name: str, data: st.DataObject) -> None:
    device = device_named(name)
    kind = data.draw(st.sampled_from([each for each in KINDS if device.exchanges.of(each)]))
    nodes = data.draw(st.sampled_from([1, 2, 8])) if KINDS[kind].crosses_nodes else 1
    groups = {"data_parallel": 8 * nodes, "expert_parallel": 8 * nodes}
    network = GroupNetwork(nodes, data.draw(st.floats(1e9, 1e12)), 2e-6)
    tokens, more = data.draw(st.integers(1, 10**6)), data.draw(st.integers(0, 10**6))
    share = data.draw(st.floats(0.01, 1.0))
    slow = device.model_copy(update={"exchanges": device.exchanges.at(share)})
    near, far = (exchange(each, always(kind), network=network, **groups) for each in (device, slow))
    for fewer, greater, slower in zip(
        near.times(tokens), near.times(tokens + more), far.times(tokens), strict=True
    ):
        assert 0.0 < fewer <= greater * (1 + 1e-12)
        assert fewer <= slower * (1 + 1e-12)


@pytest.mark.parametrize("name", ["h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "gb200", "gb300"])
def test_no_exchange_is_faster_than_its_links(name: str) -> None:
    device = device_named(name)
    assert device.peer_bandwidth_bytes_per_s is not None
    for kind in KINDS:
        if (fit := device.exchanges.of(kind)) is not None:
            for way in (fit.dispatch, fit.combine):
                assert way.link_bandwidth_bytes_per_s <= device.peer_bandwidth_bytes_per_s


class Skewed:
    """Load whose fullest group has a multiple of the mean."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio

    def busiest(self, experts: SpreadExperts, tokens: int) -> RankLoad:
        rows = self._ratio * experts.top_k * tokens / experts.groups
        return RankLoad(rows, experts.slots / experts.groups)


@pytest.mark.parametrize("kind", ["deepep_low_latency", "deepep_normal", "nvlink_one_sided"])
def test_the_fullest_device_sets_the_time(kind: str) -> None:
    device, tokens = plain_device(kind), 8 * 10**6
    even = exchange(device, always(kind)).times(tokens)
    skewed = exchange(device, always(kind), expert_load=Skewed(2.0)).times(tokens)
    # a device that gets one copy for all of its experts gets fewer than twice as many
    grown = 2.0 if kind == "deepep_low_latency" else (1 - 0.75**8) / (1 - 0.875**8)
    assert skewed.combine_s / even.combine_s == approx(grown, rel=0.01)
    nearly = exchange(device, always(kind), expert_load=Skewed(1.0 + 1e-9)).times(tokens)
    assert nearly.combine_s == approx(even.combine_s, rel=1e-6)


def test_a_device_with_more_experts_than_others_sets_the_time() -> None:
    """256 experts on 48 devices: some hold 6, the mean is 5 1/3."""
    device, groups = plain_device("nvlink_one_sided"), {"data_parallel": 48, "expert_parallel": 48}
    uneven = exchange(device, always("nvlink_one_sided"), **groups).times(48 * 10**6)
    spare = exchange(device, always("nvlink_one_sided"), redundant_experts=32, **groups)
    share, even = 6 / 256, 1 / 48
    grown = (1 - (1 - share) ** 8) / (1 - (1 - even) ** 8)
    assert uneven.combine_s / spare.times(48 * 10**6).combine_s == approx(grown, rel=1e-3)


def test_engines_choose_their_exchange_by_machine_and_phase() -> None:
    gb200, h100 = device_named("gb200"), device_named("h100-sxm")
    near, far, split = GroupShape(8, 8, 1, 8), GroupShape(32, 32, 4, 8), GroupShape(8, 4, 1, 8)

    def chosen(device: Device, engine: str, shape: GroupShape, *, has_prompts: bool) -> str:
        return chosen_kind("auto", device, engine, shape, has_prompts=has_prompts)

    assert chosen(gb200, "TensorRT-LLM 1.2", near, has_prompts=False) == "nvlink_one_sided"
    assert chosen(gb200, "TensorRT-LLM", near, has_prompts=False) == "nvlink_one_sided"
    assert chosen(gb200, "TensorRT-LLM 1.0", near, has_prompts=False) == "fastest_collective"
    wide = GroupShape(16, 16, 1, 8)
    assert chosen(gb200, "TensorRT-LLM 1.0", wide, has_prompts=False) == "nvlink_two_sided"
    assert chosen(gb200, "TensorRT-LLM 1.2", split, has_prompts=False) == "fastest_collective"
    assert chosen(h100, "TensorRT-LLM 1.2", near, has_prompts=True) == "fastest_collective"
    for blackwell in (device_named("b200-sxm"), device_named("b300-sxm")):
        assert chosen(blackwell, "TensorRT-LLM 1.2", near, has_prompts=False) == "nvlink_one_sided"
        few = GroupShape(8, 8, 1, 4)  # more groups than experts per token, but no Arm hosts
        assert chosen(blackwell, "TensorRT-LLM 1.0", few, has_prompts=False) == "fastest_collective"
    assert chosen(h100, "vLLM 0.22", near, has_prompts=True) == "fastest_collective"
    assert chosen(h100, "SGLang 0.5", far, has_prompts=True) == "deepep_normal"
    assert chosen(h100, "SGLang 0.5", far, has_prompts=False) == "deepep_low_latency"
    rack = GroupShape(32, 32, 1, 8)
    assert chosen(gb200, "SGLang 0.5", rack, has_prompts=False) == "deepep_low_latency"
    assert chosen(gb200, "SGLang 0.5", near, has_prompts=False) == "fastest_collective"
    a100 = device_named("a100-sxm")
    assert chosen(a100, "SGLang 0.5", far, has_prompts=False) == "fastest_collective"


def test_steps_with_prompts_run_their_own_exchange() -> None:
    plan = ExchangePlan("deepep_normal", "deepep_low_latency")
    layout = ReplicaLayout(
        data_parallel=8, expert_parallel=8, weights="fp8", engine="vLLM 0.15", exchange=plan
    )  # whose experts are a roofline, the same with every exchange
    h200 = device_named("h200-sxm")
    times, same = (
        GpuSteps(R1, h200, layout._replace(exchange=each))
        for each in (plan, always("deepep_low_latency"))
    )
    prompt = StepWork(prompt_tokens=65_536, pairs=65_536 * 4096, sampled=8)
    normal, low = (
        WayTimes(*ExpertExchange(R1, h200, each, has_prompts=True).times(65_536))
        for each in (layout, layout._replace(exchange=always("deepep_low_latency")))
    )
    apart_s = 58 * (sum(normal) - sum(low))
    assert times.ramp(prompt).first_s - same.ramp(prompt).first_s == approx(apart_s, rel=1e-9)
    decode = StepWork(batch=64, sampled=64, growth=64, context=64_000)
    assert times.ramp(decode) == same.ramp(decode)
    parts = times.parts(prompt)
    step_s = times.ramp(prompt).first_s
    assert parts["exchange of experts"] * step_s == approx(58 * sum(normal))
    assert sum(parts.values()) == approx(1.0)
