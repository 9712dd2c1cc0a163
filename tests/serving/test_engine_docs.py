"""The table of profiles in docs/engines.md is that of the catalog.

`python -m tests.serving.test_engine_docs` writes it again.
"""

from __future__ import annotations

from pathlib import Path

from cluster_sim.schema import catalog_entry, catalog_names
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.serving.scheduler import Continuous

PAGE = Path(__file__).resolve().parents[2] / "docs" / "engines.md"


def row(name: str) -> str:
    engine = Engine.model_validate(catalog_entry("engines", name))
    admission = Continuous().admission(engine, "both")
    graphs = engine.graph_mode or (
        "decode steps, padded" if engine.graph_batches else "decode steps"
    )
    fraction = engine.memory_fraction
    share = f"{fraction:.0%} of {engine.memory_base}" if fraction else "a share by the device"
    if engine.static_reserve is not None:
        share = "all but a reserve by its limits"
    arrivals = "one step later" if engine.async_scheduling else "in the next step"
    return f"| `{name}` | {engine.releases} | `{admission}` | {graphs} | {share} | {arrivals} |"


def test_every_profile_has_its_row() -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    missing = [row(name) for name in catalog_names("engines") if row(name) not in page]
    assert not missing, "docs/engines.md lacks:\n" + "\n".join(missing)


def test_every_row_is_that_of_a_profile() -> None:
    page = PAGE.read_text(encoding="utf-8").split("## Profiles")[1].split("\n## ")[0]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(row(name) for name in catalog_names("engines"))


def test_every_key_of_an_engine_is_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    keys = {key.removesuffix("_bytes").removesuffix("_s") for key in Engine.model_fields}
    keys |= set(PrefillFirst.model_fields)
    assert {key for key in keys if f"`{key}`" not in page} <= {"name"}


def write_table() -> None:
    """Write the rows of all profiles into the page."""
    head, rest = PAGE.read_text(encoding="utf-8").split("## Profiles\n", 1)
    table, tail = rest.split("\n## ", 1)
    titles = [line for line in table.splitlines() if line.startswith("|") and "`" not in line]
    rows = [row(name) for name in sorted(catalog_names("engines"))]
    lines = ["## Profiles", "", *titles, *rows, "", "## "]
    PAGE.write_text(head + "\n".join(lines) + tail, encoding="utf-8")


if __name__ == "__main__":
    write_table()
