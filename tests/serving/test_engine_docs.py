"""The table of profiles in docs/engines.md is that of the catalog."""

from __future__ import annotations

from pathlib import Path

from cluster_sim.schema import catalog_entry, catalog_names
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.scheduler import Continuous

PAGE = Path(__file__).resolve().parents[2] / "docs" / "engines.md"


def row(name: str) -> str:
    engine = Engine.model_validate(catalog_entry("engines", name))
    admission = Continuous().admission(engine, "both")
    graphs = engine.graph_mode or (
        "decode steps, padded" if engine.graph_batches else "decode steps"
    )
    share = f"{engine.memory_fraction:.0%} of {engine.memory_base}"
    if engine.static_reserve is not None:
        share = "all but a reserve by its limits"
    arrivals = "one step later" if engine.async_scheduling else "in the next step"
    return f"| `{name}` | `{admission}` | {graphs} | {share} | {arrivals} |"


def test_every_profile_has_its_row() -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    missing = [row(name) for name in catalog_names("engines") if row(name) not in page]
    assert not missing, "docs/engines.md lacks:\n" + "\n".join(missing)


def test_every_row_is_that_of_a_profile() -> None:
    page = PAGE.read_text(encoding="utf-8").split("## Profiles")[1].split("\n## ")[0]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(row(name) for name in catalog_names("engines"))
