"""`cluster-sim check`: read files and report every fault in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cluster_sim.cli.console import print_line, warn, warn_of
from cluster_sim.cli.options import Sets, Variants


def check(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Scenario files or files of claims.", show_default=False
        ),
    ],
    *,
    variant: Variants = None,
    set_: Sets = None,
) -> None:
    """Check scenario files, their traces, and files of claims.

    Every fault is printed with its file and line. Nothing is simulated.
    """
    from cluster_sim.claims.file import is_claims, open_claims
    from cluster_sim.errors import Fault, ScenarioError

    faults: list[Fault] = []
    for file in files:
        try:
            if is_claims(file):
                _refuse_options(file, variant, set_)
                claims = ", ".join(claim.name for claim in open_claims(file).described.claims)
                print_line(f"{file}: OK ({claims})")
            else:
                _check_scenarios(file, variant or (), set_ or ())
        except ScenarioError as error:
            faults += error.faults
    if faults:
        raise ScenarioError(faults)


def _refuse_options(file: Path, variants: object, sets: object) -> None:
    """Raise ScenarioError if options are given that only scenario files take."""
    from cluster_sim.errors import ScenarioError

    if variants or sets:
        option = "--set" if sets else "--variant"
        raise ScenarioError.at(
            str(file), f"got {option} for a file of claims; {option} is for scenario files only"
        )


def _check_scenarios(file: Path, variants: Sequence[str], sets: Sequence[str]) -> None:
    """Check the variants of a scenario file and the traces that they name."""
    from cluster_sim.analysis.oversized import trace_uses
    from cluster_sim.loading.files import load_variants

    scenarios = load_variants(file, variants, sets)
    warn_of(scenarios)
    noted: set[str] = set()
    for use in trace_uses(scenarios):
        for sentence in use.tally.said():
            _warn_once(f"{use.trace.path}: {sentence}", noted)
        for title, oversized in use.oversized.items():
            if (too_long := oversized.sentence()) is not None:
                warn(f"{title}: trace: {too_long}")
        for sentence in use.excluded:
            _warn_once(f"{use.trace.path}: {sentence}", noted)
    names = ", ".join(scenario.variant for scenario in scenarios if scenario.variant)
    print_line(f"{file}: OK ({names})" if names else f"{file}: OK")


def _warn_once(text: str, noted: set[str]) -> None:
    """Print a warning and add it to `noted`, unless `noted` holds it already."""
    if text not in noted:
        noted.add(text)
        warn(text)
