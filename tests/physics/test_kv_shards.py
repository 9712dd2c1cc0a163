"""Devices of one layout send the parts of a KV cache that devices of another layout hold."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest

from cluster_sim.physics.kv_shards import KvShards, device_pairs

SIZES = (1, 2, 4, 8, 16)
LAYERS = 16


def held(shards: KvShards, device: int) -> set[tuple[int, int]]:
    """The (layer, part) that a device holds: layers of its stage, and its share of the parts."""
    stage, rank = divmod(device, shards.tensor)
    per_stage = LAYERS // shards.stages
    layers = range(stage * per_stage, (stage + 1) * per_stage)
    if shards.parts >= shards.tensor:
        per_device = shards.parts // shards.tensor
        parts = range(rank * per_device, (rank + 1) * per_device)
    else:
        copied = rank // (shards.tensor // shards.parts)
        parts = range(copied, copied + 1)
    return set(product(layers, parts))


@pytest.mark.parametrize("parts", [1, 2, 8])
def test_every_device_gets_all_it_holds_from_devices_that_hold_it(parts: int) -> None:
    for tensor, other, stages, others, turn in product(SIZES, SIZES, (1, 2), (1, 4), (0, 3)):
        source, target = KvShards(stages, tensor, parts), KvShards(others, other, parts)
        pairs = device_pairs(source, target, turn)
        for device in range(target.devices):
            wanted, senders = (
                held(target, device),
                [p.sending for p in pairs if p.receiving == device],
            )
            got = [held(source, sender) & wanted for sender in senders]
            assert set().union(*got) == wanted
            # every path carries the same: a device's cache in as many equal pieces as it has paths
            piece = Fraction(len(wanted), len(senders))
            for sender in set(senders):
                assert piece * senders.count(sender) == len(held(source, sender) & wanted)


@pytest.mark.parametrize("parts", [1, 2, 8])
def test_all_devices_at_one_side_have_equally_many_paths(parts: int) -> None:
    """The first path then stands for the load of the others, unless one copy of many is sent."""
    for tensor, other, stages, others in product(SIZES, SIZES, (1, 2), (1, 4)):
        pairs = device_pairs(KvShards(stages, tensor, parts), KvShards(others, other, parts))
        for ends in zip(*pairs, strict=True):
            assert len({ends.count(end) for end in ends}) == 1


@pytest.mark.parametrize(
    ("source", "target", "turn", "pairs"),
    [
        # heads of eight devices meet on four, and go apart again
        (KvShards(1, 4, 8), KvShards(1, 2, 8), 0, [(0, 0), (1, 0), (2, 1), (3, 1)]),
        (KvShards(1, 2, 8), KvShards(1, 4, 8), 0, [(0, 0), (0, 1), (1, 2), (1, 3)]),
        # a latent vector: rank x 8 // 2 of vLLM; a rank of one device reads from the first
        (KvShards(1, 8, 1), KvShards(1, 2, 1), 0, [(0, 0), (4, 1)]),
        (KvShards(1, 8, 1), KvShards(1, 1, 1), 0, [(0, 0)]),
        # rank 11 of TensorRT-LLM reads from 11 mod 8; two devices from the copies with 11 mod 4
        (KvShards(1, 8, 1), KvShards(1, 1, 1), 11, [(3, 0)]),
        (KvShards(1, 8, 1), KvShards(1, 2, 1), 11, [(3, 0), (7, 1)]),
        # two heads on eight devices, four copies of each
        (KvShards(1, 8, 2), KvShards(1, 2, 2), 0, [(0, 0), (4, 1)]),
        # both halves of the layers for each of two devices
        (KvShards(2, 2, 8), KvShards(1, 2, 8), 0, [(0, 0), (1, 1), (2, 0), (3, 1)]),
        # wafers share evenly: the i-th device with the i-th wafer
        (KvShards(1, 2, 8), KvShards(1, 3, 0), 0, [(0, 0), (1, 1), (0, 2)]),
    ],
)
def test_paths_are_those_of_the_engines(
    source: KvShards, target: KvShards, turn: int, pairs: list[tuple[int, int]]
) -> None:
    assert sorted(device_pairs(source, target, turn)) == sorted(pairs)
    assert device_pairs(source, target, turn)[0].receiving == 0
