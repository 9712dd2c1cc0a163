"""A page shows names as they are, and none becomes a part of it."""

from __future__ import annotations

import json
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_sim.errors import visible
from cluster_sim.report import page
from cluster_sim.report.charts.view import View
from cluster_sim.report.verdict import warnings
from cluster_sim.results.results import Results
from cluster_sim.scenario.describe import as_html
from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_pool, make_scenario

UGLY = "</script><script>alert(1)</script></title><img src=x onerror=alert(1)>\"'${7*7} {{7*7}} {% for %} $x^{ [/b]\x1b[31m"


class Reader(HTMLParser):
    """Counts elements, and keeps the text of some."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text: dict[str, str] = {}
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        if self.elements:
            self.text[self.elements[-1]] = self.text.get(self.elements[-1], "") + data


@given(st.text())
def test_any_text_stands_for_itself_in_html(text: str) -> None:
    escaped = as_html(text)
    assert not set(escaped) & set("<>\"'")
    assert unescape(escaped) == visible(text)


@given(st.dictionaries(st.text(), st.text()))
def test_any_text_stands_for_itself_in_a_block_of_json(data: dict[str, str]) -> None:
    block = page._for_script(data)
    assert "<" not in block and ">" not in block and block.isascii()
    assert json.loads(block) == data


@pytest.fixture(scope="module")
def runs() -> list[Results]:
    device = make_pool()["node"]["device"]
    ugly_device = make_pool(node=make_pool()["node"] | {"device": device | {"name": UGLY}})
    ugly = make_scenario(
        name=UGLY, model=make_scenario().model.model_dump(by_alias=True) | {"name": UGLY}
    ).model_copy(update={"variant": UGLY})
    other = make_scenario(name="plain", cluster={"pools": [ugly_device]})
    return [simulate(ugly), simulate(other)]


@pytest.mark.slow
def test_names_are_shown_on_a_page_and_become_no_part_of_it(runs: list[Results]) -> None:
    shown = Reader(page.page(runs, question=UGLY, title=UGLY))
    plain = Reader(page.page([simulate(make_scenario()), simulate(make_scenario(name="b"))]))
    for element in ("script", "title", "head", "body", "h1"):
        assert shown.elements.count(element) == plain.elements.count(element), element
    assert "onerror" not in shown.attributes
    assert visible(UGLY) in shown.text["h1"] and "\x1b" not in shown.text["h1"]


def test_notebooks_show_names_as_they_are(runs: list[Results]) -> None:
    for html in (runs[0]._repr_html_(), runs[0].scenario._repr_html_()):
        assert "<script" not in html and "<img" not in html and "\x1b" not in html
        assert visible(UGLY) in unescape(html)


def test_a_page_says_what_ended_a_run_early() -> None:
    results = simulate(make_scenario())
    info = replace(results.info, stopped="the time limit of 3 s was exceeded")
    shown = [View(0, "small", "#000000", [], replace(results, info=info), bin_s=1.0)]
    assert "small ended early: the time limit of 3 s was exceeded." in warnings(shown, [])
