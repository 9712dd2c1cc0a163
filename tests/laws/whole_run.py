"""Laws that hold of every run, whatever its scenario; each names what breaks it."""

from __future__ import annotations

import json
from collections import Counter
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pytest import approx

from cluster_sim.deployment.schedulers import build_scheduler
from cluster_sim.results import energy
from cluster_sim.results.metrics.finished import finished
from cluster_sim.results.metrics.gaps import itl
from cluster_sim.results.metrics.timeline import timeline
from cluster_sim.results.metrics.waiting import waiting
from cluster_sim.results.results import Results
from cluster_sim.results.run_data import TABLES
from cluster_sim.results.states import NOT_ON, ON, WORKING, states_of
from cluster_sim.results.streaming.token_times import TokenTimes
from cluster_sim.results.unanswered import unanswered

_ROUNDING = 1e-9
"""Relative error of sums in another order; also that of the clock, which is a sum of delays."""


def every_law_holds(results: Results) -> None:
    """All laws of one run."""
    requests_are_conserved(results)
    attempts_are_conserved(results)
    every_request_without_an_answer_has_one_reason(results)
    requests_go_through_their_states_in_order(results)
    who_can_run_does(results)
    tokens_are_conserved(results)
    the_kv_cache_is_never_exceeded(results)
    stretches_do_not_overlap(results)
    nothing_runs_on_what_is_lost(results)
    states_add_up(results)
    no_transfer_is_faster_than_alone(results)
    links_carry_no_more_than_they_can(results)
    one_energy(results)
    gaps_are_those_between_tokens(results)
    tokens_of_each_answer_come_one_by_one(results)
    money_adds_up(results)
    no_number_is_out_of_range(results)


def column(table: pa.Table, name: str) -> Any:
    """A column as an array; what is null is NaN."""
    return table[name].to_numpy(zero_copy_only=False)


def requests_are_conserved(results: Results) -> None:
    summary, requests = results.summary(), results.requests
    status = column(requests, "status")
    counted = column(requests, "counted").astype(bool)
    times = results.scenario.stands_for
    assert list(column(requests, "request")) == list(range(len(status)))
    for name, of_status in (
        ("completed", ("finished",)),
        ("rejected", ("rejected",)),
        ("failed", ("unfinished", "failed", "timed_out", "cancelled")),
    ):
        assert summary[name] == times * int(np.sum(counted & np.isin(status, of_status))), name
    parts = [
        summary[name]
        for name in ("unfinished", "lost", "timed_out", "cancelled")
        if name in summary
    ]
    assert sum(parts) == (summary["failed"] if parts else 0)
    done = counted & (status == "finished")
    for name, tokens in (
        ("total_input_tokens", "prompt_tokens"),
        ("total_output_tokens", "output_tokens"),
    ):
        assert summary[name] == times * int(np.sum(column(requests, tokens)[done])), name
    served = column(results.served, "status")
    assert list(column(results.served, "request")) == list(range(len(served)))
    what = Counter((row["what"], row["request"]) for row in results.events.to_pylist())
    refused = set(np.nonzero(served == "rejected")[0].tolist())
    assert {request for kind, request in what if kind == "rejected"} >= refused
    for row in results.events.to_pylist():
        if row["what"] in ("failed", "rejected"):
            assert row["reason"], row
            assert what[row["what"], row["request"]] == 1, row
            # a cluster may lose, or reject when a replica opens, what its client has given up
            assert served[row["request"]] in (row["what"], "timed_out", "cancelled")


