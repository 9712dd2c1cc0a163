"""Tiers behind the KV cache: what falls into them, what is fetched and what is read again, by
mental arithmetic and block by block.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.limited_view import causal_pairs
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.offload import Level, TierStore
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler import Continuous, Scheduler, SchedulerLimits
from tests.laws.test_conservation import column
from tests.laws.test_conservation import run as run_law
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node, small_gpu, tiny_model
from tests.serve import serve

TIMES = GpuSteps(tiny_model(), small_gpu())


def ten_blocks(*tiers: Level) -> Scheduler:
    """A scheduler of ten blocks of ten tokens, with these tiers behind them."""
    kv_cache = KVCacheSpec(100, 10, prefix_caching=True, offload=tiers)
    return Continuous().scheduler(SchedulerLimits(8, 200, 4096), kv_cache)


def second_turn(*tiers: Level) -> Request:
    """Ten blocks of ten tokens. A first turn of 50 + 11 tokens leaves six whole ones, a stranger's
    100 tokens take the room of all, and the second turn has 19 fresh tokens behind those 61."""
    requests = [
        Request(0, 0.0, 50, 11, pieces=((1, 50),), output_piece=2),
        Request(1, 10.0, 100, 1, pieces=((3, 100),)),
        Request(2, 20.0, 80, 1, pieces=((1, 50), (2, 11), (4, 19))),
    ]
    serve(
        requests,
        TIMES,
        lambda: ten_blocks(*tiers),
        stepping=False,
    )
    return requests[-1]


def reading_s(tokens: int, behind: int) -> float:
    return TIMES.ramp(
        StepWork(prompt_tokens=tokens, sampled=1, pairs=causal_pairs(tokens, behind))
    ).first_s


def ttft_s(request: Request) -> float:
    return request.first_token_s - request.arrival_s


def test_a_second_turn_waits_for_its_blocks_from_the_host_and_reads_the_rest() -> None:
    request = second_turn(Level(100, 1e-3, True))
    assert (request.fetched_tokens, request.prefix_hit_tokens) == (60, 60)
    assert ttft_s(request) == pytest.approx(6e-3 + reading_s(20, 60), rel=1e-9)


@pytest.mark.parametrize("tiers", [(), (Level(100, 1e-3, False),)])
def test_without_a_tier_or_with_a_slow_one_everything_is_read_again(
    tiers: tuple[Level, ...],
) -> None:
    request = second_turn(*tiers)
    assert (request.fetched_tokens, request.prefix_hit_tokens) == (0, 0)
    assert ttft_s(request) == pytest.approx(reading_s(80, 0), rel=1e-9)


def test_what_falls_out_of_the_host_is_fetched_from_disk() -> None:
    """The host keeps the two blocks that were thrown away last, the first of the prompt; four went
    on to the disk.
    """
    request = second_turn(Level(2, 1e-3, True), Level(100, 5e-3, True))
    assert request.fetched_tokens == 60
    assert ttft_s(request) == pytest.approx(2 * 1e-3 + 4 * 5e-3 + reading_s(20, 60), rel=1e-9)


def test_each_tier_is_asked_for_itself() -> None:
    request = second_turn(Level(2, 1e-3, True), Level(100, 5e-3, False))
    assert request.fetched_tokens == 20
    assert ttft_s(request) == pytest.approx(2 * 1e-3 + reading_s(60, 20), rel=1e-9)


def test_what_falls_out_of_the_last_tier_is_lost() -> None:
    """Of six blocks the host keeps two and the disk one."""
    assert second_turn(Level(2, 1e-3, True), Level(1, 1e-3, True)).fetched_tokens == 30


def test_blocks_that_were_fetched_are_on_the_device_for_the_next() -> None:
    requests = [
        Request(0, 0.0, 50, 1, pieces=((1, 50),)),
        Request(1, 10.0, 100, 1, pieces=((3, 100),)),
        Request(2, 20.0, 60, 1, pieces=((1, 50), (4, 10))),
        Request(3, 30.0, 60, 1, pieces=((1, 50), (5, 10))),
    ]
    serve(
        requests,
        TIMES,
        lambda: ten_blocks(Level(100, 1e-3, True)),
        stepping=False,
    )
    assert [request.fetched_tokens for request in requests] == [0, 0, 50, 0]
    assert [request.prefix_hit_tokens for request in requests] == [0, 0, 50, 50]


class BlockByBlock:
    """Tiers as sets of blocks, filled and emptied one block at a time."""

    def __init__(self, levels: tuple[Level, ...]) -> None:
        self.levels, self.tiers = levels, [OrderedDict[int, set[int]]() for _ in levels]

    def put(self, piece: int, block: int, place: int = 0) -> None:
        if place == len(self.tiers):
            return
        tier = self.tiers[place]
        blocks = tier.setdefault(piece, set())
        tier.move_to_end(piece)
        blocks.add(block)
        blocks.update(range(min(blocks), max(blocks) + 1))
        while sum(map(len, tier.values())) > self.levels[place].blocks:
            oldest = next(iter(tier))
            lost = max(tier[oldest])
            tier[oldest].remove(lost)
            if not tier[oldest]:
                del tier[oldest]
            self.put(oldest, lost, place + 1)

    def find(self, piece: int, begin: int) -> tuple[int, float]:
        block, seconds = begin, 0.0
        while (
            level := next(
                (
                    level
                    for level, tier in zip(self.levels, self.tiers, strict=True)
                    if block in tier.get(piece, ())
                ),
                None,
            )
        ) is not None:
            block, seconds = block + 1, seconds + level.block_s
        return block - begin, seconds


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.booleans()), max_size=40),
)
def test_tiers_keep_what_sets_of_blocks_keep(
    rooms: list[int], moves: list[tuple[int, int, bool]]
) -> None:
    """Pieces of which the devices hold more or fewer blocks from move to move; what they lose goes
    down the tiers.
    """
    levels = tuple(Level(room, 1.0 + place, True) for place, room in enumerate(rooms))
    store, sets, on_device = TierStore(levels), BlockByBlock(levels), dict.fromkeys(range(4), 0)
    for piece, blocks, touched in moves:
        if blocks < on_device[piece]:
            store.put(piece, blocks, on_device[piece])
            for block in reversed(range(blocks, on_device[piece])):
                sets.put(piece, block)
        on_device[piece] = blocks
        if touched:
            store.touch(piece)
            for tier in sets.tiers:
                if piece in tier:
                    tier.move_to_end(piece)
        for each, held in on_device.items():
            assert store.find(each, held, 99) == (*sets.find(each, held), 0)


def pool(tensor: int = 1, **kv: Any) -> dict[str, Any]:
    return {
        "name": "p",
        "node": node(SMALL_GPU, tensor),
        "kv": kv,
        "replica": {"tensor_parallel": tensor, "engine": engine()},
    }


def load(tmp_path: Path, pool: dict[str, Any]) -> cluster_sim.Scenario:
    text = {
        "name": "offload", "model": TINY_MODEL, "cluster": {"pools": [pool]},
        "workload": {"arrivals": {"process": "at_once", "requests": 1}, "prompt_tokens": 5, "output_tokens": 5},
    }  # fmt: skip
    path = tmp_path / "offload.yaml"
    path.write_text(json.dumps(text))
    return cluster_sim.load_scenario(path)


def test_a_block_is_counted_over_all_devices_and_a_tier_that_is_slower_than_reading_is_left(
    tmp_path: Path,
) -> None:
    """Two devices hold 128 bytes of each token, 4,096 of a block of 16. A prompt of 512 tokens is
    read in full steps.
    """
    host, disk = (
        {"tier": "host", "capacity": "1 MB", "bandwidth": "1 GB/s"},
        {"tier": "nvme", "capacity": "4 MB", "bandwidth": "1 kB/s"},
    )
    scenario = load(tmp_path, pool(tensor=2, prefix_caching=True, offload=[host, disk]))
    one, other = resolve(scenario).deployments[0].offload
    assert one == (244, pytest.approx(4.096e-6), True)
    assert other == (976, pytest.approx(4.096), False)
    block_reading_s = 16 / resolve(scenario).deployments[0].prefill_tokens_per_s
    for factor, is_fetched in ((0.99, False), (1.01, True)):
        as_fast = host | {"bandwidth": f"{factor * 4096 / block_reading_s} B/s"}
        scenario = load(tmp_path, pool(tensor=2, prefix_caching=True, offload=[as_fast]))
        assert resolve(scenario).deployments[0].offload[0].is_fetched is is_fetched


@pytest.mark.parametrize(
    ("kv", "message"),
    [
        (
            {"offload": [{}]},
            r"kv.offload: got tiers without prefix caching, so that no block is ever reused; expected prefix_caching: true",
        ),
        (
            {"prefix_caching": True, "offload": [{}, {}]},
            r"kv.offload\[1\].tier: got 'host' twice; expected different tiers",
        ),
        (
            {"prefix_caching": True, "offload": [{"capacity": "4 kB"}]},
            r"kv.offload\[0\].capacity: got 4000 B; expected at least one block of 4096 B",
        ),
        (
            {"prefix_caching": True, "offload": [{"bandwidth": "0 B/s"}]},
            r"kv.offload\[0\].bandwidth: ",
        ),
        (
            {"prefix_caching": True, "offload": [{"tier": "tape"}]},
            r"kv.offload\[0\].tier: got 'tape'; expected one of host, nvme",
        ),
        ({"prefix_caching": True, "offload": [{"latency": "1 s"}]}, r"kv.offload\[0\]"),
    ],
)
def test_tiers_that_cannot_be_are_refused(tmp_path: Path, kv: dict[str, Any], message: str) -> None:
    kv = kv | {
        "offload": [
            {"tier": "host", "capacity": "1 MB", "bandwidth": "1 GB/s"} | tier
            for tier in kv["offload"]
        ]
    }
    with pytest.raises(ScenarioError, match=message):
        load(tmp_path, pool(**kv))


def test_the_tables_tell_what_was_fetched_and_the_summary_only_where_there_are_tiers(
    tmp_path: Path,
) -> None:
    results = run_law(tmp_path, "burst", "least_work", feature="offload")
    fetched, hits = column(results, "fetched_tokens"), column(results, "prefix_hit_tokens")
    assert 0 < fetched.sum() < hits.sum()
    assert (fetched <= hits).all()
    counted = column(results, "counted") & (column(results, "status") == "finished")
    expected = fetched[counted].sum() / column(results, "prompt_tokens")[counted].sum()
    assert results.summary()["offload_hit_fraction"] == pytest.approx(expected)
    without = run_law(tmp_path, "burst", "least_work", feature="prefix_caching")
    assert "offload_hit_fraction" not in without.summary()
    assert not column(without, "fetched_tokens").any()
