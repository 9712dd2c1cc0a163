"""Ranges in which readings agree, and effects of uncertain inputs, against arithmetic by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

from cluster_sim.claims.changes import filled
from cluster_sim.claims.file import open_claims
from cluster_sim.claims.judge import claims
from cluster_sim.claims.judged import HoldsFor, Judgement
from cluster_sim.claims.ranges import TOLERANCE, Side, Span, Variable, span_of
from cluster_sim.claims.readings import side_of
from cluster_sim.errors import ScenarioError
from tests.claims.test_claims import ARTICLE, SPEEDS, claim, write
from tests.commands import call

NEAR = 2 * TOLERANCE
"""Largest distance of a bound from the value by hand, as a share."""


def solved(variable: Variable, side: Callable[[float], Side], scanned: int = 9) -> Span | None:
    """The span of a search whose questions `side` answers."""
    search = span_of(variable, scanned)
    points = next(search)
    while True:
        try:
            points = search.send([side(point) for point in points])
        except StopIteration as end:
            span: Span | None = end.value
            return span


def one(folder: Path, parameter: dict[str, Any], reading: dict[str, Any], **of: Any) -> Judgement:
    """The judgement of a claim with one reading over the parameter `p`."""
    said = claim(10, "two") | {"readings": [{"name": "it", **reading}]} | of
    path = write(folder, [said])
    document = json.loads(path.read_text()) | {"parameters": {"p": parameter}}
    path.write_text(json.dumps(document))
    (judgement,) = claims(path, workers=0).judgements
    return judgement


def range_of(judgement: Judgement) -> HoldsFor:
    held = judgement.found[0].holds_for
    assert held is not None
    return held


def test_a_range_has_both_bounds(tmp_path: Path) -> None:
    """2 p is within a tenth of 10 for p from 4.5 to 5.5."""
    parameter = {"value": 5, "low": 1, "high": 50, "unit": "ms"}
    found = one(tmp_path, parameter, {"found": "two * p", "over": {"parameter": "p"}})
    held = range_of(found)
    assert found.verdict == "holds"
    assert (held.low, held.high) == (approx(4.5, rel=NEAR), approx(5.5, rel=NEAR))
    assert 4.5 <= held.low <= held.value <= held.high <= 5.5  # type: ignore[operator]
    assert held.text.endswith(" ms") and " to " in held.text


def test_a_range_that_excludes_the_value_is_found_beside_it(tmp_path: Path) -> None:
    """2 p is within a tenth of 10 for p from 4.5 to 5.5, and at 20 it is 40."""
    parameter = {"value": 20, "low": 1, "high": 50}
    found = one(tmp_path, parameter, {"found": "two * p", "over": {"parameter": "p"}})
    held = range_of(found)
    assert found.verdict == "does not hold"
    assert (held.low, held.high) == (approx(4.5, rel=NEAR), approx(5.5, rel=NEAR))


def test_whole_numbers_are_found_exactly(tmp_path: Path) -> None:
    """5 p is within a tenth of 52, 46.8 to 57.2, for p of 10 and 11."""
    parameter = {"value": 400, "low": 1, "high": 1000, "whole": True, "unit": "users"}
    reading = {"found": "five * p", "over": {"parameter": "p", "shown": "p / two", "unit": "ms"}}
    held = range_of(one(tmp_path, parameter, reading, value=52))
    assert (held.low, held.high, held.shown) == (10.0, 11.0, (5.0, 5.5))
    assert held.text == "10 to 11 users (5 to 5.5 ms)"


def test_a_bound_on_one_side_leaves_the_other_open(tmp_path: Path) -> None:
    """5 p is at least 10 from p = 2 on."""
    parameter = {"value": 3, "low": 1, "high": 8}
    reading = {"found": "five * p", "over": {"parameter": "p"}}
    found = one(tmp_path, parameter, reading, relation="at_least", tolerance=0.0)
    held = range_of(found)
    assert (held.low, held.high) == (approx(2.0, rel=NEAR), 8.0)
    assert (held.is_open_below, held.is_open_above) == (False, True)
    assert held.text.startswith("from 2")


def test_a_measurement_that_contradicts_leaves_no_range(tmp_path: Path) -> None:
    parameter = {"value": 5, "low": 1, "high": 50, "unit": "s"}
    reading = {"found": "two * p", "measured": ["five"], "over": {"parameter": "p"}}
    held = range_of(one(tmp_path, parameter, reading))
    assert (held.low, held.high, held.text) == (None, None, "nowhere from 1 to 50 s")


def test_a_range_between_scanned_values_is_found_where_the_value_crosses_it() -> None:
    """None of 9 scanned values from 1 to 10,000 lies from 290 to 300."""
    variable = Variable(1.0, 1.0, 10_000.0)
    span = solved(variable, lambda x: side_of("about", 295.0, 5.0 / 295.0, x))
    assert span is not None
    assert 290.0 <= span.low <= span.high <= 300.0
    assert (span.low, span.high) == (approx(290.0, rel=NEAR), approx(300.0, rel=NEAR))


def test_a_value_that_does_not_exist_is_no_bound() -> None:
    """Values above 6 do not exist: the range is open above."""
    span = solved(Variable(4.0, 1.0, 9.0), lambda x: None if x > 6.0 else int(x < 3.0) * -1)
    assert span is not None
    assert span.low == approx(3.0, rel=NEAR)
    assert span.is_open_above and span.high <= 6.0


def test_all_and_nothing_need_no_bisection() -> None:
    assert solved(Variable(2.0, 1.0, 4.0), lambda x: 0) == Span(1.0, 4.0, True, True)
    assert solved(Variable(2.0, 1.0, 4.0), lambda x: 1) is None


def test_braces_hold_expressions_of_parameters() -> None:
    values = {"a": {"b": ["{2 * n}", "{n} users"]}, "c": "plain {n", "d": 3}
    assert filled(values, {"n": 4.0}) == {"a": {"b": [8, "4 users"]}, "c": "plain {n", "d": 3}


def test_a_scenario_follows_its_parameter(tmp_path: Path) -> None:
    """Reading all weights takes half as long on twice as many wafers: 8 instead of 4."""
    wafers = {"cluster.pools[0].nodes": "{p}", "cluster.pools[0].replica.wafers": "{p}"}
    of = {"of": "limit", "scenario": str(SPEEDS), "variant": "70b-cs3", "limit": "reading_s"}
    reading = {"name": "it", "found": "more / four", "over": {"parameter": "p"}}
    said = claim(0.5, "two", relation="at_most", tolerance=0.001) | {"readings": [reading]}
    path = write(tmp_path, [said], four=of, more=of | {"set": wafers})
    parameter = {"value": 4, "low": 4, "high": 40, "whole": True}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"parameters": {"p": parameter}}))
    (found,) = claims(path, workers=0).judgements
    held = range_of(found)
    assert found.verdict == "does not hold"
    assert (held.low, held.is_open_above) == (8.0, True)


def test_an_estimate_is_named_with_the_value_that_changes_the_verdict(tmp_path: Path) -> None:
    """A CS-3 costs 2 to 3 million USD, 2.5 by the catalog: at most 2.8 holds up to 2.8 of them."""
    price = {"of": "catalog", "entry": "cs-3-list", "figure": "purchase", "unit": "USD"}
    at_most = {"relation": "at_most", "tolerance": 0.0}
    said = [
        claim(2.8e6, "price", **at_most),
        claim(5e6, "price + price", name="more", relation="at_least", tolerance=0.25),
    ]
    first, second = claims(write(tmp_path, said, price=price), workers=0).judgements
    (effect,) = first.found[0].effects
    assert (effect.at_low, effect.at_high) == (approx(2e6), approx(3e6))
    assert effect.per_10_percent == approx(0.1)  # in proportion
    number, unit = str(effect.flips_at).split()
    assert (float(number), unit) == (approx(2.8e6, rel=NEAR), "USD")
    assert first.estimates == ("cs-3-list: purchase",)
    assert first.flips.startswith("cs-3-list: purchase at 2.")
    # twice the price, 4 to 6 million, is never below 3.75
    assert (second.flips, second.estimates) == ("", ("cs-3-list: purchase",))


def test_a_figure_of_high_confidence_is_not_varied(tmp_path: Path) -> None:
    hbm = {"of": "catalog", "entry": "b200-sxm", "figure": "memory.bandwidth", "unit": "TB/s"}
    (found,) = claims(write(tmp_path, [claim(8, "hbm")], hbm=hbm), workers=0).judgements
    assert (found.found[0].effects, found.estimates, found.flips) == ((), (), "")


@pytest.mark.parametrize(
    ("parameter", "reading", "message"),
    [
        ({"value": 9, "low": 1, "high": 5}, {"found": "p"}, "got 9; expected a value from 1 to 5"),
        ({"value": 2, "low": 1, "high": 5}, {"found": "p", "over": {"parameter": "q"}}, "no parameter 'q'"),
        ({"value": 2, "low": 1, "high": 5}, {"found": "p", "over": {"parameter": "p", "shown": "r"}}, "no quantity 'r'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_condition_is_said(
    parameter: dict[str, Any], reading: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError) as error:
        one(tmp_path, parameter, reading)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("braces", "message"),
    [
        ("{n}", "no parameter 'n'"),
        ("{1 / (p - p)}", "'1 / (p - p)' divides by 0"),
        ("{p ** 2}", "got 'p ** 2'; expected names of quantities and numbers"),
    ],
)
def test_what_is_wrong_in_braces_is_said(braces: str, message: str, tmp_path: Path) -> None:
    of = {"of": "limit", "scenario": str(SPEEDS), "variant": "70b-cs3", "limit": "reading_s"}
    path = write(tmp_path, [claim(1, "two")], two=of | {"set": {"seed": braces}})
    parameter = {"value": 4, "low": 1, "high": 9}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"parameters": {"p": parameter}}))
    with pytest.raises(ScenarioError) as error:
        open_claims(path)
    assert message in str(error.value)
    assert "tiny_claims.yaml:" in str(error.value)


def test_the_command_prints_ranges_in_100_columns_and_all_else_in_the_long_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    price = {"of": "catalog", "entry": "cs-3-list", "figure": "purchase", "unit": "USD"}
    path = write(tmp_path, [claim(2.8e6, "price", relation="at_most", tolerance=0)], price=price)
    code, out, _ = call(capsys, "claims", path, "--workers", "0")
    table = [line for line in out.splitlines() if "│" in line or "─" in line]
    assert code == 0
    assert table and max(map(len, table)) <= 100
    assert "It rests on estimates: cs-3-list: purchase." in out
    assert "confidence" not in out
    _, out, _ = call(capsys, "claims", path, "--workers", "0", "--long")
    assert "low confidence, give 2,000,000 to 3,000,000; +10 % per 10 %" in out
    _, out, _ = call(capsys, "claims", path, "--workers", "0", "--json")
    (judgement,) = json.loads(out)["judgements"]
    assert judgement["estimates"] == ["cs-3-list: purchase"]
    assert judgement["found"][0]["effects"][0]["input"] == "cs-3-list: purchase"
    assert judgement["found"][0]["holds_for"] is None


@pytest.mark.slow
def test_ranges_of_the_article_are_those_by_hand() -> None:
    """A gain g saves 1 - 1 / g of the electricity; drafts multiply the tokens of one user."""
    names = ("fleet-30-percent", "speed-70b-cs3", "cores", "on-wafer")
    judged = claims(ARTICLE, workers=0, names=names)
    found = {each.claim: each for each in judged.judgements}
    electricity = 8760 * 1250 * judged.quantities["node_electricity_usd"]
    held = range_of(found["fleet-30-percent"])
    assert held.low == approx(1 / (1 - 1e6 / electricity), rel=NEAR)
    assert held.is_open_above
    # within a fifth of 1,800 from 1,440 on, and 1,540 at 3.64 tokens per step
    drafts = found["speed-70b-cs3"].found[1]
    assert drafts.holds_for is not None
    assert drafts.holds_for.low == approx(3.64 * 1440.0 / drafts.found, rel=NEAR)
    assert found["speed-70b-cs3"].condition == "one user, drafts"
    assert found["cores"].verdict == "does not hold"
    for judgement in judged.judgements:
        for reading in judgement.found:
            if (held_for := reading.holds_for) is not None:
                is_inside = held_for.low is not None and held_for.high is not None
                is_inside = is_inside and held_for.low <= held_for.value <= held_for.high  # type: ignore[operator]
                assert is_inside == reading.agrees, reading.reading