def attempts_are_conserved(results: Results) -> None:
    """Every attempt has one outcome and belongs to one request, and both agree."""
    attempts = results.attempts
    assert (attempts.num_rows > 0) == (
        results.scenario.workload.has_clients and results.requests.num_rows > 0
    )
    if not attempts.num_rows:
        return
    outcome, original = column(attempts, "outcome"), column(attempts, "original")
    status = column(results.requests, "status")
    counts = np.bincount(original, minlength=len(status))
    assert counts.tolist() == column(results.requests, "attempts").tolist()
    assert np.all(np.bincount(original[outcome == "answered"], minlength=len(status)) == (status == "finished"))  # fmt: skip
    for name in ("timed_out", "cancelled", "rejected", "failed"):
        has_one = np.bincount(original[outcome == name], minlength=len(status)) > 0
        assert np.all(has_one[status == name]), name
    ended = np.isin(status, ("unfinished",), invert=True)
    assert not np.any(outcome[np.isin(original, np.nonzero(ended)[0])] == "unfinished")
    arrival_s = column(attempts, "arrival_s").astype(float)
    left_s = column(attempts, "left_s").astype(float)
    assert np.all(np.diff(arrival_s) >= 0.0)
    slack_s = _ROUNDING * max(results.info.simulated_s, 1.0)
    assert np.all((left_s >= arrival_s - slack_s) | np.isnan(left_s))


def every_request_without_an_answer_has_one_reason(results: Results) -> None:
    summary, reasons = results.summary(), unanswered(results)
    for outcome in ("rejected", "failed"):
        counts = [reason.requests for reason in reasons if reason.outcome == outcome]
        assert sum(counts) == summary[outcome], outcome
        assert min(counts, default=1) > 0
        assert counts == sorted(counts, reverse=True)
    texts = [(reason.outcome, reason.text) for reason in reasons]
    assert len(set(texts)) == len(texts)
    assert not any(
        "no reason" in text or "_" in text.replace("chunked_prefill", "") for _, text in texts
    )


def requests_go_through_their_states_in_order(results: Results) -> None:
    requests_are_in_order(results, results.requests)
    requests_are_in_order(results, results.served)


def requests_are_in_order(results: Results, requests: pa.Table) -> None:
    slack_s = _ROUNDING * max(results.info.simulated_s, 1.0)
    done = column(requests, "status") == "finished"
    names = ("arrival_s", "admitted_s", "first_token_s", "finish_s")
    times_s = [column(requests, name).astype(float) for name in names]
    for name, values_s in zip(names, times_s, strict=True):
        assert not np.any(np.isnan(values_s[done])), name
    for earlier, later, before_s, after_s in zip(
        names, names[1:], times_s, times_s[1:], strict=False
    ):
        known = ~np.isnan(before_s) & ~np.isnan(after_s)
        assert np.all(after_s[known] >= before_s[known] - slack_s), (earlier, later)
    if requests is results.requests:
        assert not np.any(~np.isnan(times_s[3][~done]))
    for name in ("hand_over_wait_s", "kv_transfer_s"):
        values_s = column(requests, name).astype(float)
        assert np.all(values_s[~np.isnan(values_s)] >= -slack_s), name


def _waits_for_replicas(results: Results) -> bool:
    """Whether a role has no open replica at the end, so that the router holds requests."""
    if all(deployment.pool.autoscale is None for deployment in results.fleet.deployments):
        return False
    last = {row["replica"]: row["state"] for row in results.states.to_pylist()}
    is_open = dict.fromkeys((spec.role for spec in results.fleet.replicas), False)
    for spec in results.fleet.replicas:
        is_open[spec.role] |= last.get(spec.number, "ready") == "ready"
    return not all(is_open.values())


