"""Names of the columns of a table in a scenario."""

from __future__ import annotations

from cluster_sim.schema import Description


class TraceColumns(Description):
    """Names of the columns, or keys, with the values that a replay needs.

    Case and punctuation do not matter: `prompt_len` matches `Prompt Len`. A point separates the keys
    of nested JSON objects: `usage.prompt_tokens`.
    """

    arrival: str
    """Name of the column of arrival times."""
    prompt: str
    """Name of the column of prompt lengths [tokens]."""
    output: str
    """Name of the column of output lengths [tokens]."""
    session: str | None = None
    """Name of the column that identifies the conversation of a request. Default: every request
    stands alone."""
