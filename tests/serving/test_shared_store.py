"""A store of blocks that replicas share."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_sim.serving.kv_cache.offload import Level, TierStore
from cluster_sim.serving.kv_cache.shared_store import SharedStore, StoredPart, StoreView


class BlockByBlock:
    """A store as a list of single blocks, the least recently used first."""

    def __init__(self, room: int) -> None:
        self.room, self.blocks = room, OrderedDict[tuple[int, int], None]()

    def put(self, parts: list[StoredPart]) -> None:
        """Blocks are used from the last to the first, so that the first are the last to go."""
        for identity, blocks in reversed(parts):
            if blocks:
                self.use(int(str(identity)), blocks)
        while len(self.blocks) > self.room:
            self.blocks.popitem(last=False)

    def use(self, identity: int, blocks: int = 0) -> None:
        known = sum(piece == identity for piece, _ in self.blocks)
        for block in reversed(range(max(blocks, known))):
            self.blocks[identity, block] = None
            self.blocks.move_to_end((identity, block))

    def stored(self, identity: int) -> int:
        return sum(piece == identity for piece, _ in self.blocks)


prompts = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5)),
    min_size=1,
    max_size=3,
    unique_by=lambda p: p[0],
)


@given(
    room=st.integers(1, 14),
    moves=st.lists(st.one_of(prompts, st.integers(0, 4)), max_size=12),
)
def test_it_keeps_what_single_blocks_in_order_of_use_keep(
    room: int, moves: list[list[tuple[int, int]] | int]
) -> None:
    store, blocks = SharedStore(room), BlockByBlock(room)
    for move in moves:
        if isinstance(move, int):
            store.touch(move)
            blocks.use(move)
        else:
            parts = [StoredPart(*part) for part in move]
            store.put(parts)
            blocks.put(parts)
        assert [store.stored(piece) for piece in range(5)] == [
            blocks.stored(piece) for piece in range(5)
        ]
        assert store.taken == len(blocks.blocks) <= room


def test_a_request_takes_blocks_of_its_own_tier_first_and_the_rest_from_the_shared_one() -> None:
    """Three of five blocks are in the host's memory, all five in the store."""
    shared = SharedStore(10)
    shared.put([StoredPart(1, 5)])
    store = TierStore((Level(10, 0.5, True),), StoreView(shared, 0.1, 2.0, 1.0))
    store.put(1, 0, 3)
    assert store.find(1, 0, 99) == (5, 1.5, 2)
    assert store.find(1, 0, 99, shared=False) == (3, 1.5, 0)
    assert store.find(1, 4, 5) == (1, 0.0, 1)
    assert store.find(2, 0, 5) == (0, 0.0, 0)


@pytest.mark.parametrize(("blocks", "is_faster"), [(2, False), (3, True)])
def test_few_blocks_are_recomputed_if_the_store_answers_late(blocks: int, is_faster: bool) -> None:
    """2 s and 0.2 s per block against 1 s per block: 2.4 s for two, 2.6 s for three."""
    assert StoreView(SharedStore(1), 0.2, 2.0, 1.0).is_faster(blocks) is is_faster
