"""Verdicts follow from numbers by a rule: tiny claims whose numbers are known, and the article's."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

from cluster_sim import figures
from cluster_sim.analysis.roofline_limits import LIMITS
from cluster_sim.claims.file import open_claims
from cluster_sim.claims.judge import claims, verdict_of
from cluster_sim.claims.judged import Judged
from cluster_sim.claims.readings import agree
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import load_scenario
from tests.commands import call
from tests.figures.test_figures import texts

ROOT = Path(__file__).parents[2]
ARTICLE = ROOT / "scenarios" / "article_claims.yaml"
SPEEDS = ROOT / "scenarios" / "one_user_and_many.yaml"

TWO, FIVE = ({"of": "source", "value": value, "source": "mental arithmetic"} for value in (2, 5))


def write(folder: Path, claims: list[dict[str, Any]], **quantities: Any) -> Path:
    path = folder / "tiny_claims.yaml"
    path.write_text(
        json.dumps(
            {
                "name": "tiny",
                "tolerance": 0.1,
                "quantities": {"two": TWO, "five": FIVE} | quantities,
                "claims": claims,
            },
            indent=1,
        )
    )
    return path


def claim(value: Any, *found: str, **changes: Any) -> dict[str, Any]:
    readings = [
        {"name": f"reading {place}", "found": expression} for place, expression in enumerate(found)
    ]
    return {"name": "it", "text": "it is so", "value": value, "readings": readings} | changes


def judged(folder: Path, *of: dict[str, Any], **quantities: Any) -> Judged:
    return claims(write(folder, list(of), **quantities), workers=0)


def test_a_claim_holds_where_the_plain_reading_is_within_the_tolerance(tmp_path: Path) -> None:
    """2 x 5 is 10, and 10 is within a tenth of 10.9 but not of 11.2."""
    (one,) = judged(tmp_path, claim(10.9, "two * five")).judgements
    assert (one.verdict, one.condition, one.found[0].found) == ("holds", "", approx(10.0))
    assert judged(tmp_path, claim(11.2, "two * five")).judgements[0].verdict == "does not hold"


def test_a_claim_holds_if_another_reading_is_meant(tmp_path: Path) -> None:
    (one,) = judged(tmp_path, claim(7, "two", "two + five", "five + two", "five")).judgements
    assert (one.verdict, one.condition) == ("holds if", "reading 1, or reading 2")
    assert [reading.agrees for reading in one.found] == [False, True, True, False]


def test_a_claim_does_not_hold_where_no_reading_bears_it_out(tmp_path: Path) -> None:
    (one,) = judged(tmp_path, claim(100, "two", "five / two")).judgements
    assert one.verdict == "does not hold"
    assert one.reason == "claimed 100; reading 0: 2; reading 1: 2.5"


def test_bounds_are_judged_on_their_side_alone(tmp_path: Path) -> None:
    assert agree("at_least", 10.0, 0.1, 1000.0)
    assert agree("at_most", 10.0, 0.1, 10.9)
    assert not agree("at_most", 10.0, 0.1, 11.1)
    assert not agree("at_least", 10.0, 0.1, 8.9)


def test_measurements_have_a_say_where_there_are_any(tmp_path: Path) -> None:
    """The simulator alone bears nothing out that measurements of the same contradict."""
    readings = [
        {"name": "simulated", "found": "five", "measured": ["two"]},
        {"name": "measured too", "found": "five", "measured": ["two", "five"]},
    ]
    (one,) = judged(tmp_path, claim(5) | {"readings": readings}).judgements
    assert (one.verdict, one.condition) == ("holds if", "measured too")


def test_without_a_figure_readings_are_told_and_not_judged(tmp_path: Path) -> None:
    bare = claim(None, "five")
    del bare["value"]
    (one,) = judged(tmp_path, bare).judgements
    assert (one.verdict, one.found[0].agrees, one.reason) == ("no figure", None, "reading 0: 5")
    assert verdict_of([None]) == "no figure"


def test_the_sentence_of_the_outcome_is_filled_in(tmp_path: Path) -> None:
    because = {
        "holds": "no",
        "holds_if": "{found} is {two:.1f} more than {claimed} less {two}",
        "does_not_hold": "no",
    }
    assert (
        judged(tmp_path, claim(7, "two", "two + five", because=because)).judgements[0].reason
        == "7 is 2.0 more than 7 less 2"
    )


def test_quantities_come_from_catalog_measurements_arithmetic_and_runs(tmp_path: Path) -> None:
    """Eight tokens per step of the same length: what a run says is what arithmetic says, within the
    prompt's share.
    """
    short = {
        "workload.output_tokens": 64,
        "workload.arrivals.requests": 1,
        "workload.prompt_tokens": 16,
    }
    found = judged(
        tmp_path, claim(1, "hbm"),
        hbm={"of": "catalog", "entry": "b200-sxm", "figure": "memory.bandwidth", "unit": "GB/s"},
        devices={"of": "catalog", "entry": "dgx-b200", "figure": "devices"},
        tpot={"of": "measurement", "where": {"hardware": "B200", "model": "Llama-3.3-70B-Instruct", "concurrency_or_rate": "concurrency=4", "metric": "tpot"}},
        tpot_ms={"of": "run", "scenario": str(SPEEDS), "variant": "70b-cs3", "set": short, "metric": "mean_tpot_ms"},
        step_s={"of": "arithmetic", "scenario": str(SPEEDS), "variant": "70b-cs3", "figure": "step_at_1_s"},
        room={"of": "run", "scenario": str(SPEEDS), "variant": "70b-cs3", "set": short, "metric": "pools.cs3.kv_capacity_tokens"},
        kv_tokens={"of": "arithmetic", "scenario": str(SPEEDS), "variant": "70b-cs3", "figure": "kv_tokens", "pool": "cs3"},
        reading_s={"of": "limit", "scenario": str(SPEEDS), "variant": "70b-cs3", "limit": "reading_s"},
    ).quantities  # fmt: skip
    assert (found["hbm"], found["devices"]) == (approx(7672.0), 8.0)
    assert found["tpot"] == approx(6.30873)
    assert found["tpot_ms"] == approx(1e3 * found["step_s"], rel=0.01)
    assert found["room"] == found["kv_tokens"]
    assert found["reading_s"] == approx(
        139e9 / 84e15, rel=0.01
    )  # 69.5e9 parameters of 2 B over four wafers


def test_limits_are_bandwidth_over_bytes_and_arithmetic_over_flop() -> None:
    """70B in 16 bit on eight B200: 139 GB at 61.4 TB/s are 442 tokens/s, 18 PFLOP/s over 139 GFLOP
    are 129,500.
    """
    scenario = load_scenario(SPEEDS, "70b-b200-16-bit")
    (deployment,) = resolve(scenario).deployments
    assert LIMITS["memory_tokens_per_s"](scenario, deployment) == approx(
        8 * 7.672e12 / 139e9, rel=0.001
    )
    assert LIMITS["compute_tokens_per_s"](scenario, deployment) == approx(
        8 * 2.25e15 / 139e9, rel=0.001
    )
    drafts = {
        "cluster.pools[0].replica.speculation": {"draft_tokens": 3, "acceptance_length": 3},
        "cluster.pools[0].batching.max_sequences": 8,
    }
    scenario = load_scenario(SPEEDS, "70b-b200-16-bit", drafts)
    assert LIMITS["memory_tokens_per_s"](scenario, resolve(scenario).deployments[0]) == approx(
        3 * 8 * 7.672e12 / 139e9, rel=0.001
    )


def test_a_token_is_on_its_way_over_wafers_for_hops_and_distances() -> None:
    """Three hops between four wafers, and distances at one hop a cycle: with half the clock twice
    as long.
    """

    def moving_s(hop: str, clock: str) -> float:
        wafer = {
            "cluster.pools[0].node.device.wafer.wafer_hop": hop,
            "cluster.pools[0].node.device.wafer.clock": clock,
        }
        scenario = load_scenario(SPEEDS, "70b-cs3", wafer)
        return LIMITS["communication_s"](scenario, resolve(scenario).deployments[0])

    distances_s = moving_s("0 us", "1.1 GHz")
    assert moving_s("20 us", "1.1 GHz") == approx(distances_s + 3 * 20e-6)
    assert moving_s("0 us", "0.55 GHz") == approx(2 * distances_s)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claims": [claim(1, "tow")]}, "found: no quantity 'tow'; did you mean 'two'?"),
        ({"claims": [claim(1, "two ** five")]}, "got 'two ** five'; expected names of quantities and numbers with + - * / and parentheses"),
        ({"claims": [claim(1, "two", because={"holds": "{fvie}"})]}, "because.holds: no quantity 'fvie'; did you mean 'five'?"),
        ({"claims": [claim(1, "two"), claim(1, "two")]}, "two claims are called 'it'"),
        ({"two": {"of": "run", "scenario": "nowhere.yaml", "metric": "completed"}}, "quantities.two.scenario: no file 'nowhere.yaml'"),
        ({"two": {"of": "run", "scenario": str(SPEEDS), "variant": "70b-b2000", "metric": "completed"}}, "no variant '70b-b2000'"),
        ({"two": {"of": "run", "scenario": str(SPEEDS), "metric": "completed"}}, "expected one of 70b-b200, "),
        ({"two": {"of": "run", "scenario": str(SPEEDS), "variant": "70b-cs3", "set": {"sead": 1}, "metric": "completed"}}, "unknown key 'sead'"),
        ({"two": {"of": "catalog", "entry": "b200", "figure": "x"}}, "no entry 'b200' in the catalog"),
        ({"two": {"of": "catalog", "entry": "b200-sxm", "figure": "memory.bandwith"}}, "did you mean 'memory.bandwidth'?"),  # codespell:ignore bandwith
        ({"two": {"of": "catalog", "entry": "b200-sxm", "figure": "memory.bandwidth"}}, "expected the key 'unit' with the unit of the value"),
        ({"two": {"of": "catalog", "entry": "b200-sxm", "figure": "memory.bandwidth", "unit": "K"}}, "'TB/s' is a bandwidth, not"),
        ({"two": {"of": "measurement", "where": {"hardware": "B200"}}}, "measurements with these values; expected one"),
        ({"two": {"of": "limit", "scenario": str(SPEEDS), "variant": "70b-cs3", "limit": "reading_s", "pool": "b200"}}, "no pool 'b200'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_its_line(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    changes = dict(changes)
    path = write(tmp_path, changes.pop("claims", [claim(1, "two")]), **changes)
    with pytest.raises(ScenarioError) as error:
        open_claims(path)
    assert message in str(error.value)
    assert all(line.rpartition(": ")[0] for line in str(error.value).splitlines())
    assert f"{path}:" in str(error.value) or "set" in str(error.value)


def test_a_metric_that_a_run_does_not_have_is_named_with_its_line(tmp_path: Path) -> None:
    asked = {
        "of": "run",
        "scenario": str(SPEEDS),
        "variant": "70b-cs3",
        "metric": "output_thruput",
        "set": {"workload.output_tokens": 4},
    }
    path = write(tmp_path, [claim(1, "speed")], speed=asked)
    with pytest.raises(
        ScenarioError,
        match=r"tiny_claims.yaml:\d+: quantities.speed.metric: no metric 'output_thruput'; did you mean 'output_throughput'\?",
    ):
        claims(path, workers=0)


def test_a_division_by_a_quantity_that_is_zero_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError,
        match=r"tiny_claims.yaml:\d+: 'two / \(five - five\)' divides by a quantity whose value is 0",
    ):
        judged(tmp_path, claim(1, "two / (five - five)"))


def test_the_command_prints_verdicts_and_writes_table_and_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        tmp_path, [claim(7, "two", "two + five"), claim(3, "two", name="other", relation="at_most")]
    )
    code, out, _ = call(capsys, "claims", path, "--workers", "0", "--out", tmp_path / "out")
    assert code == 0
    assert "it: holds if it means reading 1. claimed 7; reading 0: 2; reading 1: 7" in out
    assert "other: holds. " in out
    rows = list(csv.DictReader((tmp_path / "out" / "claims.csv").open()))
    assert [(row["claim"], row["reading"], row["found"], row["verdict"]) for row in rows] == [
        ("it", "reading 0", "2", "holds if"),
        ("it", "reading 1", "7", "holds if"),
        ("other", "reading 0", "2", "holds"),
    ]
    document = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert document["quantities"] == {"two": 2.0, "five": 5.0}
    said = " ".join(
        texts(figures.draw_study("claims", tmp_path / "out" / "claims.parquet")).split()
    )
    assert (
        "2 claims with a number; holds: 1; holds only under another reading: 1; does not hold: 0"
        in said
    )
    assert (tmp_path / "out" / "claims.png").stat().st_size > 1000
    again = tmp_path / "again.png"
    assert call(capsys, "plot", "claims", tmp_path / "out", "-o", again)[0] == 0
    assert again.read_bytes() == (tmp_path / "out" / "claims.png").read_bytes()
    assert call(capsys, "report", tmp_path / "out", "-o", tmp_path / "page.html")[0] == 0
    assert "Claims: claims" in (tmp_path / "page.html").read_text()


def test_check_takes_a_file_of_claims_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, [claim(7, "two")])
    assert call(capsys, "check", path)[:2] == (0, f"{path}: OK (it)\n")


@pytest.mark.slow
def test_every_scenario_that_the_articles_claims_name_is_right() -> None:
    file = open_claims(ARTICLE)
    assert len(file.simulated) > 30
    assert len(file.described.claims) > 15
    text = ARTICLE.read_text().partition("\nclaims:")[2]
    assert [
        name for name in file.described.quantities if not re.search(rf"\b{name}\b", text)
    ] == []  # each is said or shown somewhere


def test_two_of_the_articles_claims_come_out_as_they_are_argued(tmp_path: Path) -> None:
    """The bandwidth of the data sheets holds; 208,000 are no cores: 148 processors of 128."""
    from ruamel.yaml import YAML

    data = YAML(typ="safe", pure=True).load(ARTICLE.read_text())
    data["claims"] = [one for one in data["claims"] if one["name"] in ("bandwidth-hbm", "cores")]
    names = ("hbm_tb_per_s", "b200_processors", "cores_a_processor", "b200_transistors_millions")
    del data["parameters"]
    path = tmp_path / "two_claims.yaml"
    path.write_text(
        json.dumps(data | {"quantities": {name: data["quantities"][name] for name in names}})
    )
    hbm, cores = claims(path, workers=0).judgements
    assert (hbm.verdict, cores.verdict) == ("holds", "does not hold")
    assert cores.found[0].found == 18_944


@pytest.mark.slow
def test_one_claim_is_judged_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what the claim needs is worked out: 148 processors of 128 cores, and its sentence's."""
    judged = claims(ARTICLE, workers=0, names=["cores"])
    assert [judgement.claim for judgement in judged.judgements] == ["cores"]
    assert judged.quantities == {
        "b200_processors": 148.0,
        "cores_a_processor": 128.0,
        "b200_transistors_millions": 208_000.0,
    }
    path = write(tmp_path, [claim(7, "two") | {"name": "first"}, claim(5, "five")])
    code, _, error = call(capsys, "claims", path, "--claim", "fist")
    assert code == 2
    assert error == f"{path}: no claim 'fist'; did you mean 'first'?\n"
