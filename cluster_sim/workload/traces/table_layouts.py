"""Layouts of known tables: the names of their columns, and documented units."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.workload.traces.columns import TraceColumns
from cluster_sim.workload.traces.unit_names import NumberUnit


class TableLayout(NamedTuple):
    """Names of the columns of a table."""

    arrival: str
    """Name of the column of arrival times."""
    prompt: str
    """Name of the column of prompt lengths [tokens]."""
    output: str
    """Name of the column of output lengths [tokens]."""
    unit: NumberUnit | None = None
    """Documented unit of times that are numbers; None if the data decides."""
    session: str | None = None
    """Name of the column of sessions; None if every request stands alone."""
    elapsed: str | None = None
    """Name of the column of times from arrival until the end of the answer, in the unit of
    arrivals; None without such a column."""
    is_given: bool = False
    """Whether the scenario gives the names of the columns."""

    @property
    def columns(self) -> tuple[str, str, str]:
        """Names of the columns of time, prompt and output."""
        return self.arrival, self.prompt, self.output

    @classmethod
    def of(cls, columns: TraceColumns, *, is_given: bool) -> TableLayout:
        """Return the layout of columns that a scenario gives, or that have well-known names."""
        return cls(
            columns.arrival,
            columns.prompt,
            columns.output,
            session=columns.session,
            is_given=is_given,
        )


LAYOUTS: dict[str, TableLayout] = {
    "azure": TableLayout("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    # BurstGPT_3 has sessions, and the latency of each request.
    "burstgpt": TableLayout(
        "Timestamp", "Request tokens", "Response tokens", "s", "Session ID", "Elapsed time"
    ),
    "vidur": TableLayout("arrived_at", "num_prefill_tokens", "num_decode_tokens", "s"),
    "splitwise": TableLayout("arrival_timestamp", "prompt_size", "token_size", "s"),
}
