"""A pool that scales to zero is warned of if its requests always go elsewhere meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios import make_pool, make_scenario

SMALL = {"when": {"prompt_tokens": {"max": 99}}, "to": "main"}
LONG = {"when": {"prompt_tokens": {"min": 100}}, "to": "cheap"}


def warned(router: dict[str, Any], main: dict[str, Any] | None = None, **scale: Any) -> bool:
    """Whether a scenario of an open pool and one at zero has the warning."""
    cheap = make_pool("cheap", autoscale={"metric": "queue", "min": 0, "max": 1} | scale)
    cluster = {"pools": [make_pool("main", **(main or {})), cheap], "router": router}
    return any("never starts again" in text for text in make_scenario(cluster=cluster).warnings())


@pytest.mark.parametrize(
    ("router", "expected"),
    [
        ({"policy": "least_requests"}, True),
        ({"policy": "rules", "rules": [LONG, {"to": "main"}]}, True),
        ({"policy": "rules", "rules": [{"to": ["cheap", "main"]}]}, True),
        ({"policy": "rules", "rules": [LONG, SMALL]}, False),
        ({"policy": "rules", "rules": [{"to": "main"}]}, False),
    ],
)
def test_a_pool_at_zero_needs_requests_of_its_own(
    router: dict[str, Any], *, expected: bool
) -> None:
    assert warned(router) == expected


def test_a_pool_that_starts_by_itself_is_not_warned_of() -> None:
    router = {"policy": "least_requests"}
    assert not warned(router, min=1)
    assert not warned(router, schedule=[{"from": "8 h", "to": "20 h", "min": 1}])
    assert not warned(router, main={"autoscale": {"metric": "queue", "min": 0, "max": 1}})
