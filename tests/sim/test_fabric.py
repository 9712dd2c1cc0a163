"""Transfers over shared links, and replicas whose memories and links they cross, on cases whose
times are known by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from itertools import pairwise
from math import inf

import pytest
from pytest import approx
from simpy import Environment, Timeout

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import build_topology
from cluster_sim.hardware.device import device_named
from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model import Model
from cluster_sim.physics.collectives import all_reduce_s
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.cluster import Cluster
from cluster_sim.scenario.pool import Pool
from cluster_sim.sim.fabric import Fabric
from cluster_sim.sim.host_path import SharedHostPath
from cluster_sim.sim.memory_bus import MemoryBus
from cluster_sim.sim.tenants import Links
from cluster_sim.sim.transfer import Channel, Parties, Transfer
from cluster_sim.topology import ParallelPaths, Route, parallel_paths_between

Sent = tuple[float, str, float]  # when, over which resources, how many bytes


def over(path: str, lanes: int = 1) -> ParallelPaths:
    """A way whose resources are the letters of `path`; the first and the last are the memories at
    its ends.
    """
    route = Route(tuple(path), tuple(pairwise(path)), 0.0, 1.0)
    return ParallelPaths(
        [route] * lanes, {name: lanes * path.count(name) for name in path}, (path[0], path[-1])
    )


def ends_s(sent: list[Sent], capacities: dict[str, float], is_shared: bool = True) -> list[float]:
    """When each of these transfers, which begin at the times given, has been moved."""
    env, recorder = Environment(), Recorder()
    fabric = Fabric(
        env, lambda resource: capacities[str(resource)], {}, recorder, is_shared=is_shared
    )
    ways: dict[str, ParallelPaths] = {}

    def send(number: int, at_s: float, path: str, size: float) -> Generator[Timeout, None, None]:
        yield env.timeout(at_s)
        way = ways.setdefault(path, over(path))
        fabric.supply(fabric.begin("kv", way, Parties(0, 1, number), lambda: None), size)

    for number, one in enumerate(sent):
        env.process(send(number, *one))
    env.run()
    ended = {number: ended_s for _, _, _, number, _, _, ended_s, _ in recorder.transfers}
    assert sum(row[4] for row in recorder.transfers) == approx(sum(size for _, _, size in sent))
    return [ended[number] for number in range(len(sent))]


TIMES: list[tuple[list[Sent], list[float]]] = [
    ([(0, "a", 10)], [1.0]),
    # one after the other on the same way
    ([(0, "a", 10), (0, "a", 5)], [1.0, 1.5]),
    # on two ways that share a link: 5 each until one has ended at 2, then the other alone
    ([(0, "ab", 10), (0, "ac", 15)], [2.0, 2.5]),
    # 10 alone until 0.5, 5 each until the second has its 5 at 1.5, then the first with its last 5
    ([(0, "ab", 15), (0.5, "ac", 5)], [2.0, 1.5]),
    # d gives the long way 2, which leaves the short one 8 of a; then all of it
    ([(0, "abd", 4), (0, "ac", 21), (0, "d", 4)], [2.0, 2.5, 2.0]),
    # four ways through one link, 2.5 each; as they end the others get more: 3 x 10/3, 2 x 5, 10
    ([(0, "ab", 2.5), (0, "ac", 7.5), (0, "ae", 12.5), (0, "af", 22.5)], [1.0, 2.5, 3.5, 4.5]),
    # five, of which two meet again at the narrow d: 1, 1, and 8/3 for each of the others; then 8/3
    # + 2/3
    (
        [(0, "agd", 2), (0, "ahd", 2), (0, "ab", 16), (0, "ac", 16), (0, "ae", 16)],
        [2.0, 2.0, 5.2, 5.2, 5.2],
    ),
    # six in two threes that have nothing in common
    (
        [(0, "ab", 10), (0, "ac", 10), (0, "ae", 10), (0, "ig", 10), (0, "ih", 10), (0, "ij", 10)],
        [3.0] * 6,
    ),
]


@pytest.mark.parametrize(("sent", "ended_s"), TIMES)
def test_one_to_six_transfers_end_at_the_times_worked_out_by_hand(
    sent: list[Sent], ended_s: list[float]
) -> None:
    capacities = dict.fromkeys("abcefghij", 10.0) | {"d": 4.0 if len(sent) == 3 else 2.0}
    assert ends_s(sent, capacities) == approx(ended_s)


class Replica:
    """What the fabric sees of one; it keeps what it is told."""

    def __init__(self, is_running: bool, has_rails: bool = False) -> None:
        self.is_running, self.has_rails = is_running, has_rails
        self.told: list[tuple[float, ...]] = []

    def share_memory(self, on_turn: Callable[[bool], None] | None) -> None:
        """It never turns."""

    def set_shares(self, memory: float, links: float, rails: float) -> None:
        self.told.append((memory, links, rails) if self.has_rails else (memory, links))


def told(
    bus: MemoryBus,
    link: float,
    paths: Iterable[str],
    is_running: bool = True,
    links: str = "",
    brought: float = inf,
    is_shared: bool = True,
    rails: tuple[tuple[str, int], ...] = (),
) -> list[tuple[float, ...]]:
    """What a replica with the memory `m` is told while transfers of 10 B each go over these ways,
    whose links all carry `link`.
    """
    env = Environment()
    fabric = Fabric(env, lambda _: link, {"m": bus}, Recorder(), is_shared=is_shared)
    replica = Replica(is_running, bool(rails))
    fabric.join(replica, "m", Links(tuple(links), rails), brought)
    for number, path in enumerate(paths):
        fabric.supply(fabric.begin("kv", over(path), Parties(0, 1, number), lambda: None), 10.0)
    env.run()
    return replica.told


@pytest.mark.parametrize("brought", [inf, 1.0])
def test_steps_have_what_transfers_leave_of_the_memory(brought: float) -> None:
    """Of 16 a transfer takes 2; two of them 4; when both have ended everything is there again."""
    assert told(MemoryBus(16.0), 2.0, ["am"], brought=brought) == [(0.875, 1.0), (1.0, 1.0)]
    assert told(MemoryBus(16.0), 2.0, ["am", "mb"], brought=brought)[0] == (0.75, 1.0)
    # reads and writes, 2 of 16 written: 1 - 0.32 / 8 x 7 / 8 are left; with two streams besides 1 -
    # 0.1
    assert told(MemoryBus(16.0, mix_loss=0.32), 2.0, ["am"], brought=brought)[0][0] == approx(
        0.875 * 0.965, abs=1 / 128
    )
    assert told(MemoryBus(16.0, stream_loss=0.1), 2.0, ["am"], brought=brought)[0][0] == approx(
        0.9 - 0.125, abs=1 / 128
    )
    assert told(MemoryBus(16.0, mix_loss=0.32), 2.0, ["mb"], brought=brought)[0][0] == 0.875


def test_no_transfer_takes_more_of_a_memory_than_an_even_part_while_steps_are_run() -> None:
    assert told(MemoryBus(16.0), 100.0, ["am"])[0] == (0.5, 1.0)
    assert told(MemoryBus(16.0), 100.0, ["am", "mb", "cm"])[0] == (0.25, 1.0)


def test_collectives_are_slowed_by_what_crosses_their_own_links_and_by_nothing_else() -> None:
    """The links `n` and `o` of the replica's first device carry 8, as all others do."""
    assert told(MemoryBus(1e6), 8.0, ["anm"], links="no")[0] == (
        1.0,
        0.5,
    )  # two on one link: half for each
    assert told(MemoryBus(1e6), 8.0, ["anm", "bnm", "cnm"], links="no")[0] == (1.0, 0.25)
    assert told(MemoryBus(1e6), 8.0, ["am"], links="no")[0] == (1.0, 1.0)  # it came another way


