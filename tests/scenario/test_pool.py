"""Properties of a pool that follow from its plan and its engine."""

from __future__ import annotations

import pytest

from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Document, describe
from tests.machines import engine
from tests.scenarios import make_pool


@pytest.mark.parametrize(
    ("role", "interval", "sends_chunks"),
    [("both", 10, True), ("both", 1, False), ("decode", 10, True), ("prefill", 10, False)],
)
def test_chunks_are_sent_by_the_pool_that_decodes(
    role: str, interval: int, *, sends_chunks: bool
) -> None:
    replica = {"engine": engine(stream_interval=interval), "role": role}
    pool = describe(Pool, Document(make_pool(replica=replica), "test"))
    assert pool.sends_chunks is sends_chunks
