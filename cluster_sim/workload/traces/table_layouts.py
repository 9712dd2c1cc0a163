"""Names of the columns of tables, and units that documents give."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.workload.traces.columns import TraceColumns
from cluster_sim.workload.traces.unit_names import NumberUnit


class TableLayout(NamedTuple):
    """The columns of a table."""

    arrival: str
    """Name of the column of arrival times."""
    prompt: str
    """Name of the column of prompt lengths [tokens]."""
    output: str
    """Name of the column of output lengths [tokens]."""
    unit: NumberUnit | None = None
    """Unit of times that are numbers, as documents give it; None where the data decides."""
    session: str | None = None
    """Name of the column of sessions; None where requests do not follow one another."""
    elapsed: str | None = None
    """Name of the column of times from arrival until the end of the answer, in the unit of
    arrivals; None where there is none."""
    is_given: bool = False
    """Whether a scenario names the columns."""

    @property
    def columns(self) -> tuple[str, str, str]:
        """Names of the columns of time, prompt and output."""
        return self.arrival, self.prompt, self.output

    @classmethod
    def of(cls, columns: TraceColumns, *, is_given: bool) -> TableLayout:
        """Return the layout of columns that a scenario names, or that are well known."""
        return cls(
            columns.arrival,
            columns.prompt,
            columns.output,
            session=columns.session,
            is_given=is_given,
        )


LAYOUTS: dict[str, TableLayout] = {
    "azure": TableLayout("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    # BurstGPT_3 has sessions, and how long each request took.
    "burstgpt": TableLayout(
        "Timestamp", "Request tokens", "Response tokens", "s", "Session ID", "Elapsed time"
    ),
    "vidur": TableLayout("arrived_at", "num_prefill_tokens", "num_decode_tokens", "s"),
    "splitwise": TableLayout("arrival_timestamp", "prompt_size", "token_size", "s"),
}
