"""The fluid test of clients that retry, by arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.analysis.hidden_capacity import attempts_in_overload
from tests.scenarios import WORKLOAD, make_scenario

VAIN: dict[str, Any] = {"timeout": {"ttft": "5 s"}, "retries": 2, "server_aborts": False}


@pytest.mark.parametrize(
    ("clients", "attempts"),
    [
        (VAIN, 3.0),
        (VAIN | {"retries": 0}, 1.0),
        (VAIN | {"retry_budget": 0.1}, 1.1),
        (VAIN | {"retry_budget": {"policy": "in_flight", "share": 0.2}}, 1.2),
        (VAIN | {"retry_budget": {"policy": "tokens", "max_tokens": 10, "token_ratio": 0.1}}, 1.0),
        (VAIN | {"retry_on": ["rejected"]}, 1.0),
        (VAIN | {"server_aborts": True}, 1.0),
        (VAIN | {"timeout": {}}, 1.0),
        (None, 1.0),
    ],
)
def test_retries_divide_the_capacity(clients: dict[str, Any] | None, attempts: float) -> None:
    scenario = make_scenario(workload=WORKLOAD | {"clients": clients})
    assert attempts_in_overload(scenario.workload) == pytest.approx(attempts)


def test_classes_count_by_their_shares() -> None:
    classes = [{"name": "chat", "share": 0.25, "clients": VAIN}, {"name": "batch", "share": 0.75}]
    scenario = make_scenario(workload=WORKLOAD | {"classes": classes})
    assert attempts_in_overload(scenario.workload) == pytest.approx(0.25 * 3 + 0.75)
