"""Columns of the table of attempts: name, unit and meaning of each, in the order of the file."""

from __future__ import annotations

from cluster_sim.results.columns import REQUESTS, Column, names

OUTCOMES = (
    "answered",
    "superseded",
    "timed_out",
    "cancelled",
    "rejected",
    "failed",
    "unfinished",
)
"""Outcomes of attempts."""

MORE_OF_ATTEMPTS = (
    Column("original", "", "Number of the client's request, `request` in the table of requests."),
    Column("attempt", "", "Number of earlier attempts of the client's request."),
    Column("cause", "", "Cause of the attempt: first, retry or hedge.", "texts"),
    Column("outcome", "", "Outcome for the client: answered, superseded (another attempt was answered first), timed_out, cancelled (its user left), rejected, failed (lost with its replica) or unfinished.", "texts"),
    Column("left_s", "s", "Time at which the attempt left the cluster; null if it was inside when the run ended."),
    Column("wasted_tokens", "tokens", "Number of output tokens that were generated in vain: those of attempts without `answered`."),
    Column("wasted_prompt_tokens", "tokens", "Number of prompt tokens that were prefilled in vain, those from the prefix cache excluded."),
)  # fmt: skip
"""Columns that follow those of requests in the table of attempts."""

_OF_CLIENTS = ("attempts", "ended_s", "shown_attempt", "denied_attempts")
"""Columns that only requests of clients have."""

ATTEMPTS = (
    *(column for column in REQUESTS if column.name not in _OF_CLIENTS),
    *MORE_OF_ATTEMPTS,
)
"""Columns of the table of attempts, one row per attempt of a client.

`request` is the number of the attempt, which events and transfers refer to; `status` is its outcome
for the cluster."""

MORE_NAMES = names(MORE_OF_ATTEMPTS)
