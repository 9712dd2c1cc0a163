"""Table of the options that are written, and the releases of the engines that have them.

`catalog/engine_options.csv` names the releases whose parser or schema has each option, and the file in
which it was found. vLLM and SGLang: the files of the packages on PyPI. TensorRT-LLM: the list of
fields that the project keeps in its repository.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from cluster_sim.schema import CATALOG
from cluster_sim.serving.engine import Engine

Release = tuple[int, ...]
_RELEASE = re.compile(r"\d+\.\d+")


class Option(NamedTuple):
    """One option of an engine."""

    since: Release
    """Lowest release that has it, as far as it was checked."""
    until: Release | None
    """Highest release that has it; None if the newest one does."""
    keys: tuple[str, ...]
    """Keys of a pool that it stands for."""

    def is_in(self, release: Release) -> bool:
        """Return whether a release has the option."""
        return self.since <= release and (self.until is None or release <= self.until)


@cache
def options() -> dict[tuple[str, str], Option]:
    """Return the options by engine and name."""
    with (CATALOG / "engine_options.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["engine"], row["option"]): Option(
                _numbers(row["since"] or "0.0"),
                _numbers(row["until"]) if row["until"] else None,
                tuple(key for key in row["keys"].split("; ") if key),
            )
            for row in csv.DictReader(file)
        }


def _numbers(text: str) -> Release:
    return tuple(int(part) for part in text.split("."))


def release_of(engine: Engine) -> Release:
    """Return the release of an engine; (0, 0) if neither its name nor its releases give one.

    >>> from cluster_sim.schema import Document, describe, named
    >>> release_of(describe(Engine, Document(named("engines", "vllm-0.22"), "")))
    (0, 22)
    """
    for text in (engine.profile, engine.releases):
        if match := _RELEASE.search(text):
            return _numbers(match[0])
    return (0, 0)


def with_known(target: str, engine: Engine, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the release of an engine has.

    Parameters
    ----------
    target
        Name of the engine in the table.
    engine
        Engine of the pool.
    written
        Options by name; `--no-…` is the same option as without it. A mapping is a section of YAML.
    """
    release = release_of(engine)
    return dict(_known(target, release, written, ""))


def _known(
    target: str, release: Release, written: Mapping[str, Any], above: str
) -> Iterator[tuple[str, Any]]:
    for name, value in written.items():
        if isinstance(value, dict) and not name.startswith("--") and name:
            yield name, dict(_known(target, release, value, f"{above}{name}."))
            continue
        option = options().get((target, f"{above}{name}".replace("--no-", "--")))
        if option is None or option.is_in(release):  # none: the model, or an empty section
            yield name, value
