"""Messages for releases of engines that have no profile of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping


def covering_release(value: str, profiles: Mapping[str, str]) -> str:
    """Return the rest of a message for a release without an entry; empty for other names.

    Parameters
    ----------
    value
        Name that a file gives, such as vllm-0.24.1.
    profiles
        Names of profiles with the releases that each covers, such as 0.20 to 0.27.

    Examples
    --------
    >>> profiles = {"vllm-0.10": "0.9 to 0.13", "vllm-0.22": "0.20 to 0.27", "vllm-2025-07": ""}
    >>> covering_release("vllm-0.20.1", profiles), covering_release("vllm-0.8", profiles)
    ('; vllm-0.22 covers it (0.20 to 0.27)', '; the oldest profile is vllm-0.10 (0.9 to 0.13)')
    >>> covering_release("vllm-0.30", profiles), covering_release("llama-3.1-8b", profiles)
    ('; the newest profile before it is vllm-0.22 (0.20 to 0.27)', '')
    """
    if (release := _numbers(value)) is None:
        return ""
    engine, numbers = release
    known = ((_numbers(name), name, releases) for name, releases in profiles.items())
    spans = sorted(
        (*_span(releases, own[1]), name, releases)
        for own, name, releases in known
        if own and own[0] == engine
    )
    if not spans:
        return ""
    older = [span for span in spans if span[0] <= numbers]
    _, last, name, releases = older[-1] if older else spans[0]
    range_ = f" ({releases})" if releases else ""
    if not older:
        return f"; the oldest profile is {name}{range_}"
    if numbers[: len(last)] <= last:
        return f"; {name} covers it{range_}"
    return f"; the newest profile before it is {name}{range_}"


def _span(releases: str, own: list[int]) -> tuple[list[int], list[int]]:
    """Return the first and the last release of a text; the profile's own release without one."""
    match = re.fullmatch(r"([\d.]+)(?: (?:to|and) ([\d.]+|later))?", releases)
    if match is None:
        return own, own
    first = [int(part) for part in match[1].split(".")]
    if match[2] == "later":
        return first, [10**6]
    last = match[2] or match[1]
    return first, [int(part) for part in last.split(".")]


def _numbers(name: str) -> tuple[str, list[int]] | None:
    """Return engine and numbers of a release such as vllm-0.22; None for another name."""
    match = re.fullmatch(r"([a-z]\w*)-v?(\d{1,3}(?:\.\d+)*)", name)
    return (match[1], [int(part) for part in match[2].split(".")]) if match else None
