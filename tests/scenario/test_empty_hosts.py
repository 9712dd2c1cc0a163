"""A node that starts or was repaired has no weights in its memory: files that assume so are warned."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios import make_pool, make_scenario

EVENT: dict[str, Any] = {"at": "5 s", "lasts": "2 s", "what": "node_failure", "where": "gpus/0"}
SCALED: dict[str, Any] = {"metric": "queue", "target": 2, "min": 1, "max": 2}


def warned(pool: dict[str, Any], **site: Any) -> list[str]:
    scenario = make_scenario(cluster={"pools": [pool]}, **({"site": site} if site else {}))
    return [text for text in scenario.warnings() if "memory of the host" in text]


@pytest.mark.parametrize(
    ("pool", "site", "cause"),
    [
        (make_pool(), {"events": [EVENT]}, "a failure of its node"),
        (make_pool(), {"events": [EVENT | {"what": "spot_reclaim"}]}, "a failure of its node"),
        (make_pool(), {"failures": {"node": {"mtbf": "9 h", "repair": "1 h"}}}, "a failure"),
        (make_pool(nodes=2, autoscale=SCALED), {}, "a start of its node"),
    ],
)
def test_weights_of_a_node_that_has_just_started_are_not_in_its_memory(
    pool: dict[str, Any], site: dict[str, Any], cause: str
) -> None:
    (text,) = warned(pool, **site)
    assert cause in text and "weights_at: disk or network" in text


@pytest.mark.parametrize(
    ("pool", "event"),
    [
        (make_pool(), EVENT | {"what": "device_failure", "where": "gpus/0/device0"}),
        (make_pool(), {key: value for key, value in EVENT.items() if key != "lasts"}),
        (make_pool(), EVENT | {"where": "other/0"}),
    ],
    ids=["device", "not repaired", "other node"],
)
def test_hosts_that_keep_their_memory_or_do_not_come_back_are_not_warned_of(
    pool: dict[str, Any], event: dict[str, Any]
) -> None:
    pools = [pool, make_pool("other", replica=pool["replica"] | {"weights_at": "network"})]
    scenario = make_scenario(cluster={"pools": pools}, site={"events": [event]})
    assert not [text for text in scenario.warnings() if "memory of the host" in text]
