"""Code blocks of pages: the build runs them, and the others are scenarios that `check` accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from site_pages.executed import BlockError, blocks, run_page
from site_pages.page import ROOT

from cluster_sim.schema import parse_yaml
from tests.commands import call

PAGES = sorted((ROOT / "docs").rglob("*.md"))


def test_blocks_of_a_page_share_files_and_variables_and_show_what_they_print() -> None:
    text = """
```json title="in/numbers.json"
[1, 2, 3]
```

```python
import json
numbers = json.load(open("in/numbers.json"))
```

```python
print(sum(numbers))
```

```sh lines="1"
cat in/numbers.json
echo more
```
"""
    shown = run_page("a.md", text).text
    assert (
        '```python\nprint(sum(numbers))\n```\n\n``` { .text .output title="Output" }\n6\n```'
        in shown
    )
    assert '``` { .text .output title="Output" }\n[1, 2, 3]\n…\n```' in shown


def test_a_picture_that_a_block_writes_is_a_file_of_the_site_below_the_page() -> None:
    page = run_page("b/c.md", "```sh\necho x > new.png\n```\n")
    assert page.files == {"b/c/new.png": b"x\n"}
    assert "![new](c/new.png)" in page.text


def test_commands_of_the_program_are_run_without_a_shell() -> None:
    page = run_page("d.md", "```sh\ncluster-sim catalog h200-rented --yaml\n```\n")
    assert "basis: rented" in page.text


@pytest.mark.parametrize(
    "block",
    [
        "```sh\nfalse\n```\n",
        '```sh exit="2"\ntrue\n```\n',
        "```sh\ncluster-sim check nothing.yaml\n```\n",
        "```python\n1 / 0\n```\n",
    ],
)
def test_a_block_that_ends_otherwise_than_the_page_says_fails_the_build(block: str) -> None:
    with pytest.raises(BlockError, match="a block ended with code"):
        run_page("e.md", block)


def test_every_tutorial_and_how_to_page_has_blocks_that_are_run() -> None:
    pages = [page for page in PAGES if page.parent.name in ("tutorials", "how_to")]
    run = [page.name for page in pages if any(each.is_run for each in blocks(page.read_text()))]
    assert sorted({page.name for page in pages} - set(run)) == ["use_dask.md"]  # several machines


SCENARIO: Mapping[str, Any] = {
    "name": "page",
    "duration": "10 min",
    "model": "llama-3.1-8b",
    "workload": {
        "arrivals": {"process": "poisson", "rate": "12 /s"},
        "prompt_tokens": 1000,
        "output_tokens": 200,
    },
    "slo": {"ttft": "1 s", "tpot": "50 ms"},
    "cluster": {"pools": [{"name": "h200", "node": "dgx-h200", "nodes": 2}]},
}
"""Scenario to which fragments of pages are added."""
POOLS: Mapping[str, list[dict[str, Any]]] = {
    "expert_load.md": [{"name": "wide", "node": "dgx-h100", "nodes": 4}],
    "failures.md": [
        {"name": "b200", "node": "dgx-b200", "nodes": 2},
        {"name": "spot", "node": "dgx-h200"},
    ],
    "hardware.md": [{"name": "b300", "node": "hgx-b300", "nodes": 2}],
    "heat.md": [{"name": "b200", "node": "dgx-b200"}],
    "power_caps.md": [{"name": "batch", "node": "dgx-a100"}, {"name": "chat", "node": "dgx-a100"}],
    "studies.md": [{"name": "b200", "node": "dgx-b200", "nodes": 4}],
}
"""Pools that the fragments of a page speak of."""
MODELS = {"expert_load.md": "deepseek-r1", "wide_groups.md": "deepseek-r1"}
MORE: Mapping[str, Mapping[str, Any]] = {
    "wide_groups.md": {"kv": {"memory_fraction": 0.87}, "nodes": 4, "node": "dgx-h100"},
    "expert_load.md": {"kv": {"memory_fraction": 0.87}},
}
"""Keys of the first pool that a fragment with `replica` needs beside it."""
CLASSES = {"scenarios.md": [{"name": "chat", "share": 0.9}, {"name": "batch", "share": 0.1}]}
"""Classes of requests that fragments without a workload name."""
FILES = {
    "log.csv": "sent,prompt_len,completion_len,chat_id\n0,100,20,a\n900,200,30,b\n",
    "intensity.csv": "g_per_kwh\n" + 24 * "300\n",
}
"""Files that fragments name."""


def fragments() -> list[tuple[str, str]]:
    """Return the fragments of scenarios on the pages, each with the name of its page."""
    return [
        (page.name, block.code)
        for page in PAGES
        for block in blocks(page.read_text())
        if block.language == "yaml" and not block.is_run
    ]


@pytest.mark.parametrize(("page", "code"), fragments())
def test_a_fragment_of_a_scenario_is_accepted(
    page: str,
    code: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    Path("page.yaml").write_text(_in_scenario(page, code))
    exit_code, _, error = call(capsys, "check", "page.yaml")
    assert exit_code == 0, error


def _in_scenario(page: str, code: str) -> str:
    """Return a scenario with a fragment of a page, as JSON, which is YAML."""
    scenario = json.loads(json.dumps(SCENARIO))
    scenario["model"] = MODELS.get(page, scenario["model"])
    cluster = scenario["cluster"]
    cluster["pools"] = [{**pool} for pool in POOLS.get(page, cluster["pools"])]
    fragment = dict(parse_yaml(code, page).data)
    if page in CLASSES and "workload" not in fragment:
        scenario["workload"]["classes"] = CLASSES[page]
    if "replica" in fragment:
        cluster["pools"][0] |= {"replica": fragment.pop("replica")} | MORE[page]
    if "node" in fragment:
        cluster["pools"][0]["node"] = fragment.pop("node")
    for key in cluster.keys() & fragment.keys() | {"network"} & fragment.keys():
        cluster[key] = fragment.pop(key)
    if {"trace", "sessions"} & fragment.get("workload", {}).keys():
        scenario["workload"] = {}
        scenario.pop("duration")
    for key, value in fragment.items():
        is_mapping = isinstance(value, dict) and isinstance(scenario.get(key), dict)
        scenario[key] = {**scenario[key], **value} if is_mapping else value
    return json.dumps(scenario)
