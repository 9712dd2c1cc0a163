"""The prefix cache alone: recorded prompts, and cases that a pencil settles."""

from __future__ import annotations

import json
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import cluster_sim
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.prefix_cache import PrefixCache
from cluster_sim.workload.shared_prefix import SharedPrefix
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

TRACES = Path(__file__).resolve().parents[3] / "shared" / "traces"
MOONCAKE = TRACES / "mooncake"
needs_traces = pytest.mark.skipif(
    not MOONCAKE.is_dir(),
    reason="the Mooncake traces are not part of the project; they lie in ../shared/traces/mooncake",
)
CONVERSATION, SYNTHETIC, TOOLS = (
    "conversation_trace.first1800s.jsonl",
    "synthetic_trace.jsonl",
    "arxiv_toolagent_excerpt_93rows.jsonl",
)


@cache
def prompts(name: str) -> list[list[int]]:
    with (MOONCAKE / name).open() as lines:
        return [json.loads(line)["hash_ids"] for line in lines]


def serve_alone(cache: PrefixCache, room: int, request: Request, blocks: int) -> int:
    """A request that is read and gone before the next comes; the blocks that it found."""
    found, used = cache.find(request)
    assert used == 0
    request.holds = []
    cache.hold(request, found, computed=False)
    cache.take_until(room - blocks)
    cache.hold(request, blocks, computed=True)
    cache.release(request, blocks, again=False)
    return found


def hit_fraction(name: str, room: int) -> float:
    """Of all blocks of a trace's prompts, those found in a cache of `room` blocks; one token
    follows each prompt, to be read.
    """
    cache, hits, total = PrefixCache(room, 512), 0, 0
    for number, ids in enumerate(prompts(name)):
        request = Request(
            number, 0.0, 512 * len(ids) + 1, 1, pieces=tuple((identity, 512) for identity in ids)
        )
        hits += serve_alone(cache, room, request, len(ids))
        total += len(ids)
    return hits / total


@pytest.mark.slow
@needs_traces
@pytest.mark.parametrize(
    ("name", "room", "fraction"),
    [
        (CONVERSATION, 10**6, None),
        (CONVERSATION, 1_000, None),
        (CONVERSATION, 10_000, None),
        (CONVERSATION, 30_000, None),
        (SYNTHETIC, 10**6, 0.640),
        (SYNTHETIC, 1_000, 0.082),
        (SYNTHETIC, 3_000, 0.188),
        (SYNTHETIC, 10_000, 0.423),
        (SYNTHETIC, 30_000, 0.624),
        (TOOLS, 10**6, 0.353),
    ],
)
def test_recorded_prompts_find_as_many_blocks_as_their_statistics_say(
    name: str, room: int, fraction: float | None
) -> None:
    """The statistics touch a prompt's blocks front to back, the cache throws a prompt's last block
    away first: 0.3 points at most.
    """
    statistics = json.loads((TRACES / "expected_stats.json").read_text())[f"./mooncake/{name}"][
        "prefix"
    ]
    expected = statistics.get(f"lru_{room}", statistics["leading_hit_frac_inf"])
    seen = hit_fraction(name, room)
    assert seen == pytest.approx(expected, abs=0.005)
    if fraction is not None:
        assert seen == pytest.approx(fraction, abs=0.01)


@needs_traces
def test_recorded_prompts_find_exactly_what_a_list_of_recently_used_blocks_holds() -> None:
    """A list of blocks in which each prompt's are touched back to front, one by one."""
    room, recent, hits, total = 2_000, OrderedDict[int, None](), 0, 0
    for ids in prompts(SYNTHETIC):
        total += len(ids)
        hits += next(
            (place for place, identity in enumerate(ids) if identity not in recent), len(ids)
        )
        for identity in reversed(ids):
            recent[identity] = None
            recent.move_to_end(identity)
        while len(recent) > room:
            recent.popitem(last=False)
    assert hit_fraction(SYNTHETIC, room) == pytest.approx(hits / total, abs=1e-12)