def who_can_run_does(results: Results) -> None:
    """A request that has neither finished nor failed is being worked on when the run is cut off.

    The step that is then under way is in no table; where nobody decodes for others, one that was
    admitted is in it.
    """
    scenario = results.scenario
    status = column(results.served, "status")
    inside = np.nonzero(status == "unfinished")[0].tolist()
    if not inside or _waits_for_replicas(results):
        return
    assert scenario.duration_s is not None, "a run without an end left requests inside"
    end_s = scenario.duration_s + scenario.drain_s
    roles = {deployment.role for deployment in results.fleet.deployments}
    admitted_s = column(results.served, "admitted_s").astype(float)[inside]
    if roles == {"both"} and not np.all(np.isnan(admitted_s)):
        return
    stretches = results.stretches
    longest_s = float(np.max(column(stretches, "first_s"), initial=0.0)) + 1.0
    worked_s = float(np.max(column(stretches, "ended_s"), initial=0.0))
    ready_s = max((deployment.ready_s for deployment in results.fleet.deployments), default=0.0)
    arrived_s = float(column(results.served, "arrival_s")[inside[-1]])
    moved_s = float(np.max(column(results.transfers, "ended_s"), initial=0.0))
    active_s = max(worked_s, ready_s, arrived_s, moved_s)
    assert active_s + longest_s >= end_s, (
        f"{len(inside)} requests wait from {active_s} to {end_s} s"
    )


def tokens_are_conserved(results: Results) -> None:
    """Tokens of finished answers were made in stretches, and those of unfinished ones at most."""
    table, requests = results.stretches, results.served
    made = float(
        np.sum(
            column(table, "steps") * column(table, "growth")
            + (column(table, "sampled") - column(table, "batch"))
        )
    )
    status, output = column(requests, "status"), column(requests, "output_tokens")
    is_whole = ~np.isnan(column(requests, "finish_s").astype(float))
    answered = int(np.sum(output[is_whole]))
    given_up = np.isin(status, ("timed_out", "cancelled")) & ~is_whole
    left = ~np.isnan(column(requests, "left_s").astype(float)) if given_up.any() else given_up
    if given_up.any():
        answered += int(np.sum(column(requests, "wasted_tokens")[given_up & left]))
    inside = int(np.sum(output[np.isin(status, ("unfinished", "failed")) | (given_up & ~left)]))
    assert made >= answered * (1.0 - _ROUNDING) - 1e-3
    plain = all(
        deployment.pool.batching.policy != "static" and deployment.pool.replica.speculation is None
        for deployment in results.fleet.deployments
    )
    if plain:
        assert made <= answered + inside
        if not inside:
            assert made == answered


def the_kv_cache_is_never_exceeded(results: Results) -> None:
    table = results.stretches
    replica = column(table, "replica")
    held = column(table, "kv_tokens")
    for spec in results.fleet.replicas:
        most = float(np.max(held[replica == spec.number], initial=0.0))
        assert 0.0 <= most <= spec.deployment.kv_tokens * (1.0 + _ROUNDING)
    longest = max(build_scheduler(deployment).longest for deployment in results.fleet.deployments)
    requests = results.requests
    admitted = ~np.isnan(column(requests, "admitted_s").astype(float))
    assert np.all(column(requests, "prompt_tokens")[admitted] <= longest)


def stretches_do_not_overlap(results: Results) -> None:
    table = results.stretches
    replica, began_s, ended_s = (column(table, name) for name in ("replica", "began_s", "ended_s"))
    slack_s = _ROUNDING * max(results.info.simulated_s, 1.0)
    assert np.all(ended_s >= began_s)
    for number in np.unique(replica):
        own = replica == number
        assert np.all(began_s[own][1:] - ended_s[own][:-1] >= -slack_s)
    assert float(np.max(ended_s, initial=0.0)) <= results.info.simulated_s + slack_s


def nothing_runs_on_what_is_lost(results: Results) -> None:
    """Steps and transfers lie in the times in which replicas are ready or draining."""
    slack_s = _ROUNDING * max(results.info.simulated_s, 1.0)
    states, table = states_of(results), results.stretches
    changing = set(results.states["replica"].to_pylist())
    for replicas, rows in (
        ("replica", table),
        ("from_replica", results.transfers),
        ("to_replica", results.transfers),
    ):
        chosen = rows.filter(pc.is_in(rows[replicas], pa.array(changing, rows[replicas].type)))
        for number, began_s, ended_s in zip(
            *(chosen[name].to_pylist() for name in (replicas, "began_s", "ended_s")), strict=True
        ):
            works = states.course(number).is_in(WORKING)
            idle_s = (ended_s - began_s) - float(
                np.diff(works.so_far(np.array([began_s, ended_s])))[0]
            )
            assert idle_s <= slack_s, (number, began_s, ended_s)
    for row in results.states.to_pylist():
        assert row["at_s"] <= results.info.simulated_s + slack_s


