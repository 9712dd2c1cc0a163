"""What a page says of runs in sentences: the verdict, and what to be careful with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from cluster_sim.figures import style
from cluster_sim.figures.timeline import peaks
from cluster_sim.report.charts import View
from cluster_sim.report.provenance import Used, confidence_counts

_NEAR = 0.95
_FEW = 1000
_OBJECTIVES = (("ttft", "TTFT"), ("tpot", "TPOT"), ("e2el", "E2E latency"))


def verdict(shown: Sequence[View]) -> list[str]:
    """A sentence for each run: how it does by its objectives; then which does best, what tokens
    cost, and what fills up.
    """
    said = [_of_run(view) for view in shown]
    if (best := _best(shown)) is not None:
        said.append(best)
    costs = [
        (view.label, cost)
        for view in shown
        if (cost := view.summary.get("usd_per_million_output_tokens")) is not None
    ]
    if costs:
        said.append(
            f"A million output tokens cost {', '.join(f'{cost:,.3g} USD on {label}' for label, cost in costs)}."
        )
    filled = []
    for view in shown:
        most = peaks(view.results, view.line)
        fullest = max(most, key=lambda name: most[name])
        filled.append(f"{view.label}: {fullest}, {style.percent(min(most[fullest], 1.0))}")
    return [*said, f"What fills up most, in the bin where it is most: {'; '.join(filled)}."]


def _of_run(view: View) -> str:
    summary, scenario = view.summary, view.results.scenario
    if not summary["completed"]:
        return f"{view.label}: no request that counts was answered."
    parts = []
    for which, name in _OBJECTIVES:
        if (found := summary.get(f"p99_{which}_ms")) is None:
            continue
        limit_s = getattr(scenario.slo, f"{which}_s")
        met = (
            ""
            if limit_s is None
            else f" (objective {style.duration(limit_s)}: {'met' if found <= 1e3 * limit_s else 'missed'})"
        )
        parts.append(f"{name} {style.duration(found / 1e3)}{met}")
    lead = f"{view.label} answers {summary['request_throughput']:.3g} requests/s"
    if "slo_attainment" in summary:
        lead += f", {style.percent(summary['slo_attainment'])} of all within the SLO"
    return f"{lead}; at p99 {', '.join(parts)}."


def _best(shown: Sequence[View]) -> str | None:
    """By attainment where all have objectives, else by the p99 of TTFT."""
    if len(shown) < 2:
        return None
    if all("slo_attainment" in view.summary for view in shown):
        first, *others = sorted(shown, key=lambda view: -view.summary["slo_attainment"])
        most = first.summary["slo_attainment"]
        if others[0].summary["slo_attainment"] == most:
            return f"No run has more requests within the SLO than {first.label}, {style.percent(most)}."
        beside = ", ".join(
            f"{view.label} {style.percent(view.summary['slo_attainment'])}" for view in others
        )
        return f"{first.label} has most requests within the SLO: {style.percent(most)}, against {beside}."
    answered = [view for view in shown if "p99_ttft_ms" in view.summary]
    if len(answered) < 2:
        return None
    first, second, *_ = sorted(answered, key=lambda view: float(view.summary["p99_ttft_ms"]))
    times = second.summary["p99_ttft_ms"] / first.summary["p99_ttft_ms"]
    return f"{first.label} has the shortest p99 of TTFT, {style.duration(first.summary['p99_ttft_ms'] / 1e3)}; that of {second.label} is {times:.3g} times as long."


def warnings(
    shown: Sequence[View], figures_used: Sequence[Used], swings: Sequence[tuple[str, float]] = ()
) -> list[str]:
    """What a reader should know before relying on the page; swings: figures on which the answer
    hangs, and by how much of it.
    """
    said = list(
        dict.fromkeys(warning for view in shown for warning in view.results.scenario.warnings())
    )
    for view in shown:
        said += [f"{view.label}: {text}" for text in _of_one(view)]
    first = shown[0].results.requests["arrival_s"] if shown else None
    if any(not view.results.requests["arrival_s"].equals(first) for view in shown[1:]):
        said.append(
            "The runs did not see the same arrivals: differences between them are partly those of their traffic."
        )
    counts = confidence_counts(figures_used)
    if counts["low"]:
        entries = ", ".join(
            f"{entry} {count}"
            for entry, count in Counter(
                one.entry for one in figures_used if one.confidence == "low"
            ).most_common()
        )
        hangs = "; ".join(
            f"{name} moves the outcome by {style.percent(swing)}" for name, swing in swings[:5]
        )
        more = (
            f"most hangs on: {hangs}"
            if hangs
            else "cluster-sim sensitivity tells which of them the answer hangs on"
        )
        said.append(
            f"{counts['low']} of {sum(counts.values())} figures of the catalog are estimates of low confidence ({entries}); {more}."
        )
    return said


def _of_one(view: View) -> Iterator[str]:
    results, summary = view.results, view.summary
    yield from results.info.notes
    if summary["rejected"]:
        what, reasons = (results.events[name].to_pylist() for name in ("what", "reason"))
        count = Counter(
            reason or "rejected"
            for kind, reason in zip(what, reasons, strict=True)
            if kind == "rejected"
        )
        why = ", ".join(f"{reason} {number:,}" for reason, number in count.most_common())
        yield f"{summary['rejected']:,} requests were rejected ({why}); latencies are of the others."
    if summary["failed"]:
        yield f"{summary['failed']:,} requests had not finished when the run ended; latencies are of the others, so they look better than they are."
    if 0 < summary["completed"] < _FEW:
        yield f"only {summary['completed']:,} requests count: p99 rests on the slowest {max(summary['completed'] // 100, 1)} of them."
    if summary["preemptions"]:
        yield f"{summary['preemptions']:,} preemptions: KV room was spent, and work was done again or pages moved."
    yield from _full(view)
    yield from _links(view)


def _full(view: View) -> Iterator[str]:
    line = view.line
    places = peaks(view.results, line)["batch places"] / max(float(np.max(line.running)), 1e-9)
    shares = {
        "batch places": line.running * places,
        "KV room of a replica": line.kv_fraction_max,
        "memory bandwidth": line.bandwidth_utilisation,
        "compute": line.compute_utilisation,
    }
    for name, share in shares.items():
        if (full := float(np.mean(share > _NEAR))) > 0.0:
            yield f"{name} {'are' if name.endswith('places') else 'is'} saturated, above {100 * _NEAR:.0f} %, for {style.percent(full)} of the time."
    arrived = line.arrival_per_s > 0.0
    if arrived.any():
        waiting, everyone = (
            float(line.waiting[np.flatnonzero(arrived)[-1]]),
            len(view.results.requests),
        )
        if waiting > max(10.0, 0.05 * everyone):
            yield f"{waiting:.0f} requests were waiting when arrivals stopped: the load may be more than it can carry for long."
    for name, what in (
        ("bandwidth_saturated_fraction", "memory bandwidth is what steps waited for,"),
        ("throttled_fraction", "devices were throttled,"),
    ):
        if (share_of := view.summary.get(name)) is not None and share_of > 0.0:
            yield f"{what} {style.percent(share_of)} of the time."


def _links(view: View) -> Iterator[str]:
    """Links that were busy nearly all the time."""
    links = view.results.links
    if "utilisation" not in links.column_names:  # a run of an earlier version
        return
    for place in np.flatnonzero(links["utilisation"].to_numpy() > 0.8)[:5].tolist():
        share = style.percent(min(float(links["utilisation"][place].as_py()), 1.0))
        yield f"the link from {links['from'][place]} to {links['to'][place]} is saturated: {share} of what it could carry."
