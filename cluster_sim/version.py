"""Version of this package."""

from __future__ import annotations

from pathlib import Path


def own_version() -> str:
    """Return the version of this package.

    An installed package knows it from its metadata, and a checkout that is not installed from the
    `pyproject.toml` beside the package. It is `unknown` without either.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cluster-sim")
    except PackageNotFoundError:
        return _version_of_checkout(Path(__file__).parents[1] / "pyproject.toml")


def _version_of_checkout(project_file: Path) -> str:
    import tomllib

    try:
        project = tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, LookupError):
        return "unknown"
    return str(project["version"]) if project.get("name") == "cluster-sim" else "unknown"