def states_add_up(results: Results) -> None:
    """Replicas are in one state at a time, and the timeline counts them as the summary does."""
    states, end_s, summary = states_of(results), results.info.simulated_s, results.summary()
    numbers = range(len(results.fleet.replicas))
    in_all_s = states.seconds(numbers, (*ON, *NOT_ON))
    assert in_all_s == approx(len(numbers) * end_s, rel=_ROUNDING)
    if not end_s:
        return
    line = timeline(results, 7)
    edges_s = np.append(line.time_s - line.bin_s / 2, line.time_s[-1] + line.bin_s / 2)
    after_s = max(float(edges_s[-1]) - end_s, 0.0)  # answers reach clients after the last event
    assert line.waiting == approx(waiting(results).means(edges_s), rel=1e-6, abs=1e-6)
    assert np.all(line.replicas_ready <= line.replicas_on + _ROUNDING)
    if "mean_replicas" in summary:
        copies = results.scenario.stands_for
        on_s = float(np.sum(line.replicas_on) * line.bin_s)
        mean = summary["mean_replicas"] / copies
        last = float(states.count(numbers, ON).at(np.array([end_s]))[0])
        assert on_s - after_s * last == approx(mean * end_s, rel=1e-6, abs=1e-6)
        assert mean <= summary["max_replicas"] / copies + _ROUNDING <= len(numbers) + _ROUNDING
        nodes = sum(pool.nodes for pool in results.scenario.cluster.pools)
        assert summary["node_hours"] / copies <= nodes * end_s / 3600.0 * (1.0 + _ROUNDING)


def no_transfer_is_faster_than_alone(results: Results) -> None:
    table = results.transfers
    took_s = column(table, "ended_s") - column(table, "began_s")
    slack_s = _ROUNDING * max(results.info.simulated_s, 1.0)
    assert np.all(took_s >= column(table, "alone_s") - slack_s)


def links_carry_no_more_than_they_can(results: Results) -> None:
    """Transfers that share no links may overload them."""
    shares = {"saturated_share": results.links, "link_share": results.stretches}
    if results.scenario.cluster.contention != "none":
        shares["utilisation"] = results.links
    for name, table in shares.items():
        values = column(table, name).astype(float)
        assert np.all((values >= 0.0) & (values <= 1.0 + _ROUNDING)), name


def one_energy(results: Results) -> None:
    """Devices, the integral of power over time and the summary are one energy."""
    nodes = energy.nodes(results)
    if nodes is None:
        return
    summary, scenario = results.summary(), results.scenario
    pue = scenario.site.pue if scenario.site is not None and scenario.site.pue is not None else 1.0
    whole_j = sum(node.energy_j for node in nodes)
    together = energy.together(nodes)
    if nodes and results.info.simulated_s:
        assert abs(together.energy_j - whole_j) <= _ROUNDING * whole_j
        asked_j = summary["energy_kwh"] * 3.6e6 / scenario.stands_for
        pue = summary.get("mean_pue", pue)  # that of a plant follows load and weather
        assert pue >= 1.0
        assert abs(asked_j - pue * whole_j) <= _ROUNDING * pue * whole_j
    devices_j = float(np.sum(column(results.devices, "energy_j").astype(float)))
    integral_j = sum(float(np.sum(node.devices_w * np.diff(node.time_s))) for node in nodes)
    empty_j = _of_empty_devices_j(results)
    assert abs(integral_j - devices_j - empty_j) <= _ROUNDING * max(integral_j, 1e-12)


