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
    from cluster_sim.loading.files import load_variants

    scenarios = load_variants(file)
    warn_of(scenarios)
    workloads = [scenario.workload for scenario in scenarios]
    replayed = {(workload.trace, False) for workload in workloads}
    recorded = {(workload.sessions.trace, True) for workload in workloads if workload.sessions}
    for trace, as_sessions in replayed | recorded:
        if trace is not None:
            for sentence in trace.check(as_sessions=as_sessions).said():
                warn(f"{trace.path}: {sentence}")
    variants = ", ".join(scenario.variant for scenario in scenarios if scenario.variant)
    print_line(f"{file}: right ({variants})" if variants else f"{file}: right")
