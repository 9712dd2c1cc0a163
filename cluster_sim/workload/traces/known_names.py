"""Names of columns and keys: how they are compared, which are well known, and what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cluster_sim.workload.traces.columns import TraceColumns


class Role(NamedTuple):
    """What a column holds, and how its name is known."""

    name: str
    """Key of `columns` in a scenario."""
    known: tuple[str, ...]
    """Well-known names, the usual ones first."""
    words: tuple[str, ...]
    """Words in other names that hint at it, the surest first."""


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
        ("arriv", "timestamp", "start", "stamp", "time", "date"),
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


def loose(name: str) -> str:
    """Return a name as it is compared: without case, and without all but letters and digits.

    >>> loose("Context-Tokens"), loose("arrival_s"), loose("#")
    ('contexttokens', 'arrivals', '#')
    """
    return "".join(filter(str.isalnum, name.casefold())) or name.strip()


def alike(names: Iterable[str], wanted: str) -> list[str]:
    """Return the names that are alike one that is wanted."""
    own = loose(wanted)
    return [name for name in names if loose(name) == own]


def known_columns(names: Sequence[str]) -> TraceColumns | None:
    """Return the columns that hold what a replay needs; None unless each is known exactly once."""
    found = [known_of(names, role) for role in ROLES]
    if any(len(own) != 1 for own in found):
        return None
    arrival, prompt, output = (own[0] for own in found)
    return TraceColumns(arrival=arrival, prompt=prompt, output=output)


def known_of(names: Sequence[str], role: Role) -> list[str]:
    """Return the names that are well known to hold this."""
    known = set(map(loose, role.known))
    return [name for name in names if loose(name) in known]


def mapping(names: Sequence[str]) -> str:
    """Return the line of a scenario that would say what each column holds, as far as names hint.

    >>> mapping(["user", "arrived_s", "prompt_len"])
    'columns: {arrival: arrived_s, prompt: prompt_len, output: …}'
    """
    taken: set[str] = set()
    parts = []
    for role in ROLES:
        guess = _guess([name for name in names if name not in taken], role)
        taken.add(guess or "")
        parts.append(f"{role.name}: {'…' if guess is None else quoted(guess)}")
    return f"columns: {{{', '.join(parts)}}}"


def _guess(names: Sequence[str], role: Role) -> str | None:
    """Return the name that most likely holds this."""
    if known := known_of(names, role):
        return known[0]
    others = [word for other in ROLES if other is not role for word in other.words]
    for word in role.words:
        hinted = [name for name in names if word in name.casefold()]
        if role.name == "arrival":  # input_time is no arrival where another is at hand
            hinted.sort(key=lambda name: any(own in name.casefold() for own in others))
        if hinted:
            return hinted[0]
    return None


def quoted(name: str) -> str:
    """Return a name as it may stand in a mapping of one line of YAML."""
    return name if re.fullmatch(r"[A-Za-z_][\w.-]*( [\w.-]+)*", name) else f"'{name}'"
