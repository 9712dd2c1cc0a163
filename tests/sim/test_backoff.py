"""Clients that are refused wait longer from refusal to refusal."""

from __future__ import annotations

from typing import Any

import numpy as np

from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_pool, make_scenario

ONE_IN_A_DAY = {"policy": "token_bucket", "rate": "0.00001 /s", "burst": 1, "counts": "requests"}
"""The first request is let in, the others are refused."""


def refused_s(workload: dict[str, Any], duration: str) -> list[float]:
    """Times at which requests are refused [s]."""
    cluster = {"pools": [make_pool()], "admission": ONE_IN_A_DAY}
    results = simulate(make_scenario(workload=workload, duration=duration, cluster=cluster))
    events = results.events.to_pylist()
    return [row["at_s"] for row in events if row["what"] == "rejected"]


def test_a_client_without_think_time_backs_off_twice_as_long_each_time_up_to_a_minute() -> None:
    closed = {"process": "closed_loop", "concurrency": 1, "think_time": "0 s"}
    times_s = refused_s(
        {"arrivals": closed, "prompt_tokens": 100, "output_tokens": 20}, duration="190 s"
    )
    np.testing.assert_allclose(np.diff(times_s), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0])


def test_think_time_comes_on_top() -> None:
    closed = {"process": "closed_loop", "concurrency": 1, "think_time": "10 s"}
    times_s = refused_s(
        {"arrivals": closed, "prompt_tokens": 100, "output_tokens": 20}, duration="60 s"
    )
    np.testing.assert_allclose(np.diff(times_s), [11.0, 12.0, 14.0])


def test_a_session_that_is_refused_is_followed_by_the_next_after_a_back_off() -> None:
    sessions = {
        "concurrency": 1,
        "turns": {"median": 1, "sigma": 0, "max": 1},
        "first_tokens": 20,
        "user_tokens": 10,
        "output_tokens": 5,
        "user_gap": "1 s",
    }
    times_s = refused_s({"sessions": sessions}, duration="20 s")
    np.testing.assert_allclose(np.diff(times_s), [1.0, 2.0, 4.0, 8.0])
