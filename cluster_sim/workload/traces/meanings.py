"""Columns that a replay does not use although they may change what the rows mean."""

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
    """What some columns may mean for a replay."""

    names: list[str]
    """Columns that are there."""
    sentence: str
    """What is said of them."""


def note_meanings(names: Iterable[str], prompt: str, tally: Tally) -> None:
    """Note the columns that a replay does not use and that may change what a row means.

    Parameters
    ----------
    names
        Columns or keys that are not used.
    prompt
        Name of the column of prompt lengths.
    tally
        Notes on the file.
    """
    own = {name: loose(name.rsplit(".", 1)[-1]) for name in names}
    for meaning in (
        _Meaning(
            [name for name, plain in own.items() if plain.startswith(_CACHED)],
            f"not added to {prompt}: prompts may be longer by these (Anthropic's input_tokens leaves cached tokens out); where they are, add them up in one column",
        ),
        _Meaning(
            [name for name, plain in own.items() if plain in _FAILURES],
            "not used: requests that failed, if there are any, are replayed too; to leave them out, remove their rows",
        ),
        _Meaning(
            [name for name, plain in own.items() if plain in _COUNTS],
            "not used: each row is replayed as one request; where a row stands for many, the file is a summary and no trace",
        ),
    ):
        if meaning.names:
            verb = "is" if len(meaning.names) == 1 else "are"
            tally.note(f"{' and '.join(meaning.names)} {verb} {meaning.sentence}")
