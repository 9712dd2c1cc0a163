"""Draws failures of nodes, devices and links, and reclaims of spot nodes, for random scenarios."""

from __future__ import annotations

from random import Random
from typing import Any

Section = dict[str, Any]

KINDS = ("node_failure", "device_failure", "spot_reclaim", "link_failure", "link_degraded")


def let_fail(random: Random, scenario: Section, devices: dict[str, int], second_s: float) -> None:
    """Add events, drawn failures or both to a scenario.

    Parameters
    ----------
    devices
        Devices per node of each pool.
    second_s
        Unit of all times: about a sixtieth of the scenario's duration.
    """
    site = scenario.setdefault("site", {})
    kind = random.choice(["events", "events", "drawn", "both"])
    if kind != "drawn":
        events = [_event(random, devices, second_s) for _ in range(random.randint(1, 3))]
        site["events"] = [*site.get("events", []), *events]
    if kind != "events":
        site["failures"] = _failures(random, second_s)
    if random.random() < 0.2:
        scenario["cluster"]["retry_lost"] = False


def links_fail(scenario: Section) -> bool:
    """Whether a scenario has failures of links."""
    site = scenario.get("site", {})
    at_links = any(event["what"].startswith("link_") for event in site.get("events", ()))
    return at_links or "link" in site.get("failures", {})


def _event(random: Random, devices: dict[str, int], second_s: float) -> Section:
    """Draw one event at a pool, a node or a device."""
    pool = random.choice(list(devices))
    event: Section = {
        "at": f"{random.choice([10, 0, 1, 30]) * second_s:g} s",
        "what": random.choice(KINDS),
        "where": random.choice([f"{pool}/0", pool]),
    }
    if event["what"] == "link_degraded":
        event["factor"] = random.choice([0.5, 0.01])
    if event["what"].startswith("link"):
        event["where"] = f"{pool}/0"
    elif event["what"] == "device_failure" and random.random() < 0.7:
        event["where"] = f"{pool}/0/device{random.randrange(devices[pool])}"
    if random.random() < 0.8:
        event["lasts"] = f"{random.choice([5, 0.1, 20]) * second_s:g} s"
    if event["what"] == "spot_reclaim" and random.random() < 0.8:
        event["notice"] = f"{random.choice([3, 0, 30]) * second_s:g} s"
    return event


def _failures(random: Random, second_s: float) -> Section:
    """Draw rates at which a few faults happen."""
    mean = {"distribution": "exponential", "mean": f"{3 * second_s:g} s"}
    repairs = [f"{4 * second_s:g} s", mean, "lognormal"]
    failures: Section = {"gaps": random.choice(["exponential", "weibull", "clustered"])}
    kinds = random.choice([("node",), ("device",), ("node", "device"), ("link",), ("node", "link")])
    for kind in kinds:
        mtbf = f"{random.choice([30, 100, 8]) * second_s:g} s"
        failures[kind] = {"mtbf": mtbf, "repair": random.choice(repairs)}
    return failures