def test_one_token_of_a_prompt_is_always_read() -> None:
    cache = PrefixCache(10, 16)
    assert serve_alone(cache, 10, Request(0, 0.0, 64, 1, pieces=((7, 64),)), 4) == 0
    assert cache.find(Request(1, 0.0, 64, 1, pieces=((7, 64),))) == (3, 0)
    assert cache.find(Request(2, 0.0, 65, 1, pieces=((7, 64),))) == (4, 0)


def test_a_block_belongs_to_the_piece_in_which_it_ends() -> None:
    """20 + 20 tokens in blocks of 16: one block ends in the first piece, one in the second, 8
    tokens are in none that is whole.
    """
    cache = PrefixCache(10, 16)
    serve_alone(cache, 10, Request(0, 0.0, 40, 1, pieces=((1, 20), (2, 20))), 3)
    assert cache.find(Request(1, 0.0, 60, 1, pieces=((1, 20), (3, 40)))) == (1, 0)
    assert cache.find(Request(2, 0.0, 60, 1, pieces=((1, 20), (2, 20), (4, 20)))) == (2, 0)


def test_the_oldest_blocks_go_first_and_of_one_prompt_the_last() -> None:
    cache = PrefixCache(8, 1)
    serve_alone(cache, 8, Request(0, 0.0, 4, 1, pieces=((1, 4),)), 4)
    serve_alone(cache, 8, Request(1, 0.0, 4, 1, pieces=((2, 4),)), 4)
    cache.take_until(6)
    assert cache.find(Request(2, 0.0, 9, 1, pieces=((1, 4), (3, 5)))) == (2, 0)
    assert cache.find(Request(3, 0.0, 9, 1, pieces=((2, 4), (4, 5)))) == (4, 0)
    assert cache.cached_free == 6


def scenario(tmp_path: Path, **changes: Any) -> cluster_sim.Scenario:
    text = {
        "name": "prefixes", "seed": 3, "model": TINY_MODEL,
        "workload": {"arrivals": {"process": "at_once", "requests": 50}, "prompt_tokens": 32, "output_tokens": 8, "shared_prefix": {"tokens": 320, "groups": 2}},
        "cluster": {"pools": [{"name": "p", "node": node(SMALL_GPU), "replica": {"engine": engine(max_batched_tokens=352)}, "kv": {"prefix_caching": True}}]},
    } | changes  # fmt: skip
    path = tmp_path / "prefixes.yaml"
    path.write_text(json.dumps(text))
    return cluster_sim.load_scenario(path)


def test_all_but_the_first_request_of_each_group_find_the_system_prompt(tmp_path: Path) -> None:
    """Prompts of 352 tokens, of which 320 are one of two texts: 48 of 50 requests find those."""
    results = cluster_sim.simulate(scenario(tmp_path))
    assert sorted(results.requests["prefix_hit_tokens"].to_pylist()) == [0, 0] + [320] * 48
    assert results.requests["prompt_tokens"].to_pylist() == [352] * 50
    assert results.summary()["prefix_hit_fraction"] == pytest.approx(48 * 320 / (50 * 352))


def test_without_prefix_caching_nothing_is_found(tmp_path: Path) -> None:
    pool = {"name": "p", "node": node(SMALL_GPU), "replica": {"engine": engine()}}
    results = cluster_sim.simulate(scenario(tmp_path, cluster={"pools": [pool]}))
    assert results.requests["prefix_hit_tokens"].to_pylist() == [0] * 50
    assert "prefix_hit_fraction" not in results.summary()


def test_groups_of_requests_are_drawn_evenly_whatever_the_policy() -> None:
    seen: list[Request] = []
    send = SharedPrefix(tokens=10, groups=4).before(seen.append, seed=5)
    for number in range(4_000):
        send(Request(number, 0.0, 5, 1))
    groups = [request.pieces[0][0] for request in seen]
    assert sorted(set(groups)) == [-4, -3, -2, -1]
    assert all(
        abs(groups.count(group) - 1_000) < 5 * (4_000 * 0.25 * 0.75) ** 0.5 for group in set(groups)
    )
