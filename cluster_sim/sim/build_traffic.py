"""Wiring of the traffic: arrival times, clients or sessions, and labels of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, tee
from math import inf

from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.client_tries import ClientRules
from cluster_sim.sim.clients import ClientLayer, Server
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.closed_loop import (
    ClosedLoopClients,
    ClosedLoopSessions,
    FrontDoorPath,
    SessionStarts,
    TrafficLimits,
)
from cluster_sim.workload.classes import labelled
from cluster_sim.workload.clients import ClientDraws, Clients, Unlimited
from cluster_sim.workload.generate import drawn, replayed
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.sessions import replayed_scripts, scripts
from cluster_sim.workload.traces import Tally

ClosedLoop = ClosedLoopClients | ClosedLoopSessions
"""Traffic that waits for answers."""


def label_requests(
    scenario: Scenario, route: Callable[[Request], None]
) -> Callable[[Request], None]:
    """Return `route`, preceded by what each request gets: a limit, a class and a system prompt."""
    workload = scenario.workload
    if workload.max_output_tokens is not None:
        route = _limited(route, workload.max_output_tokens, scenario.model.max_context)
    if workload.classes:
        route = labelled(route, workload.classes, scenario.seed)
    if workload.shared_prefix is not None:
        route = workload.shared_prefix.before(route, scenario.seed)
    return route


def _limited(
    route: Callable[[Request], None], limit: int, max_context: int
) -> Callable[[Request], None]:
    """Return `route`, preceded by the client's limit on the answer [tokens]."""

    def limit_and_route(request: Request) -> None:
        request.output_limit = min(limit, max_context - request.prompt_tokens)
        route(request)

    return limit_and_route


def _until_s(scenario: Scenario) -> float:
    return inf if scenario.duration_s is None else scenario.duration_s


def build_closed_loop(
    env: CountingEnvironment, scenario: Scenario, front_door: FrontDoorPath, tally: Tally
) -> ClosedLoop | None:
    """Return the clients that wait for answers; None if requests arrive at given times.

    `tally` counts the rows of a trace that are omitted.
    """
    workload, until_s, warmup_s = scenario.workload, _until_s(scenario), scenario.warmup_s
    if (trace := workload.trace) is not None and trace.replays_sessions:
        recorded, starting = tee(trace.replayed_sessions(scenario.seed, tally))
        return ClosedLoopSessions(
            env,
            front_door,
            replayed_scripts(recorded),
            SessionStarts((session.start_s for session in starting), 0),
            TrafficLimits(until_s, warmup_s, trace.limit),
        )
    if (sessions := workload.sessions) is not None:
        starts_s = None
        if sessions.arrivals is not None:
            times_s = sessions.arrivals.times(stream(scenario.seed, "arrivals"))
            starts_s = islice(times_s, sessions.arrivals.requests)
        return ClosedLoopSessions(
            env,
            front_door,
            scripts(sessions, scenario.seed, tally),
            SessionStarts(starts_s, sessions.concurrency or 0),
            TrafficLimits(until_s, warmup_s, sessions.requests),
        )
    arrivals = workload.arrivals
    if arrivals is None or (clients := arrivals.waiting_clients()) is None:
        return None
    limits = TrafficLimits(until_s, warmup_s, arrivals.requests)
    return ClosedLoopClients(env, front_door, clients, workload.lengths(scenario.seed), limits)


def open_loop_requests(scenario: Scenario, tally: Tally) -> Iterator[Request]:
    """Yield the requests of an open loop in order of arrival."""
    workload, until_s = scenario.workload, _until_s(scenario)
    if workload.trace is not None:
        return replayed(workload.trace, scenario.seed, until_s, scenario.warmup_s, tally)
    assert workload.arrivals is not None
    return drawn(
        workload.arrivals,
        workload.lengths(scenario.seed),
        scenario.seed,
        until_s,
        scenario.warmup_s,
    )


def build_clients(
    env: CountingEnvironment, scenario: Scenario, server: Server, recorder: Recorder
) -> ClientLayer | None:
    """Return the clients between traffic and router; None if they only wait for answers."""
    workload = scenario.workload
    if not workload.has_clients:
        return None
    common = _rules(workload.clients)
    rules = [
        common if each.clients is None else _rules(each.clients) for each in workload.classes
    ] or [common]
    return ClientLayer(env, server, rules, ClientDraws(scenario.seed), recorder)


def _rules(clients: Clients | None) -> ClientRules:
    """Return what clients do, with a full retry budget of their own."""
    if clients is None:
        return ClientRules(Clients(), Unlimited())
    budget = clients.retry_budget
    return ClientRules(clients, Unlimited() if budget is None else budget.state())
