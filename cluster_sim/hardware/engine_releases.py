"""Releases of serving engines, as their names state them.

A name such as `vLLM 0.22` is an engine with a release. Figures that were measured with an engine
are listed under such names, or under the engine alone. A release without figures of its own takes
those of the newest release before it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

GPU_ENGINES = ("vLLM", "SGLang", "TensorRT-LLM", "ATOM")
"""Engines that run on GPUs only, without their releases."""
WAFER_ENGINES = ("Cerebras",)
"""Engines that run on wafers only."""
_NAME = re.compile(r"(.*\S) (\d+(?:([.-])\d+)*)")


def maker(engine: str) -> str:
    """Return the name of an engine without its release.

    >>> maker("vLLM 0.22"), maker("TensorRT-LLM 2025-05"), maker("SGLang")
    ('vLLM', 'TensorRT-LLM', 'SGLang')
    """
    match = _NAME.fullmatch(engine)
    return match[1] if match else engine


def listed_as(names: Collection[str], engine: str) -> str | None:
    """Return the name under which the figures of an engine are listed; None if there is none.

    It is the engine's own name, else that of its newest earlier release, else its name without a
    release. Releases that are numbers and releases that are dates have no order between them.

    Parameters
    ----------
    names
        Names of engines, with or without a release.
    engine
        Name of an engine, with or without a release.

    Examples
    --------
    >>> listed_as(["vLLM", "vLLM 0.9", "vLLM 0.15"], "vLLM 0.22")
    'vLLM 0.15'
    >>> listed_as(["vLLM", "vLLM 0.15"], "vLLM 0.10"), listed_as(["vLLM"], "SGLang 0.5")
    ('vLLM', None)
    """
    if engine in names:
        return engine
    own = _release(engine)
    if own is None:
        return None
    older = [
        (release, name)
        for name in names
        if maker(name) == maker(engine)
        and (release := _release(name)) is not None
        and release[0] == own[0]
        and release <= own
    ]
    if older:
        return max(older)[1]
    return maker(engine) if maker(engine) in names else None


def is_since(engine: str, release: str) -> bool:
    """Return whether an engine's release is a number, and at least `release`.

    >>> [is_since(name, "0.5.14") for name in ("SGLang 0.5.14", "SGLang 0.5", "SGLang")]
    [True, False, False]
    """
    own, first = _release(engine), _release(f"engine {release}")
    return own is not None and first is not None and own[0] == first[0] and own >= first


def _release(engine: str) -> tuple[bool, tuple[int, ...]] | None:
    """Return whether the release is a date, and its numbers; None without a release."""
    match = _NAME.fullmatch(engine)
    if match is None:
        return None
    return match[3] == "-", tuple(int(part) for part in re.split(r"[.-]", match[2]))
