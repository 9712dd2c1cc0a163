"""Names of the columns of a table in a scenario."""

from __future__ import annotations

from cluster_sim.schema import Description


class TraceColumns(Description):
    """Names of the columns, or keys, with the values that a replay needs.

    Case and punctuation do not matter: `prompt_len` matches `Prompt Len`. A dot reaches into JSON
    objects: `usage.prompt_tokens`.
    """

    arrival: str
    """Name of the column of arrival times."""
    prompt: str
    """Name of the column of prompt lengths [tokens]."""
    output: str
    """Name of the column of output lengths [tokens]."""
    session: str | None = None
    """Name of the column with the conversation to which a request belongs. Default: requests are
    independent."""
