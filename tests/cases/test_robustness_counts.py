"""Case files with counts that once filled the memory, or were worked on until somebody gave up."""

from __future__ import annotations

import pytest

from tests.cases import robustness_case
from tests.commands import call

WHY = "expected at most 200,000: each device has its own states, routes and rows in memory"


def test_22_billion_wafers_of_a_replica_are_refused(capsys: pytest.CaptureFixture[str]):
    path = robustness_case("check-hangs.yaml")
    assert call(capsys, "check", path) == (
        2,
        "",
        f"{path}:20: cluster.pools[0].replica.wafers: got 22000000000; {WHY}\n",
    )


def test_4_billion_nodes_are_refused(capsys: pytest.CaptureFixture[str]):
    path = robustness_case("check-memory-error.yaml")
    assert call(capsys, "check", path) == (
        2,
        "",
        f"{path}:33: cluster.pools[0].nodes: got 4000000000; {WHY}\n",
    )
