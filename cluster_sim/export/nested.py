"""Look-up of keys anywhere in the JSON documents of benchmark clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_DEEPEST = 6
"""Maximum depth of a value in a document."""


def text_under(document: Any, keys: Sequence[str], depth: int = 0) -> str | None:
    """Return the first text under one of `keys` in a JSON document, or the first of a list there.

    Examples
    --------
    >>> text_under({"a": [{"models": ["m", "n"]}]}, ("model", "models"))
    'm'
    """
    value = under(document, keys, str, depth)
    return value if isinstance(value, str) else None


def under(document: Any, keys: Sequence[str], kinds: Any, depth: int = 0) -> Any:
    """Return the first value of one of `kinds` under one of `keys`; None if there is none."""
    if depth > _DEEPEST:
        return None
    if isinstance(document, list):
        inner = document[:1]
    elif isinstance(document, dict):
        for key in keys:
            value = document.get(key)
            value = value[0] if isinstance(value, list) and value else value
            if isinstance(value, kinds) and not isinstance(value, bool):
                return value
        inner = list(document.values())
    else:
        return None
    return next(
        (value for each in inner if (value := under(each, keys, kinds, depth + 1)) is not None),
        None,
    )