def _of_empty_devices_j(results: Results) -> float:
    """Energy of the devices without a replica: idle power and leakage."""
    empty_j = 0.0
    for deployment in results.fleet.deployments:
        power = deployment.device.power
        assert power is not None
        held = results.fleet.devices_held(deployment.name)
        for number, is_on in enumerate(states_of(results).nodes_on(deployment)):
            empty = deployment.pool.node.devices - sum(held.get(number, {}).values())
            empty_j += empty * power.idle_w * is_on.integral(results.info.simulated_s)
    thermal, with_replica = results.thermal, set(results.devices["device"].to_pylist())
    if thermal.num_rows and "leakage_w" in thermal.column_names:
        first, edges = thermal["device"][0], thermal["at_s"].to_numpy()
        bins = sum(name == first for name in thermal["device"])
        lengths_s = np.diff(edges[:bins], prepend=0.0)
        leaks_j = np.tile(lengths_s, thermal.num_rows // bins) * thermal["leakage_w"].to_numpy()
        leaks_j = leaks_j * thermal["alike"].to_numpy()
        is_empty = [name not in with_replica for name in thermal["device"].to_pylist()]
        empty_j += float(np.sum(leaks_j[is_empty]))
    return empty_j


def gaps_are_those_between_tokens(results: Results) -> None:
    """Without drafts each finished answer has a gap before each token but the first."""
    done = finished(results)
    gaps = itl(results)
    tokens = int(np.sum(done.output_tokens - 1))
    drafts = any(
        deployment.pool.replica.speculation is not None for deployment in results.fleet.deployments
    )
    cut = np.any(np.isin(column(results.requests, "status"), ("unfinished", "failed")))
    if results.attempts.num_rows:  # gaps of answers that nobody used are there as well
        cut = cut or np.any(column(results.attempts, "outcome") != "answered")
    if not drafts and not cut:
        assert gaps.count == tokens
        total_s = float(np.sum(done.finish_s - done.first_token_s))
        if tokens:
            # the way to the front door may be longer from where it decodes
            latencies_s = results.fleet.answer_latencies_s
            paths_s = len(done.finish_s) * float(np.max(latencies_s) - np.min(latencies_s))
            decoded_s = gaps.mean() * gaps.count
            assert abs(decoded_s - total_s) <= 1e-6 * max(total_s, 1e-6) + paths_s


def tokens_of_each_answer_come_one_by_one(results: Results) -> None:
    """As a benchmark client would have seen them: without drafts a gap before each but the first."""
    if any(
        deployment.pool.replica.speculation is not None for deployment in results.fleet.deployments
    ):
        return
    requests, times = results.requests, TokenTimes(results)
    shown = column(requests, "counted").astype(bool) & (column(requests, "status") == "finished")
    latencies_s = results.fleet.answer_latencies_s
    slack_s = float(np.max(latencies_s) - np.min(latencies_s)) + 1e-6
    names = ("output_tokens", "first_token_s", "finish_s", "request")
    for row, (tokens, first_s, finish_s, number) in enumerate(
        zip(*(column(requests, name)[shown] for name in names), strict=True)
    ):
        gaps_s = times.gaps_s(row)
        assert len(gaps_s) == tokens - 1 == times.chunks[row] - 1, f"request {number}"
        decoded_s = float(np.sum(gaps_s))
        assert abs(decoded_s - (finish_s - first_s)) <= slack_s, f"request {number}"


def money_adds_up(results: Results) -> None:
    """Parts are the cost, the stack is a part of it, and the margin is revenue less cost.

    Without a discount for cached input the revenue is prompts and answers at their prices.
    """
    summary, sold_at = results.summary(), results.scenario.sold_at
    if (cost := summary.get("usd_per_hour")) is not None:
        assert sum(summary["usd_per_hour_parts"].values()) == approx(cost, rel=1e-9)
        assert 0.0 <= summary.get("stack_share", 0.0) <= 1.0
    revenue = summary.get("revenue_usd_per_hour")
    assert (revenue is None) == (sold_at is None or not results.info.simulated_s)
    if revenue is None or sold_at is None:
        return
    assert ("margin_usd_per_hour" in summary) == (cost is not None)
    if cost is not None:
        assert summary["margin_usd_per_hour"] == approx(revenue - cost, rel=1e-9, abs=1e-9)
    table = results.requests
    sold = table["status"].to_numpy() == "finished"
    prompts, hits, outputs = (
        float(np.sum(table[name].to_numpy()[sold]))
        for name in ("prompt_tokens", "prefix_hit_tokens", "output_tokens")
    )
    assert 0.0 <= hits <= prompts
    usual = sold_at.input_usd_per_mtok.value
    cached = (sold_at.cached_input_usd_per_mtok or sold_at.input_usd_per_mtok).value
    usd = usual * (prompts - hits) + cached * hits + sold_at.output_usd_per_mtok.value * outputs
    copies = results.scenario.stands_for
    hours = results.info.simulated_s / 3600
    assert revenue * hours == approx(copies * usd / 1e6, rel=1e-6, abs=1e-12)


_SHARES = ("fraction", "utilisation", "attainment", "occupancy")


def no_number_is_out_of_range(results: Results) -> None:
    """No NaN anywhere, nothing infinite in the summary, every share within [0, 1]."""

    def look(part: Any, path: str) -> None:
        if isinstance(part, dict):
            for key, value in part.items():
                look(value, f"{path}.{key}")
        elif isinstance(part, list):
            for value in part:
                look(value, path)
        elif isinstance(part, float):
            assert isfinite(part), f"{path} is {part}"
            name = path.rsplit(".", 1)[-1]
            if any(word in name for word in _SHARES):
                assert -_ROUNDING <= part <= 1.0 + _ROUNDING, f"{path} is {part}"
            elif not path.startswith(".prices"):
                may_be_negative = name.endswith(("_c", "leakage_kwh")) or "margin" in path
                assert part >= -1e-6 or may_be_negative, f"{path} is {part}"

    look(results.summary(), "")
    json.dumps(results.summary(), allow_nan=False)
    for name in TABLES:
        table = getattr(results, name)
        for field in table.schema:
            if pa.types.is_floating(field.type):
                values = table[field.name].combine_chunks().drop_null().to_numpy()
                assert not np.any(np.isnan(values)), f"{name}.{field.name} is NaN"


def _arrive_together(results: Results) -> bool:
    """Whether turns of two sessions arrive at one time, in an order that roundings decide."""
    at_s = np.sort(column(results.requests, "arrival_s").astype(float))
    return bool(np.any(np.diff(at_s[at_s > 0.0]) < 1e-9))


def a_stretch_is_its_steps(stretched: Results, stepped: Results) -> None:
    """The same requests end in the same way at the same times, whether steps are run one by one.

    Times may differ by roundings, and so what is decided at a tie. Clients that back off meet at one;
    where others decode, roundings reach 1e-8 s and decide whose KV cache is emptier, which
    tests/laws/test_disaggregation.py looks at.
    """
    roles = {deployment.role for deployment in stretched.fleet.deployments}
    if stretched.scenario.cluster.admission.policy != "accept_all" or roles != {"both"}:
        return
    if stretched.scenario.workload.sessions is not None and _arrive_together(stretched):
        return
    one, two = stretched.requests, stepped.requests
    for name in ("status", "replica", "preemptions"):
        assert one[name].to_pylist() == two[name].to_pylist(), name
    for name in ("first_token_s", "finish_s"):
        np.testing.assert_allclose(
            column(one, name).astype(float),
            column(two, name).astype(float),
            rtol=1e-6,
            err_msg=name,
        )


def same_bytes(one: Results, two: Results) -> None:
    """Two runs of one scenario are the same."""
    for name in TABLES:
        assert getattr(one, name).equals(getattr(two, name)), name
    a, b = one.summary(), two.summary()
    a.pop("wall_s"), b.pop("wall_s")
    assert a == b
