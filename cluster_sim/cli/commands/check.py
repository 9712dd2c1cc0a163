"""`cluster-sim check`: read files and find every fault in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster_sim.cli.console import print_line, warn, warn_of


def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Scenario files.", show_default=False)
    ],
) -> None:
    """Read and check scenario files, traces included, and files of claims: every fault with its file and line."""
    from cluster_sim.claims.file import is_claims, open_claims
    from cluster_sim.errors import Fault, ScenarioError

    faults: list[Fault] = []
    for file in files:
        try:
            if is_claims(file):
                claims = ", ".join(claim.name for claim in open_claims(file).described.claims)
                print_line(f"{file}: right ({claims})")
            else:
                _check_scenarios(file)
        except ScenarioError as error:
            faults += error.faults
    if faults:
        raise ScenarioError(faults)


def _check_scenarios(file: Path) -> None:
    """Read every variant of a scenario file and the traces that they name."""
    from cluster_sim.analysis.oversized import trace_uses
    from cluster_sim.loading.files import load_variants

    scenarios = load_variants(file)
    warn_of(scenarios)
    noted: set[str] = set()
    for use in trace_uses(scenarios):
        for sentence in use.tally.said():
            _warn_once(f"{use.trace.path}: {sentence}", noted)
        for title, oversized in use.oversized.items():
            if (too_long := oversized.sentence()) is not None:
                warn(f"{title}: trace: {too_long}")
    variants = ", ".join(scenario.variant for scenario in scenarios if scenario.variant)
    print_line(f"{file}: right ({variants})" if variants else f"{file}: right")


def _warn_once(text: str, noted: set[str]) -> None:
    """Print a warning that is not among those noted, and note it."""
    if text not in noted:
        noted.add(text)
        warn(text)
