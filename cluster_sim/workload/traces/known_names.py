"""Names of columns and keys: comparison, well-known names, and guesses of their content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cluster_sim.workload.traces.columns import TraceColumns


class Role(NamedTuple):
    """Role of a column in a replay, and the names by which it is recognised."""

    name: str
    """Key of `columns` in a scenario."""
    known: tuple[str, ...]
    """Well-known names, the most usual name first."""
    words: tuple[str, ...]
    """Words in other names that hint at the role, the surest word first."""


ROLES = (
    Role(
        "arrival",
        (
            "timestamp",
            "arrival_time",
            "arrival",
            "arrival_s",
            "arrival_timestamp",
            "arrived_at",
            "request_time",
            "time",
            "start_time",
        ),
        ("arriv", "timestamp", "start", "stamp", "time", "created", "sent", "received", "date"),
    ),
    Role(
        "prompt",
        (
            "prompt_tokens",
            "input_tokens",
            "context_tokens",
            "input_length",
            "num_prefill_tokens",
            "prompt_length",
            "isl",
            "request_tokens",
            "num_prompt_tokens",
        ),
        ("prompt", "input", "context", "prefill", "isl"),
    ),
    Role(
        "output",
        (
            "output_tokens",
            "completion_tokens",
            "generated_tokens",
            "output_length",
            "num_decode_tokens",
            "response_tokens",
            "osl",
            "num_output_tokens",
        ),
        ("output", "completion", "generated", "decode", "response", "osl"),
    ),
)

_NO_ARRIVAL = re.compile(
    r"(?<![a-z])(inter(?!n)|end|iat|e2e|itl|tpot|ttft|took)|(?<!s)end(_?time|ed)|interarrival"
    r"|finish|complete|completion|latenc|duration|elapsed|delay|gap|response|queue|wait"
)
"""Pattern of the names of times that are not arrivals; a capital within a name becomes `_`."""
_DATES = ("date", "day", "datum")
_MAX_DEPTH = 4  # of nested objects
_MAX_LEAVES = 200


def loose(name: str) -> str:
    """Return the letters and digits of a name in lower case, for comparison.

    >>> loose("Context-Tokens"), loose("arrival_s"), loose("#")
    ('contexttokens', 'arrivals', '#')
    """
    return "".join(filter(str.isalnum, name.casefold())) or name.strip()


def alike(names: Iterable[str], name: str) -> list[str]:
    """Return the names that equal a name except for case and punctuation."""
    own = loose(name)
    return [name for name in names if loose(name) == own]


def known_columns(names: Sequence[str]) -> TraceColumns | None:
    """Return the columns that a replay needs; None unless each has exactly one well-known name."""
    matches = [known_of(names, role) for role in ROLES]
    if any(len(own) != 1 for own in matches):
        return None
    arrival, prompt, output = (own[0] for own in matches)
    return TraceColumns(arrival=arrival, prompt=prompt, output=output)


def known_of(names: Sequence[str], role: Role) -> list[str]:
    """Return the names that are well-known names of a role."""
    known = set(map(loose, role.known))
    return [name for name in names if loose(name) in known]


def mapping(names: Sequence[str]) -> str:
    """Return a suggestion for `columns` of a scenario, as far as the names give hints.

    >>> mapping(["user", "arrived_s", "prompt_len"])
    'columns: {arrival: arrived_s, prompt: prompt_len, output: …}'
    """
    parts = (
        f"{role}: {'…' if guess is None else quoted(guess)}"
        for role, guess in _guesses(names).items()
    )
    return f"columns: {{{', '.join(parts)}}}"


def suggested(names: Sequence[str]) -> TraceColumns | None:
    """Return the columns that the names suggest; None unless they suggest one for each role.

    >>> suggested(["arrived_s", "prompt_len", "output_len"]).prompt
    'prompt_len'
    """
    columns = {role: guess for role, guess in _guesses(names).items() if guess is not None}
    return TraceColumns(**columns) if len(columns) == len(ROLES) else None


def _guesses(names: Sequence[str]) -> dict[str, str | None]:
    """Return the most likely name of each role, by the role; no name has two roles."""
    guesses: dict[str, str | None] = {}
    for role in ROLES:
        taken = guesses.values()
        guesses[role.name] = _guess([name for name in names if name not in taken], role)
    return guesses


def _guess(names: Sequence[str], role: Role) -> str | None:
    """Return the most likely name of a role; the last part of a nested key counts."""
    last = {name: name.rsplit(".", 1)[-1] for name in names}
    is_arrival = role.name == "arrival"
    others = [word for other in ROLES if other is not role for word in other.words]
    if is_arrival:
        last = {name: own for name, own in last.items() if not _is_no_arrival(own)}
    if known := known_of(names, role) or [n for n in last if known_of([last[n]], role)]:
        return known[0]
    for word in role.words:
        hinted = [name for name, own in last.items() if word in own.casefold()]
        if is_arrival:  # a name such as input_time is only the last choice
            hinted.sort(key=lambda name: any(own in name.casefold() for own in others))
        if hinted:
            return None if is_arrival and _is_half(hinted[0], names) else hinted[0]
    return None


def _is_no_arrival(name: str) -> bool:
    """Return whether a name denotes another time than the arrival.

    >>> list(map(_is_no_arrival, ["endTime", "send_time", "inter_arrival", "internal_time"]))
    [True, False, True, False]
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).casefold()
    return _NO_ARRIVAL.search(re.sub(r"[^a-z0-9]+", "_", spaced)) is not None


def _is_half(name: str, names: Iterable[str]) -> bool:
    """Return whether a column has dates, and another column has the time of day."""
    return loose(name) in _DATES and any(
        word in other.casefold() for other in names if other != name for word in ("time", "hour")
    )


def leaves(value: Any) -> list[str]:
    """Return the keys of plain values of an object and its nested objects, outermost first.

    >>> leaves({"created": 1, "usage": {"prompt_tokens": 3}, "id": "x"})
    ['created', 'id', 'usage.prompt_tokens']
    """
    names: list[str] = []
    level: list[tuple[str, Any]] = [("", value)] if isinstance(value, Mapping) else []
    for _ in range(_MAX_DEPTH):
        inner = [(f"{before}{key}", own) for before, value in level for key, own in value.items()]
        names += [name for name, own in inner if not isinstance(own, (Mapping, list))]
        level = [(f"{name}.", own) for name, own in inner if isinstance(own, Mapping)]
    return names[:_MAX_LEAVES]


def quoted(name: str) -> str:
    """Return a name, quoted if a one-line mapping of YAML needs it."""
    return name if re.fullmatch(r"[A-Za-z_][\w.-]*( [\w.-]+)*", name) else f"'{name}'"
