"""Blocks of the KV cache, counted sequence by sequence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster_sim.serving.kv_cache.allocator import KvRoom


@given(
    st.integers(1, 16),
    st.lists(st.tuples(st.integers(-40, 40), st.booleans()), max_size=30),
    st.integers(0, 100),
)
def test_blocks_taken_are_those_of_each_sequence_rounded_up(
    block: int, sequences: list[tuple[int, bool]], clock: int
) -> None:
    room, staying = KvRoom(10_000, block), []
    for offset, leaves in sequences:
        offset += 41 - clock if offset + clock < 1 else 0
        room.join(offset, 1)
        if leaves:
            room.leave(offset, 1)
        else:
            staying.append(offset)
    assert room.taken(clock) == sum(-(-(offset + clock) // block) for offset in staying)
