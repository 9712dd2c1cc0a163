"""Messages for releases of engines that have no profile of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence


def covering_release(value: str, names: Sequence[str]) -> str:
    """Return the rest of a message for a release without an entry; empty for other names.

    A profile covers its release and those after it, up to the next profile.

    >>> profiles = ["vllm", "vllm-0.10", "vllm-0.22", "vllm-0.28"]
    >>> covering_release("vllm-0.24.1", profiles), covering_release("vllm-0.9", profiles)
    ('; vllm-0.22 covers it', '; the oldest profile is vllm-0.10')
    >>> covering_release("vllm-0.30", profiles), covering_release("llama-3.1-8b", ["llama-3.1-70b"])
    ('; vllm-0.28 is the newest release before it', '')
    """
    if (release := _numbers(value)) is None:
        return ""
    known = ((_numbers(name), name) for name in names)
    alike = sorted((own[1], name) for own, name in known if own and own[0] == release[0])
    if not alike:
        return ""
    older = [name for own, name in alike if own <= release[1]]
    if not older:
        return f"; the oldest profile is {alike[0][1]}"
    is_last = older[-1] == alike[-1][1]
    return f"; {older[-1]} {'is the newest release before it' if is_last else 'covers it'}"


def _numbers(name: str) -> tuple[str, list[int]] | None:
    """Return engine and numbers of a release such as vllm-0.22; None for another name."""
    match = re.fullmatch(r"([a-z]\w*)-v?(\d{1,3}(?:\.\d+)*)", name)
    return (match[1], [int(part) for part in match[2].split(".")]) if match else None
