"""Sentences of a page about failures and times without replicas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cluster_sim.figures import style


def failures(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence about the faults of a run, and one about a time without replicas."""
    if count := summary.get("failures"):
        text = f"{count:,} failure{'s' * (count > 1)}"
        if (retried := summary.get("requests_retried")) is not None:
            text += f"; {retried:,} requests lost their replica and were sent to another one"
        if (stuck := summary.get("unrecovered_failures")) is not None:
            text += f"; after {stuck:,} of them more requests waited than before until the end"
        elif recovery_s := summary.get("time_to_recover_s"):
            text += f"; the queue was as before after {style.duration(recovery_s)}"
        yield f"{text}."
    if outage_s := summary.get("outage_s"):
        yield f"no replica was ready for {style.duration(outage_s)}."
