"""Notes on unused columns that may change the meaning of rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cluster_sim.workload.traces.known_names import loose
from cluster_sim.workload.traces.progress import Tally

_FAILURES = {
    *("status", "statuscode", "httpstatus", "httpstatuscode", "responsestatus", "state"),
    *("success", "succeeded", "issuccess", "ok", "outcome", "result"),
    *("error", "errors", "iserror", "errorcode", "errormessage", "failed", "isfailed", "failure"),
}
_COUNTS = {
    *("requests", "count", "numrequests", "requestcount", "nrequests", "requestscount"),
    *("calls", "numcalls", "callcount"),
}
_CACHED = ("cacheread", "cachecreation", "cachewrite")


class _Meaning(NamedTuple):
    """Possible meaning of some columns for a replay."""

    names: list[str]
    """Columns of the file with this meaning."""
    sentence: str
    """End of the note on the columns."""


def note_meanings(names: Iterable[str], prompt: str, tally: Tally) -> None:
    """Note the columns that a replay does not use and that may change the meaning of rows.

    Parameters
    ----------
    names
        Unused columns or keys.
    prompt
        Name of the column of prompt lengths.
    tally
        Counters and notes of the file.
    """
    own = {name: loose(name.rsplit(".", 1)[-1]) for name in names}
    for meaning in (
        _Meaning(
            [name for name, plain in own.items() if plain.startswith(_CACHED)],
            f"not added to {prompt}: prompts may be longer by these tokens (Anthropic's input_tokens excludes cached tokens); if so, write the sum into one column",
        ),
        _Meaning(
            [name for name, plain in own.items() if plain in _FAILURES],
            "not used: failed requests, if there are any, are replayed too; to omit them, remove their rows",
        ),
        _Meaning(
            [name for name, plain in own.items() if plain in _COUNTS],
            "not used: each row is replayed as one request; if a row counts several requests, the file is a summary, not a trace",
        ),
    ):
        if meaning.names:
            verb = "is" if len(meaning.names) == 1 else "are"
            tally.note(f"{' and '.join(meaning.names)} {verb} {meaning.sentence}")