def test_two_groups_on_one_switch_do_not_share_a_link() -> None:
    """NVSwitches do not block: what two groups of four have in common is none of their links."""
    topology = build_topology(
        Cluster.model_validate({"pools": [{"name": "a", "node": "dgx-b200"}]})
    )

    def links(devices: Iterable[int]) -> set[object]:
        places = [f"a/0/device{number}" for number in devices]
        return {
            topology.resource(edge)
            for start in places
            for end in places
            if start != end
            for edge in topology.route(start, end).edges
        }

    assert links(range(4)) and not links(range(4)) & links(range(4, 8))
    # KV that goes from one group to the other crosses both groups' links
    lanes = parallel_paths_between(
        topology,
        [f"a/0/device{number}/memory" for number in range(4)],
        [f"a/0/device{number}/memory" for number in range(4, 8)],
    )
    assert set(lanes.uses) & links(range(4)) and set(lanes.uses) & links(range(4, 8))


def test_an_all_reduce_beside_a_transfer_takes_as_much_longer_as_its_share_says() -> None:
    """256 MiB over eight B200, half of the links left: bytes take about twice as long, the start as
    long as before.
    """
    device = device_named("b200-sxm")
    alone, beside = (
        all_reduce_s(device.at(OperatingPoint(links=links)).collectives.all_reduce, 8, 256 * 2**20)
        for links in (1.0, 0.5)
    )
    assert 1.7 * alone < beside < 2.0 * alone
    small, small_beside = (
        all_reduce_s(device.at(OperatingPoint(links=links)).collectives.all_reduce, 8, 2**10)
        for links in (1.0, 0.5)
    )
    assert small_beside < 1.2 * small


