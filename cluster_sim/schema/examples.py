"""Scenarios that ship with the package, and their names `example:NAME`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cluster_sim.errors import ScenarioError, did_you_mean, shown

EXAMPLE = "example:"
"""Prefix of the name of a scenario that ships with the package."""
_PACKAGE = Path(__file__).parents[1]


def examples_folder() -> Path:
    """Return the folder of the scenarios that ship with the package.

    An installed package contains them. A checkout has them in `scenarios/`, beside the package.
    """
    shipped = _PACKAGE / "examples"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "scenarios"


@cache
def example_names() -> tuple[str, ...]:
    """Return the names of the scenarios that ship with the package, sorted."""
    return tuple(sorted(path.stem for path in examples_folder().glob("*.yaml")))


def example_path(name: str) -> Path:
    """Return the file of a scenario that ships with the package.

    Parameters
    ----------
    name
        Name of the scenario, without `example:`. A hyphen may stand for an underscore, and the
        suffix `.yaml` is accepted.

    Raises
    ------
    ScenarioError
        There is no such scenario.
    """
    plain = name.strip().removesuffix(".yaml").replace("-", "_")
    if plain not in example_names():
        raise ScenarioError.at(
            f"{EXAMPLE}{name}",
            f"no example {shown(name)}{did_you_mean(plain, example_names())}"
            " (`cluster-sim examples` lists all)",
        )
    return examples_folder() / f"{plain}.yaml"


def user_file(path: str | Path) -> Path:
    """Return the file that a user named: the path, or the example of `example:NAME`.

    Raises
    ------
    ScenarioError
        There is no example of that name.

    Examples
    --------
    >>> user_file("mine.yaml").name, user_file("example:burst-70b").name
    ('mine.yaml', 'burst_70b.yaml')
    """
    name = str(path)
    return example_path(name.removeprefix(EXAMPLE)) if name.startswith(EXAMPLE) else Path(path)
