"""Errors of predictions against measurements, as `validate` prints them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from cluster_sim.validation import Measurements, Prediction

_FITS = {"all": "", "yes": "all in a fit", "no": "all in no fit"}
"""Names of groups of values by whether a constant was fitted to them."""


def errors_table(predictions: Sequence[Prediction]) -> Table:
    """Return the table of errors by data set, hardware and model, by data set, and overall."""
    from rich.table import Table

    from cluster_sim.validation import METRICS, errors

    table = Table(title="Errors of predictions against measurements", title_justify="left")
    for heading in ("data set", "hardware", "model", "release", "metric"):
        table.add_column(heading)
    for heading in ("values", "in a fit", "median |error|", "p90 |error|", "bias"):
        table.add_column(heading, justify="right")
    group_above: tuple[str, ...] = ()
    for by in (("dataset", "hardware", "model"), ("dataset",), ("release",), ("fit",), ()):
        table.add_section()
        for row in errors(predictions, by):
            group = (_FITS[row.fit] or row.dataset, row.hardware, row.model, row.release)
            names = group if group != group_above else ("", "", "", "")
            counts = (f"{row.count:,}", f"{row.fitted:,}")
            shares = (f"{row.median:.1%}", f"{row.p90:.1%}", f"{row.bias:+.1%}")
            table.add_row(*names, METRICS[row.metric], *counts, *shares)
            group_above = group
    return table


def closing_lines(predictions: Sequence[Prediction], measurements: Measurements) -> list[str]:
    """Return lines with the numbers of runs, of failed set-ups and of omitted rows."""
    from cluster_sim.validation import TTFT_RULE

    faults = Counter(_reason(prediction) for prediction in predictions if prediction.fault)
    failed = sum(faults.values())
    lines = [f"{len(predictions):,} runs, {len(predictions) - failed:,} simulated. {TTFT_RULE}"]
    if faults:
        lines.append(f"{failed:,} could not be set up:")
        lines += [f"  {count:>6,}  {reason}" for reason, count in faults.most_common()]
    if unset := measurements.unset:
        lines.append(
            f"{sum(unset.values()):,} values not compared, because a setting of the engine changes them "
            "and the profile does not have it:"
        )
        lines += [f"  {count:>6,}  {setting}" for setting, count in unset.items()]
    if left_out := measurements.left_out:
        lines.append(f"{sum(left_out.values()):,} rows omitted:")
        lines += [f"  {count:>6,}  {rule}" for rule, count in left_out.items()]
    return lines


def _reason(prediction: Prediction) -> str:
    """Return the reason why a run cannot be set up, without its name and its numbers."""
    text = prediction.fault.splitlines()[0]
    text = text.removeprefix(prediction.measured.name).lstrip(": ")
    return re.sub(r"\b\d+(\.\d+)?\b", "N", text)
