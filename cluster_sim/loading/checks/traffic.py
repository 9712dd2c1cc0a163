"""Checks of the traffic: arrivals, duration, classes and admission."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.workload import Workload
from cluster_sim.schema import Trail
from cluster_sim.workload.clients import Clients
from cluster_sim.workload.sessions import scripts

_SESSIONS = 1024
"""Number of sessions that are drawn to check whether any of them sends a request."""
_OWN_KEYS = ("arrivals", "prompt_tokens", "output_tokens", "length_correlation")
"""Keys that a trace and sessions replace."""


def traffic_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield keys of the workload that contradict each other, and a run without an end."""
    workload = scenario.workload
    if workload.trace is not None or workload.sessions is not None:
        yield from _doubled_sources(workload)
    else:
        yield from _missing_keys(workload)
    yield from _class_faults(workload)
    yield from _session_faults(workload)
    yield from _length_faults(scenario)
    yield from _limit_faults(workload)


def _doubled_sources(workload: Workload) -> Iterator[Finding]:
    what, which = _brings(workload)
    for key in _OWN_KEYS:
        if getattr(workload, key) is not None:
            yield ("workload", key), f"{what} own '{key}'; expected either '{key}' or '{which}'"
    if workload.trace is not None and workload.sessions is not None:
        yield (
            ("workload", "sessions"),
            "a trace brings its own 'sessions'; expected either 'sessions' or 'trace'",
        )


def _brings(workload: Workload) -> tuple[str, str]:
    """Return the beginning of a sentence about the source of traffic, and the key of the source."""
    if workload.trace is not None:
        return "a trace brings its", "trace"
    return "sessions bring their", "sessions"


def _missing_keys(workload: Workload) -> Iterator[Finding]:
    for key in ("arrivals", "prompt_tokens", "output_tokens"):
        given_by_classes = workload.classes and all(
            getattr(each, key, None) is not None for each in workload.classes
        )
        if getattr(workload, key) is None and not given_by_classes:
            yield (
                ("workload",),
                f"'{key}' is missing; expected arrivals, prompt_tokens and output_tokens, or a trace",
            )


def _session_faults(workload: Workload) -> Iterator[Finding]:
    """Yield a window so short that sessions end before their first request.

    Such sessions would start one after another at the same moment, indefinitely.
    """
    sessions = workload.sessions
    if sessions is None or sessions.trace is not None or sessions.window_tokens is None:
        return
    drawn = islice(scripts(sessions, seed=0), _SESSIONS)
    if all(next(turns, None) is None for turns in drawn):
        yield (
            ("workload", "sessions", "window_tokens"),
            f"got {sessions.window_tokens}, into which no first prompt with its answer fits in {_SESSIONS:,} sessions; expected more tokens",
        )


def _class_faults(workload: Workload) -> Iterator[Finding]:
    """Yield classes that do not form one traffic."""
    names = [each.name for each in workload.classes]
    for index, traffic_class in enumerate(workload.classes):
        at: Trail = ("workload", "classes", index)
        if traffic_class.name in names[:index]:
            yield (
                (*at, "name"),
                f"got '{traffic_class.name}' twice; expected different names of classes",
            )
        for key in ("prompt_tokens", "output_tokens"):
            has_own = getattr(traffic_class, key) is not None
            if (workload.trace or workload.sessions) is not None and has_own:
                what, which = _brings(workload)
                yield (*at, key), f"{what} own '{key}'; expected either '{key}' or '{which}'"
    if workload.classes and workload.length_correlation is not None:
        yield (
            ("workload", "length_correlation"),
            "lengths of classes are drawn independently; expected either 'length_correlation' or 'classes'",
        )
    total = sum(each.share for each in workload.classes)
    if workload.classes and abs(total - 1.0) > 1e-6:
        yield ("workload", "classes"), f"got shares that add up to {total:g}; expected 1"


def _length_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield a run that never ends, and a warm-up that leaves nothing of the run."""
    workload = scenario.workload
    starts = workload.sessions.arrivals if workload.sessions is not None else None
    is_counted = scenario.requests_wanted is not None or (
        starts is not None and starts.requests is not None
    )
    if workload.trace is None and scenario.duration_s is None and not is_counted:
        source = "sessions" if workload.sessions else "arrivals"
        yield (
            (),
            f"'duration' is missing; expected a time such as '20 min', or 'requests' under workload.{source}",
        )
    if scenario.duration_s is not None and scenario.warmup_s >= scenario.duration_s:
        yield (
            ("warmup",),
            f"got {scenario.warmup_s:g} s; expected less than the duration of {scenario.duration_s:g} s",
        )


def _limit_faults(workload: Workload) -> Iterator[Finding]:
    """Yield a client's limit below the longest answer."""
    if (limit := workload.max_output_tokens) is None:
        return
    for _, output in workload.length_pairs():
        longest = None if output is None else output.longest
        if longest is not None and longest > limit:
            yield (
                ("workload", "max_output_tokens"),
                f"got {limit:,}, below the longest answer of {longest:,} tokens; expected at least {longest:,}, or shorter answers",
            )
            return


def objective_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield percentiles at which no objective is judged."""
    expected = "has no objective to judge; expected ttft, tpot or e2el beside it"
    if scenario.slo.percentile is not None and not any(slo.limits_s for slo in scenario.slos):
        yield ("slo", "percentile"), expected
    for index, class_ in enumerate(scenario.workload.classes):
        if class_.slo and class_.slo.percentile is not None and not class_.slo.limits_s:
            yield ("workload", "classes", index, "slo", "percentile"), expected


def client_faults(scenario: Scenario, entries: int) -> Iterator[Finding]:
    """Yield hedges that have no second replica.

    entries: number of replicas to which the router sends requests.
    """
    workload = scenario.workload
    keys: dict[Trail, Clients | None] = {("workload", "clients"): workload.clients} | {
        ("workload", "classes", index, "clients"): each.clients
        for index, each in enumerate(workload.classes)
    }
    for at, clients in keys.items():
        if clients is not None and clients.hedge_after_s is not None and entries < 2:
            yield (
                (*at, "hedge_after"),
                "a copy goes to another replica, and there is only one that takes requests; expected more replicas, or no 'hedge_after'",
            )


def admission_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield why the admission policy does not suit the traffic."""
    for fault in scenario.cluster.admission.faults([slo.ttft_s for slo in scenario.slos]):
        yield ("cluster", "admission"), fault


def router_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield keys of the router that do not suit the scenario."""
    for trail, fault in scenario.cluster.router.faults(scenario.routed):
        yield ("cluster", "router", *trail), fault
    reads_temperatures = scenario.cluster.router.reads_temperatures_every_s is not None
    if reads_temperatures and not _has_temperatures(scenario):
        yield (
            ("cluster", "router", "policy"),
            "got a policy that reads temperatures, and none are simulated; expected site.inlet, and nodes with 'cooling'",
        )


def _has_temperatures(scenario: Scenario) -> bool:
    """Return whether the temperature of any device is simulated."""
    is_cooled = any(
        pool.node.cooling is not None and pool.node.device.power is not None
        for pool in scenario.cluster.pools
    )
    return is_cooled and scenario.site is not None and scenario.site.inlet_c is not None
