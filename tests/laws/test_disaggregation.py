"""What holds where prompts are read by some replicas and answers decoded by others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from simpy import Environment

import cluster_sim
from cluster_sim.deployment.deployment import FrontEndCosts
from cluster_sim.deployment.schedulers import build_scheduler
from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.speculative_steps import Drafts, SpeculativeSteps
from cluster_sim.physics.step_times import StepTimes
from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.run_data import TABLES
from cluster_sim.serving.disaggregation import Disaggregation
from cluster_sim.serving.routing import LeastRequests
from cluster_sim.serving.scheduler import DecodeScheduler, PrefillScheduler
from cluster_sim.sim.decode_capacity import DecodeCapacity
from cluster_sim.sim.decode_replica import DecodeReplica
from cluster_sim.sim.fabric import Fabric
from cluster_sim.sim.front_end import FrontEnd
from cluster_sim.sim.kv_sending import KvPaths, TransferPolicy
from cluster_sim.sim.kv_transfers import KvTransfers
from cluster_sim.sim.memory_bus import MemoryBus
from cluster_sim.sim.prefill_replica import PrefillReplica
from cluster_sim.sim.replica_options import PLAIN, ReplicaOptions
from cluster_sim.sim.router import Router
from cluster_sim.sim.timetable import timetable
from cluster_sim.topology import ParallelPaths, Route
from cluster_sim.workload.random_streams import stream
from tests.laws import test_conservation as laws
from tests.laws import test_stretches_equal_steps as steps_laws
from tests.laws.test_conservation import column, merged, run
from tests.machines import SMALL_GPU, engine, node, small_gpu

pytestmark = pytest.mark.slow

POLICIES = get_args(Disaggregation.model_fields["policy"].annotation)
TRANSFERS = get_args(Disaggregation.model_fields["kv_transfer"].annotation)
PREFIX = {"shared_prefix": {"tokens": 50, "groups": 3}}

# What may be switched on: keys of the decode pool, of the prefill pool, and of the workload.
FEATURES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}, {}),
    "prefix_caching": ({"kv": {"prefix_caching": True}}, {"kv": {"prefix_caching": True}}, PREFIX),
    "speculation": ({"replica": {"speculation": {"draft_tokens": 2, "acceptance": 0.6, "draft_cost": 0.1}}}, {}, {}),
    "swap": ({"kv": {"preemption": "swap"}}, {}, {}),
    "watermark": ({"kv": {"watermark": 0.1}}, {"kv": {"watermark": 0.1}}, {}),
    "priority": (
        {"batching": {"order": "priority"}}, {"batching": {"order": "priority"}},
        {"classes": [{"name": "urgent", "share": 0.3}, {"name": "other", "share": 0.7, "priority": 5}]},
    ),
}  # fmt: skip


def pools(machine: str, feature: str, link: str) -> list[dict[str, Any]]:
    """Two replicas that decode, with little room, and two that read, with less; `link` is what
    their nodes are reached over.
    """
    decode, prefill, _ = FEATURES[feature]
    made = []
    for role, changes, capacity in (("decode", decode, "310 kB"), ("prefill", prefill, "300 kB")):
        device: dict[str, Any] = SMALL_GPU | {
            "memory": {"capacity": capacity, "bandwidth": "1 GB/s"}
        }
        replica: dict[str, Any] = {"engine": engine(max_sequences=12), "role": role}
        if machine == "wafer" and role == "decode":
            device, replica = laws.WAFER, replica | {"wafers": 1}
        own = node(device, 2)
        own["network"]["links"][0]["bandwidth"] = link
        made.append(merged({"name": role, "node": own, "replica": replica}, changes))
    return made


def handed(
    tmp_path: Path, arrivals: str = "burst", machine: str = "gpu", feature: str = "plain", link: str = "1 GB/s", plan: dict[str, Any] | None = None,
    **changes: Any,
) -> cluster_sim.Results:  # fmt: skip
    cluster = {"pools": pools(machine, feature, link), "router": {"policy": "least_work"}} | (
        {"disaggregation": plan} if plan else {}
    )
    workload = {
        "arrivals": laws.ARRIVALS[arrivals],
        "prompt_tokens": {"distribution": "lognormal", "median": 60, "sigma": 0.9},
        "output_tokens": {"distribution": "uniform", "low": 1, "high": 60},
    } | FEATURES[feature][2]
    return run(tmp_path, arrivals, "", cluster=cluster, workload=workload, **changes)


CASES: list[dict[str, Any]] = [{"arrivals": arrivals} for arrivals in laws.ARRIVALS]
CASES += [
    {"feature": feature, "machine": machine} for feature in FEATURES for machine in ("gpu", "wafer")
]
CASES += [
    {"plan": {"policy": policy, "kv_transfer": transfer}, "link": "2 MB/s"}
    for policy in POLICIES
    for transfer in TRANSFERS
]


def name_of(case: dict[str, Any]) -> str:
    return "-".join(
        "-".join(value.values()) if isinstance(value, dict) else value for value in case.values()
    )


@pytest.fixture(params=CASES, ids=name_of)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


def test_the_laws_hold(tmp_path: Path, case: dict[str, Any]) -> None:
    results = handed(tmp_path, **case)
    nothing_is_lost(results)
    who_is_handed_over_is_decoded_elsewhere(results)
    laws.a_request_arrives_is_admitted_answered_and_finished_in_that_order(results)
    laws.every_token_is_accounted_for(results)
    kv_never_exceeds_the_room(results)
    no_replica_idles_while_a_request_waits(results)
    laws.littles_law_holds_exactly(results)
    laws.gaps_between_tokens_add_up_to_the_time_decoded(results)
    no_link_carries_more_than_it_can(results)


def nothing_is_lost(results: cluster_sim.Results) -> None:
    status, summary = column(results, "status"), results.summary()
    assert len(status) > 100
    assert summary["completed"] + summary["failed"] + summary["rejected"] == int(
        np.sum(column(results, "counted"))
    )
    decode, prefill = (
        build_scheduler(deployment).longest for deployment in results.fleet.deployments
    )
    prompt, output = column(results, "prompt_tokens"), column(results, "output_tokens")
    too_long = (prompt > prefill) | ((output > 1) & (prompt + output - 1 > decode))
    assert np.array_equal(status == "rejected", too_long)
    assert np.array_equal(status == "finished", ~too_long)


def who_is_handed_over_is_decoded_elsewhere(results: cluster_sim.Results) -> None:
    done, output = column(results, "status") == "finished", column(results, "output_tokens")
    replica, reader = column(results, "replica"), column(results, "prefill_replica")
    moved = done & (output > 1)
    assert set(replica[moved]) == {0, 1} and set(reader[moved]) == {2, 3}
    assert set(replica[done & (output == 1)]) <= {2, 3} and np.all(np.isnan(reader[~moved]))
    waited_s, moving_s = column(results, "hand_over_wait_s"), column(results, "kv_transfer_s")
    assert (
        np.array_equal(~np.isnan(moving_s), moved)
        and np.all(waited_s[moved] >= 0)
        and np.all(moving_s[moved] >= 0)
    )
    assert np.all(
        (waited_s + moving_s)[moved]
        <= (column(results, "finish_s") - column(results, "first_token_s"))[moved]
    )
    events = results.events.to_pydict()
    rows = {
        number: (replica, value)
        for what, number, replica, value in zip(
            events["what"], events["request"], events["replica"], events["value"], strict=True
        )
        if what == "handed_over"
    }
    assert sorted(rows) == list(np.nonzero(moved)[0])
    for number, (target, gap_s) in rows.items():
        assert target == replica[number] and gap_s == pytest.approx(
            (waited_s + moving_s)[number], abs=1e-12
        )


def kv_never_exceeds_the_room(results: cluster_sim.Results) -> None:
    table = results.stretches
    held = table["kv_tokens"].to_numpy() + table["steps"].to_numpy() * (
        table["growth"].to_numpy() + table["prompt_tokens"].to_numpy()
    )
    room = [deployment.kv_tokens for deployment in results.fleet.deployments for _ in range(2)]
    assert np.all(held <= np.array(room)[table["replica"].to_numpy()] + 1e-6)


def no_replica_idles_while_a_request_waits(results: cluster_sim.Results) -> None:
    """A pause is ended by an arrival, by KV that comes, or by KV that goes and leaves room for a
    prompt.
    """
    table, events = results.stretches, results.events
    over = events["what"].to_numpy(zero_copy_only=False) == "handed_over"
    at_s, target, number = (
        events[name].to_numpy()[over] for name in ("at_s", "replica", "request")
    )
    source = column(results, "prefill_replica")[number]
    for replica in range(4):
        mine = table["replica"].to_numpy() == replica
        began_s, ended_s = table["began_s"].to_numpy()[mine], table["ended_s"].to_numpy()[mine]
        assert np.all(began_s[1:] - ended_s[:-1] >= -1e-9 * ended_s[:-1])
        woken_s = np.concatenate(
            [
                at_s[target == replica],
                at_s[source == replica],
                column(results, "arrival_s") if replica > 1 else [],
            ]
        )
        for pause in np.nonzero(began_s[1:] - ended_s[:-1] > 1e-9)[0]:
            assert np.min(np.abs(woken_s - began_s[pause + 1])) < 1e-9


def no_link_carries_more_than_it_can(results: cluster_sim.Results) -> None:
    if (
        results.scenario.cluster.disaggregation is not None
        and results.scenario.cluster.disaggregation.kv_transfer == "off"
    ):
        assert not np.any(results.links["kv_bytes"].to_numpy())
        return
    assert np.all(
        results.links["kv_bytes"].to_numpy()
        <= results.links["bandwidth_bytes_per_s"].to_numpy() * results.info.simulated_s
    )
    moved = column(results, "prompt_tokens")[~np.isnan(column(results, "prefill_replica"))]
    (door,) = (
        row
        for row in results.links.to_pylist()
        if {row["from"], row["to"]} == {"front_door", "decode/0"}
    )
    # two layers, key and value of two heads of 16, two bytes each
    assert door["kv_bytes"] == pytest.approx(256 * int(np.sum(moved)))


def test_the_workloads_above_do_preempt_wait_for_room_and_queue_on_links(tmp_path: Path) -> None:
    """Otherwise the laws would say little."""
    summary = handed(tmp_path, link="2 MB/s").summary()
    assert summary["pools"]["decode"]["preemptions"] > 10
    assert summary["pools"]["prefill"]["preemptions"] == 0
    assert summary["max_hand_over_wait_ms"] > 10
    assert (
        summary["max_kv_transfer_ms"] > 3 * 1e3 * 300 * 256 / 2e6 / 2
    )  # thrice the last layer of a long prompt
    assert summary["rejected"] > 0


def test_stepping_changes_nothing_but_the_number_of_events(
    tmp_path: Path, case: dict[str, Any]
) -> None:
    stretch, step = (
        handed(tmp_path, **case, stepping=stepping) for stepping in ("stretch", "step")
    )
    assert np.array_equal(column(stretch, "status"), column(step, "status"))
    done = column(stretch, "status") == "finished"
    assert np.array_equal(column(stretch, "replica")[done], column(step, "replica")[done])
    for name in ("first_token_s", "finish_s"):
        np.testing.assert_allclose(column(stretch, name)[done], column(step, name)[done], rtol=1e-9)
    for name in ("hand_over_wait_s", "kv_transfer_s"):
        np.testing.assert_allclose(column(stretch, name)[done], column(step, name)[done], atol=1e-9)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        handed(tmp_path, feature="prefix_caching", link="2 MB/s").save(tmp_path / folder)
    for name in TABLES:
        assert (tmp_path / "one" / f"{name}.parquet").read_bytes() == (
            tmp_path / "two" / f"{name}.parquet"
        ).read_bytes()


links = st.fixed_dictionaries({
    "bytes_per_s": st.sampled_from([1e6, 1e8, 1e12]),
    "latency_s": st.sampled_from([0.0, 1e-5, 3e-3]),
    "transfer": st.sampled_from(TRANSFERS),
    "policy": st.sampled_from(POLICIES),
    "prefill_blocks": st.integers(4, 60),
    "decoders": st.integers(1, 3),
    "readers": st.integers(1, 2),
})  # fmt: skip


@dataclass(frozen=True)
class Cluster:
    """Replicas of both roles with a fabric between them, and the router in front."""

    env: Environment
    recorder: Recorder
    decoders: list[DecodeReplica]
    readers: list[PrefillReplica]
    transfers: KvTransfers
    router: Router

    @property
    def everyone(self) -> list[Any]:
        return [*self.decoders, *self.readers]


def make_cluster(
    limit: dict[str, Any], feature: dict[str, Any], link: dict[str, Any], *, stepping: bool
) -> Cluster:
    """Replicas whose blocks are counted between any two steps."""
    env, recorder = Environment(), Recorder()
    speculates = steps_laws.drafting_of(limit, feature) is not None

    @cache
    def prefill_times_at(pace: OperatingPoint) -> GpuSteps:
        return GpuSteps(steps_laws.model_of(limit), small_gpu().at(pace))

    @cache
    def decode_times_at(pace: OperatingPoint) -> StepTimes:
        times = prefill_times_at(pace)
        return (
            SpeculativeSteps(times, Drafts(feature["drafts"], share=0.1)) if speculates else times
        )

    def audited_scheduler() -> DecodeScheduler:
        scheduler = steps_laws.audited(
            decode_scheduler(limit, feature), limit["blocks"], feature["swap_blocks"]
        )
        assert isinstance(scheduler, DecodeScheduler)
        return scheduler

    options = ReplicaOptions(max_steps=1) if stepping else PLAIN
    rebuilt = options._replace(rebuild=audited_scheduler)
    decoders = [
        DecodeReplica(env, number, audited_scheduler(), decode_times_at, recorder, rebuilt)
        for number in range(link["decoders"])
    ]
    buses = {
        f"memory {number}": MemoryBus(1e9) for number in range(link["decoders"] + link["readers"])
    }
    fabric = Fabric(env, lambda _: link["bytes_per_s"], buses, recorder)
    capacity = DecodeCapacity({decoder.number: decoder.longest for decoder in decoders})
    transfers = KvTransfers(
        env,
        decoders,
        capacity,
        TransferPolicy(Disaggregation(policy=link["policy"]).chooser(), link["transfer"]),
        KvPaths(
            cache(lambda start, end: lanes(start.replica, end.replica, link["latency_s"])),
            lambda tokens, _: 256.0 * tokens,
            lambda _: 2,
        ),
        recorder,
        fabric,
    )
    step_by_step = ReplicaOptions(max_steps=1) if link["transfer"] == "layers" else options
    build_prefill = partial(prefill_scheduler, limit, feature, link)
    readers = [
        PrefillReplica(
            env,
            len(decoders) + number,
            build_prefill(),
            prefill_times_at,
            recorder,
            step_by_step._replace(rebuild=build_prefill),
            decoding=capacity,
        )
        for number in range(link["readers"])
    ]
    router = Router(
        env,
        LeastRequests().picker(stream(0, "routing")),
        readers,
        [FrontEnd(env, reader, FrontEndCosts(), 0.0) for reader in readers],
        recorder,
    )
    cluster = Cluster(env, recorder, decoders, readers, transfers, router)
    for replica, memory in zip(cluster.everyone, buses, strict=True):
        for listener in (capacity, transfers, fabric, router):
            replica.subscribe(listener)
        fabric.join(replica, memory)
    return cluster


def nothing_is_left(cluster: Cluster) -> None:
    """No replica holds, expects or promises anything."""
    for replica in cluster.everyone:
        assert (
            replica._scheduler.blocks_taken()
            == replica._scheduler.pending_tokens
            == replica._scheduler.pending_prompt_tokens
            == replica.requests
            == 0
        )


def hand_all_over(
    requests: list[Request],
    limit: dict[str, Any],
    feature: dict[str, Any],
    link: dict[str, Any],
    stepping: bool,
) -> Recorder:
    """All requests served to their end."""
    cluster = make_cluster(limit, feature, link, stepping=stepping)
    cluster.env.process(timetable(cluster.env, iter(requests), cluster.router.route))
    cluster.env.run()
    nothing_is_left(cluster)
    return cluster.recorder


def lanes(start: int, end: int, latency_s: float) -> ParallelPaths:
    """From the memory of one replica over a link of its own and one of the other to that one's
    memory.
    """
    memories = f"memory {start}", f"memory {end}"
    return ParallelPaths(
        [Route(memories, (memories,), latency_s, 1e9)],
        dict.fromkeys((*memories, f"out of {start}", f"into {end}"), 1),
        memories,
    )


def decode_scheduler(limit: dict[str, Any], feature: dict[str, Any]) -> DecodeScheduler:
    drafting = steps_laws.drafting_of(limit, feature)
    drafts = limit["max_sequences"] * feature["drafts"] if drafting else 0
    kv_cache = steps_laws.kv_cache_of(
        limit,
        watermark=feature["watermark"],
        prefix_caching=feature["prefix_caching"],
        swap_blocks=feature["swap_blocks"],
        swap_block_s=1e-4,
    )
    policy = steps_laws.batching_of(limit, order=feature["order"])
    limits = steps_laws.limits_of(limit, drafts)
    scheduler = policy.scheduler(limits, kv_cache, "decode", drafting)
    assert isinstance(scheduler, DecodeScheduler)
    return scheduler


def prefill_scheduler(
    limit: dict[str, Any], feature: dict[str, Any], link: dict[str, Any]
) -> PrefillScheduler:
    """A scheduler that counts its blocks after each step: those of prompts that are being read or have
    been read and not yet sent.
    """

    class Audited(PrefillScheduler):
        __slots__ = ()

        def advance(self, steps: int, now_s: float) -> list[Request]:
            finished = super().advance(steps, now_s)
            taken = self.blocks_taken()
            assert 0 <= taken <= link["prefill_blocks"]
            own = sum(self._kv.blocks_for(tokens) for tokens in self._kept.values())
            own += self._kv.partial_blocks
            if not self._kv.caches_prefixes:
                assert taken == own
            else:
                assert taken <= own  # what they share counts once
                self._kv.forget_until(link["prefill_blocks"] - taken)
                assert taken + sum(self._kv.count_queue()) == link["prefill_blocks"]
            assert not self.output.preempted
            return finished

    kv_cache = steps_laws.kv_cache_of(
        limit | {"blocks": link["prefill_blocks"]},
        watermark=feature["watermark"],
        prefix_caching=feature["prefix_caching"],
    )
    policy = steps_laws.batching_of(limit, order=feature["order"])
    scheduler = policy.scheduler(steps_laws.limits_of(limit), kv_cache, "prefill")
    scheduler.__class__ = Audited
    assert isinstance(scheduler, PrefillScheduler)
    return scheduler


@settings(parent=steps_laws.SETTINGS, max_examples=120)
@example(  # with drafts the blocks are a mean, which exceeds the cache by one for a step
    gaps=[(0.0, 16, 23), (0.0, 22, 20), (0.0, 40, 2)],
    limit={
        "blocks": 21,
        "block_tokens": 4,
        "max_sequences": 2,
        "budget": 41,
        "chunked": False,
        "window": 0,
    },
    feature={
        "static": False,
        "drafts": 1,
        "acceptance": 0.0,
        "prefix_caching": True,
        "order": "fcfs",
        "batch_wait_timeout_iterations": 0,
        "batch_wait_max_tokens_ratio": 0.1,
        "watermark": 0.0,
        "swap_blocks": 100,
        "offload": (),
    },
    link={
        "bytes_per_s": 1e6,
        "latency_s": 0.0,
        "transfer": "layers",
        "policy": "least_kv",
        "prefill_blocks": 11,
        "decoders": 1,
        "readers": 1,
    },
)
@given(steps_laws.jobs, steps_laws.limits, steps_laws.features, links)
def test_stretch_and_step_agree_on_every_hand_over_first_token_and_finish(
    gaps: list[tuple[float, int, int]],
    limit: dict[str, Any],
    feature: dict[str, Any],
    link: dict[str, Any],
) -> None:
    longest = min(
        decode_scheduler(limit, feature).longest, prefill_scheduler(limit, feature, link).longest
    )
    seen = []
    for stepping in (False, True):
        requests = [
            one
            for one in steps_laws.make_requests_with(gaps, decode_scheduler(limit, feature))
            if one.footprint <= longest
        ]
        recorder = hand_all_over(requests, limit, feature, link, stepping)
        assert recorder.inside == 0 and not recorder.rejected
        seen.append(requests)
    for stretched, stepped in zip(*seen, strict=True):
        assert (stretched.replica, stretched.prefill_replica, stretched.preemptions) == (
            stepped.replica,
            stepped.prefill_replica,
            stepped.preemptions,
        )
        assert stretched.prefix_hit_tokens == stepped.prefix_hit_tokens
        for name in ("admitted_s", "first_token_s", "read_s", "sending_s", "landed_s", "finish_s"):
            assert getattr(stretched, name) == pytest.approx(
                getattr(stepped, name), rel=1e-9, nan_ok=True
            )
