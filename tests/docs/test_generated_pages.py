"""Whatever a user can write, call or read is named by a generated page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer.main
from site_pages import (
    catalog,
    commands,
    everything,
    figures,
    gallery,
    links,
    python_api,
    run_folder,
    scenario_keys,
    study_tables,
)
from site_pages.page import Page, prose
from site_pages.scenario_keys import meaning_of
from site_pages.schema_tree import tables

import cluster_sim
from cluster_sim.cli.app import app
from cluster_sim.figures.purposes import PURPOSES
from cluster_sim.loading.examples import examples
from cluster_sim.results.columns import EVENT_KINDS
from cluster_sim.results.metrics.table import METRICS
from cluster_sim.results.table_files import DESCRIBED
from cluster_sim.schema import KINDS, catalog_figures, catalog_names, example_names
from cluster_sim.studies import columns as study_columns
from tests.json_schemas import schema, uses_schema


def text_of(pages: list[Page]) -> str:
    return "\n".join(page.text for page in pages)


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping of the schema that has keys."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict) and "additionalProperties" in node:
            yield node
        for part in node.values():
            yield from mappings(part)
    elif isinstance(node, list):
        for part in node:
            yield from mappings(part)


@cache
def rows_of_keys() -> frozenset[str]:
    """Return the keys that have a row in a table of the scenario pages."""
    lines = text_of(scenario_keys.pages()).splitlines()
    return frozenset(line.split("`")[1] for line in lines if line.startswith("| `"))


@uses_schema
def test_every_key_of_a_scenario_file_has_a_row() -> None:
    keys = {key for mapping in mappings(schema()) for key in mapping["properties"]} - {"like"}
    assert len(keys) > 600
    assert sorted(keys - rows_of_keys()) == []


@uses_schema
def test_every_mapping_of_a_scenario_file_has_a_table_with_all_of_its_keys() -> None:
    described = {tuple(key.name for key in table.keys) for table in tables()}
    titled = [mapping for mapping in mappings(schema()) if "title" in mapping]
    missing = {each["title"] for each in titled if tuple(each["properties"]) not in described}
    assert missing == set()


def test_every_column_of_a_run_folder_has_a_row() -> None:
    text = text_of(run_folder.pages())
    columns = [f"#{name}.{each.name} }}" for name, rows in DESCRIBED.items() for each in rows]
    assert [column for column in columns if column not in text] == []
    assert [kind for kind in EVENT_KINDS if f"| `{kind}` |" not in text] == []


def test_every_column_of_a_table_of_studies_has_a_row() -> None:
    text = text_of(study_tables.pages())
    columns = [
        f"#{name}.{each.name} }}" for name, rows in study_columns.DESCRIBED.items() for each in rows
    ]
    assert [column for column in columns if column not in text] == []


def test_every_name_of_the_summary_has_a_row() -> None:
    text = text_of(run_folder.pages())
    assert [name for name in METRICS if f"| `{name}`{{" not in text] == []


def test_every_command_and_option_is_on_the_page_of_its_command() -> None:
    pages = {page.title: page.text for page in commands.pages()}
    whole: Any = typer.main.get_command(app)
    assert set(pages) == set(whole.commands)
    assert [path for path in commands.paths() if f"`cluster-sim {path}`" not in text_of(commands.pages())] == []  # fmt: skip
    for name, command in whole.commands.items():
        parts = getattr(command, "commands", {}).values()
        for parameter in (each for part in (parts or [command]) for each in part.params):
            spelt = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.metavar
            assert spelt in pages[name], (name, parameter.opts)


def test_every_figure_has_a_section_with_a_picture() -> None:
    text = text_of(figures.pages())
    assert [name for name in PURPOSES if f"## `{name}` {{" not in text] == []
    assert text.count("![") == len(PURPOSES)


def test_every_entry_of_the_catalog_has_a_page_with_its_figures_and_sources() -> None:
    pages = {page.uri: page.text for page in catalog.pages()}
    for kind in KINDS:
        for name in catalog_names(kind):
            text = pages[f"reference/catalog/{kind}/{name}.md"]
            for figure in catalog_figures(kind, name):
                assert f"<code>{figure.path}</code>" in text
                assert all(f"- `{key}`: " in text for key in figure.sources)


def test_every_public_name_is_on_the_page_of_the_python_interface() -> None:
    text = text_of(python_api.pages())
    assert [name for name in cluster_sim.__all__ if f".{name}\n" not in f"{text}\n"] == []


def test_every_scenario_is_in_the_gallery_with_its_file() -> None:
    whole, *pages = gallery.pages()
    assert sorted(page.title for page in pages) == list(example_names())
    assert [name for name in example_names() if f"(gallery/{name}.md)" not in whole.text] == []


def test_nearly_every_scenario_of_the_gallery_has_a_picture() -> None:
    sections = gallery.pages()[0].text.split("\n### ")[1:]
    assert sum("![" not in section for section in sections) <= 4  # studies of minutes


def test_every_scenario_has_an_answer_of_one_sentence_that_the_gallery_shows() -> None:
    text = gallery.pages()[0].text
    for example in examples():
        assert example.answer.endswith("."), example.name
        assert len(example.answer) <= 150, example.name
        assert prose(example.answer) in text, example.name


@uses_schema
def test_no_two_pages_have_the_same_file() -> None:
    uris = [page.uri for page in everything.pages()]
    assert len(set(uris)) == len(uris)


@pytest.mark.parametrize(
    ("page", "link", "target"),
    [
        ("heat.md", "../plots/the_chain.png", "plots/the_chain.png"),
        ("heat.md", "../README.md", "index.md"),
        ("tutorials/own.md", "../../scenarios/kv_swap.yaml", "../scenarios/kv_swap.yaml"),
        ("tutorials/own.md", "../heat.md#fans", "../heat.md#fans"),
        ("index.md", "docs/heat.md", "heat.md"),
        ("index.md", "CONTRIBUTING.md", "contributing.md"),
        ("index.md", "https://example.org/docs/a.md", "https://example.org/docs/a.md"),
    ],
)
def test_a_link_leads_to_the_same_file_in_the_site(page: str, link: str, target: str) -> None:
    text = f"see [this]({link}).\n\n```\n[this]({link})\n```\n"
    assert links.rewritten(text, links.place_of(page)) == text.replace(link, target, 1)


@uses_schema
def test_every_key_has_a_description() -> None:
    keys = [(table, key) for table in tables() for key in table.keys]
    assert [(table.path, key.name) for table, key in keys if len(meaning_of(key, table)) < 10] == []