def test_a_pipeline_over_two_nodes_pays_the_hop_over_the_network() -> None:
    """Two stages of eight B200 each: 8192 x 2 B a token over 8 x 46 GB/s and 11 us, instead of
    NVLink's.
    """
    model = Model.model_validate(read_model("llama-3.3-70b"))
    plan = {"tensor_parallel": 8, "pipeline_parallel": 2, "weights": "fp8", "engine": "vllm"}
    pool = Pool.model_validate({"name": "a", "node": "dgx-b200", "nodes": 2, "replica": plan})
    device = pool.node.device
    inside = GpuSteps(
        model,
        device,
        ReplicaLayout(
            tensor_parallel=8, pipeline_parallel=2, weights="fp8", engine=pool.replica.engine.name
        ),
    )
    deployment = Deployment(pool, model)
    hop = deployment.target.hops_between_nodes
    assert hop == (1, approx(8e-6), approx(8 * 46e9))
    tokens = 4096
    longer_s = deployment.step_times.tokens_s(tokens, tokens) - inside.tokens_s(tokens, tokens)
    assert device.peer_bandwidth_bytes_per_s is not None
    over_nvlink_s = device.peer_latency_s + tokens * 16384 / 8 / device.peer_bandwidth_bytes_per_s
    assert longer_s == approx(8e-6 + tokens * 16384 / (8 * 46e9) - over_nvlink_s)
    on_one_node = Pool.model_validate(
        {"name": "a", "node": "dgx-b200", "replica": plan | {"tensor_parallel": 4}}
    )
    assert Deployment(on_one_node, model).target.hops_between_nodes.times == 0


def test_a_swap_beside_other_traffic_takes_as_much_longer_as_its_share_says() -> None:
    env = Environment()
    fabric = Fabric(env, lambda _: 10.0, {}, recorder := Recorder())
    to_host = SharedHostPath(fabric, over("dph"), "swap", 0, 10.0)
    assert to_host.moved_s(2.0) == 2.0
    env.run()
    assert env.now == approx(2.0)
    fabric.supply(fabric.begin("kv", over("mph"), Parties(1, 0, 0), lambda: None), 100.0)
    env.run(until=3.0)
    assert to_host.moved_s(2.0) == approx(4.0)
    env.run()
    # half of the link each until 7, when 20 have been swapped
    assert [(row[0], row[6]) for row in recorder.transfers] == [
        ("swap", approx(2.0)),
        ("swap", approx(7.0)),
        ("kv", approx(14.0)),
    ]


