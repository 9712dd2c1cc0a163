"""Sentences of a page about runs: verdict and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cluster_sim.deployment.ratings import rating_warnings
from cluster_sim.deployment.room_warnings import room_warnings
from cluster_sim.deployment.validated_cases import validation_of
from cluster_sim.figures import style
from cluster_sim.figures.timeline import peaks
from cluster_sim.report.charts import View
from cluster_sim.report.failures import failures
from cluster_sim.report.provenance import Used
from cluster_sim.results.bursts import burst_line
from cluster_sim.results.metrics.slo_percentiles import percentile_key, percentiles_of
from cluster_sim.results.metrics.verdict_text import percentile_text, slo_line
from cluster_sim.results.unanswered import Outcome
from cluster_sim.studies.low_confidence import estimate, estimates_line

_NEAR = 0.95
_NOTABLE = 0.05  # share of the time from which a full resource is worth a warning
_FEW = 10  # requests above a percentile, below which it is uncertain
_OBJECTIVES = (("ttft", "TTFT"), ("tpot", "TPOT"), ("e2el", "E2E latency"))


def verdict(shown: Sequence[View]) -> list[str]:
    """Return the sentences of the verdict: each run, the best run, costs, fullest resources.

    The sentence about a run has the verdict that the command `run` prints.

    Parameters
    ----------
    shown
        Runs of the page.
    """
    sentences = [_of_run(view) for view in shown]
    if (best := _best(shown)) is not None:
        sentences.append(best)
    costs = ", ".join(
        f"{cost:,.3g} USD on {view.label}"
        for view in shown
        if (cost := view.summary.get("usd_per_million_output_tokens")) is not None
    )
    if costs:
        sentences.append(f"A million output tokens cost {costs}.")
    filled = "; ".join(_fullest(view) for view in shown)
    return [*sentences, f"Fullest resource (maximum of a bin): {filled}."]


def _fullest(view: View) -> str:
    shares = peaks(view.results, view.line)
    fullest = max(shares, key=lambda name: shares[name])
    return f"{view.label} {fullest}, {style.percent(min(shares[fullest], 1.0))}"


def _of_run(view: View) -> str:
    summary = view.summary
    if "slo_met" in summary:
        line = burst_line(view.bursts)
        of_bursts = "" if line is None else f"{line[0].upper()}{line[1:]}. "
        return f"{view.label}: {slo_line(summary)}. {of_bursts}{_answers('The run', summary)}"
    return _answers(view.label, summary)


def _answers(subject: str, summary: Mapping[str, Any]) -> str:
    """Return a sentence about throughput and latencies, at the percentile of the SLO."""
    if not summary["completed"]:
        return f"{subject} answers no counted request."
    percent = next(iter(percentiles_of(summary)), 99.0)
    latencies = ", ".join(
        f"{name} {style.duration(latency_ms / 1e3)}"
        for latency, name in _OBJECTIVES
        if (latency_ms := summary.get(percentile_key(latency, percent))) is not None
    )
    text = f"{subject} answers {summary['request_throughput']:.3g} requests/s"
    if "slo_attainment" in summary:
        text += f"; {style.percent(summary['slo_attainment'])} of all requests are within the SLO"
    return f"{text}. Latencies at {percentile_text(percent)}: {latencies}.{_attempts(summary)}"


def _attempts(summary: Mapping[str, Any]) -> str:
    """Return a sentence about the attempts of clients; empty if every client makes one."""
    if "attempts_per_request" not in summary:
        return ""
    return (
        f" Clients offer {summary['offered_load']:.3g} requests/s and make "
        f"{summary['attempts_per_request']:.2f} attempts per request; "
        f"{style.percent(summary['wasted_share'])} of all output tokens are generated in vain."
    )


def _best(shown: Sequence[View]) -> str | None:
    """Return a sentence about the best run: by attainment if all have an SLO, else by TTFT."""
    if len(shown) < 2:
        return None
    if all("slo_attainment" in view.summary for view in shown):
        return _best_attainment(shown)
    answered = [view for view in shown if "p99_ttft_ms" in view.summary]
    if len(answered) < 2:
        return None
    first, second, *_ = sorted(answered, key=lambda view: float(view.summary["p99_ttft_ms"]))
    p99_ms = first.summary["p99_ttft_ms"]
    times = second.summary["p99_ttft_ms"] / p99_ms
    return (
        f"{first.label} has the shortest p99 of TTFT, {style.duration(p99_ms / 1e3)}; "
        f"the next is {second.label} with {times:.3g} times as much."
    )


def _best_attainment(shown: Sequence[View]) -> str:
    first, *others = sorted(shown, key=lambda view: -view.summary["slo_attainment"])
    most = first.summary["slo_attainment"]
    alike = [view.label for view in others if view.summary["slo_attainment"] == most]
    if alike:
        names = [first.label, *alike]
        runs = (
            "All runs" if len(names) == len(shown) else f"{', '.join(names[:-1])} and {names[-1]}"
        )
        verb = "have the same" if len(names) == len(shown) else "have the largest"
        beside = "".join(
            f"; {view.label} {style.percent(view.summary['slo_attainment'])}"
            for view in others[len(alike) :]
        )
        return f"{runs} {verb} share of requests within the SLO: {style.percent(most)}{beside}."
    beside = ", ".join(
        f"{view.label} {style.percent(view.summary['slo_attainment'])}" for view in others
    )
    return f"{first.label} has the largest share of requests within the SLO: {style.percent(most)}; {beside}."


def warnings(
    shown: Sequence[View], figures_used: Sequence[Used], swings: Sequence[tuple[str, float]] = ()
) -> list[str]:
    """Return sentences that a reader should know before relying on the page.

    Parameters
    ----------
    shown
        Runs of the page.
    figures_used
        Catalog figures that the runs use.
    swings
        Catalog figures of a sensitivity, with their effect as a share of the metric.
    """
    scenarios = [view.results.scenario for view in shown]
    sentences = list(
        dict.fromkeys(
            warning
            for scenario in scenarios
            for warning in (
                *scenario.warnings(),
                *rating_warnings(scenario),
                *room_warnings(scenario),
            )
        )
    )
    for view in shown:
        if (stopped := view.results.info.stopped) is not None:
            sentences.append(f"{view.label} ended early: {stopped}.")
        sentences += [f"{view.label}: {text}" for text in _of_view(view)]
        sentences.append(f"{view.label} is {validation_of(view.results.fleet).text}.")
    first = shown[0].results.requests["arrival_s"] if shown else None
    if any(not view.results.requests["arrival_s"].equals(first) for view in shown[1:]):
        sentences.append(
            "The runs have different arrivals, so differences between runs are partly due to their traffic."
        )
    return [*sentences, *_low_confidence(shown, figures_used, swings)]


def _low_confidence(
    shown: Sequence[View], figures_used: Sequence[Used], swings: Sequence[tuple[str, float]]
) -> Iterator[str]:
    """Yield the estimates of low confidence that the page rests on, as `run` prints them."""
    scenarios = {view.label: view.results.scenario for view in shown}
    estimates = dict.fromkeys(
        each
        for used in figures_used
        for label in used.runs
        if label not in used.changed
        and (each := estimate(used.kind, used.entry, used.figure, scenarios[label])) is not None
    )
    line = estimates_line(estimates, "cluster-sim sensitivity FILE")
    if line is None:
        return
    effects = "; ".join(
        f"{name} changes the result by {style.percent(swing)}" for name, swing in swings[:5]
    )
    yield f"The answer {line}." + (f" The largest effects: {effects}." if effects else "")


def _of_view(view: View) -> Iterator[str]:
    """Yield the warnings about one run."""
    summary = view.summary
    yield from view.results.info.notes
    if summary["rejected"]:
        yield (
            f"{summary['rejected']:,} requests were rejected ({_reasons(view, 'rejected')}); "
            "latencies are of all other requests."
        )
    if summary["failed"]:
        yield f"{summary['failed']:,} requests failed, timed out or had not finished ({_reasons(view, 'failed')}); latencies are of all other requests, so they look better than they are."
    percent = max(percentiles_of(summary), default=99.0)
    slowest = round(summary["completed"] * (1.0 - percent / 100.0), 9)
    if summary["completed"] and slowest < _FEW:
        yield (
            f"only {summary['completed']:,} requests count; {percentile_text(percent)} depends on "
            f"the slowest {max(int(slowest), 1)}."
        )
    if summary["preemptions"]:
        yield f"{summary['preemptions']:,} preemptions: the KV cache was full, so work was repeated or pages were swapped."
    yield from failures(summary)
    yield from _full(view)
    yield from _links(view)


def _reasons(view: View, outcome: Outcome) -> str:
    """Return the reasons of rejections or failures, with their numbers."""
    return "; ".join(
        f"{reason.text}: {reason.requests:,}"
        for reason in view.unanswered
        if reason.outcome == outcome
    )


def _full(view: View) -> Iterator[str]:
    """Yield the saturated resources with their share of time, and signs of overload."""
    line = view.line
    per_request = peaks(view.results, line)["batch slots"] / max(float(np.max(line.running)), 1e-9)
    shares = {
        "batch slots": line.running * per_request,
        "KV cache of a replica": line.kv_fraction_max,
        "memory bandwidth": line.bandwidth_utilisation,
        "compute": line.compute_utilisation,
    }
    for name, share in shares.items():
        if (full := float(np.mean(share > _NEAR))) >= _NOTABLE:
            verb = "are" if name.endswith("slots") else "is"
            yield (
                f"{name} {verb} saturated (above {100 * _NEAR:.0f} %) for {style.percent(full)} of "
                "the time."
            )
    arrived = line.arrival_per_s > 0.0
    if arrived.any():
        waiting, everyone = (
            float(line.waiting[np.flatnonzero(arrived)[-1]]),
            len(view.results.requests),
        )
        if waiting > max(10.0, 0.05 * everyone):
            yield f"{waiting:.0f} requests were waiting when arrivals stopped: the load may exceed the cluster's capacity."
    for name, what, least in (
        ("bandwidth_saturated_fraction", "memory bandwidth limited the steps", _NOTABLE),
        ("throttled_fraction", "devices were throttled", 0.0),
    ):
        share_of = view.summary.get(name)
        if share_of is not None and share_of > least:
            yield f"{what} for {style.percent(share_of)} of the time."


def _links(view: View) -> Iterator[str]:
    """Yield warnings about links with a mean utilisation above 80 %."""
    links = view.results.links
    if "utilisation" not in links.column_names:  # a run of an earlier version
        return
    for place in np.flatnonzero(links["utilisation"].to_numpy() > 0.8)[:5].tolist():
        share = style.percent(min(float(links["utilisation"][place].as_py()), 1.0))
        start, end = links["from"][place], links["to"][place]
        yield f"the link from {start} to {end} is saturated: mean utilisation {share}."