def test_a_mark_is_not_passed_by_a_rounding_of_the_clock() -> None:
    """At 500 s the clock is exact to 1e-13 s, in which 184 GB/s move a hundredth of a byte: then the
    first transfer is through and the one behind it is not.
    """
    ends = "out", "in"
    paths = ParallelPaths([Route(ends, (ends,), 0.0, 184e9)], {"out": 1, "in": 1}, ends)
    channel = Channel("kv", paths, 184e9)
    first, second = (Transfer(channel, Parties(0, 1, n), lambda: None, 500.0) for n in (1, 2))
    channel.supply(first, 1e6, 0.0, is_whole=True)
    channel.supply(second, 3e6, 0.0, is_whole=True)
    channel.moved = 1e6 - 0.02
    assert channel.arrive() == [first]
    assert channel.left == 3e6
    assert channel.arrive() == [second]


@pytest.mark.parametrize(("sent", "_"), TIMES)
def test_transfers_that_share_nothing_end_as_each_would_alone(sent: list[Sent], _: object) -> None:
    capacities = dict.fromkeys("abcefghij", 10.0) | {"d": 4.0 if len(sent) == 3 else 2.0}
    alone_s = [at_s + size / min(capacities[name] for name in path) for at_s, path, size in sent]
    assert ends_s(sent, capacities, is_shared=False) == approx(alone_s)
    for each in sent:  # with one transfer at a time nothing differs
        assert ends_s([each], capacities) == ends_s([each], capacities, is_shared=False)


def test_steps_beside_transfers_that_share_nothing_have_all_of_memory_and_links() -> None:
    assert set(told(MemoryBus(16.0), 2.0, ["am", "mb"], is_shared=False)) == {(1.0, 1.0)}
    assert set(told(MemoryBus(1e6), 8.0, ["anm"], links="no", is_shared=False)) == {(1.0, 1.0)}


def test_a_swap_beside_traffic_that_shares_nothing_takes_as_long_as_alone() -> None:
    env = Environment()
    fabric = Fabric(env, lambda _: 10.0, {}, recorder := Recorder(), is_shared=False)
    to_host = SharedHostPath(fabric, over("dph"), "swap", 0, 10.0)
    fabric.supply(fabric.begin("kv", over("mph"), Parties(1, 0, 0), lambda: None), 100.0)
    env.run(until=1.0)
    assert to_host.moved_s(2.0) == 2.0
    env.run()
    assert [(row[0], row[6]) for row in recorder.transfers] == [
        ("swap", approx(3.0)),
        ("kv", approx(10.0)),
    ]


def test_a_degraded_link_slows_transfers_that_share_nothing() -> None:
    env = Environment()
    fabric = Fabric(env, lambda _: 10.0, {}, recorder := Recorder(), is_shared=False)
    for _ in range(2):
        fabric.supply(fabric.begin("kv", over("ab"), Parties(0, 1, 0), lambda: None), 20.0)
    env.run(until=1.0)
    fabric.keep_share("a", 0.5)
    env.run()
    assert [row[6] for row in recorder.transfers] == approx([3.0, 3.0])  # 10 at once, 10 at 5


@pytest.mark.parametrize(
    ("devices", "share"),
    [(1, 0.5), (8, 8 / 9)],  # one transfer beside one device of the group, or beside eight
)
def test_the_exchange_of_a_group_gets_the_fair_share_of_a_rail_that_a_transfer_leaves(
    devices: int, share: float
) -> None:
    bus = MemoryBus(1e6, 0.0, 0.0)
    shares = told(bus, 100.0, ["mr"], rails=(("r", devices),))
    assert shares[0][1:] == pytest.approx((1.0, share), abs=1 / 64)
    assert shares[-1] == (1.0, 1.0, 1.0)
