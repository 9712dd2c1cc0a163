"""Traffic without a cluster: the same requests as a run sees, written so that others can read them,
and fitted.
"""

from __future__ import annotations

import json
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pytest import approx
from ruamel.yaml import YAML

import cluster_sim
from cluster_sim.analysis.demand import Demand
from cluster_sim.analysis.trace_traffic import of_trace
from cluster_sim.analysis.traffic import of_scenario
from cluster_sim.analysis.traffic_files import losses, write
from cluster_sim.calibration.traffic import propose
from cluster_sim.errors import ScenarioError
from cluster_sim.request import Request
from cluster_sim.scenario.workload import Workload
from cluster_sim.sim.build_traffic import label_requests, open_loop_requests
from cluster_sim.workload.arrivals import Gamma, OnOff, Poisson
from cluster_sim.workload.statistics import gap_cv
from cluster_sim.workload.traces import Tally, Trace
from cluster_sim.workload.traces.rows import Pieces
from tests.commands import call
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node
from tests.workload.test_sessions import PLAIN

OPEN: dict[str, Any] = {
    "arrivals": {"process": "gamma", "rate": "20 /s", "cv": 2},
    "prompt_tokens": {"distribution": "uniform", "low": 1, "high": 90},
    "output_tokens": {"distribution": "uniform", "low": 1, "high": 9},
    "length_correlation": -0.7,
}


def scenario(tmp_path: Path, workload: dict[str, Any], **changes: Any) -> cluster_sim.Scenario:
    text = {
        "name": "demand", "seed": 4, "duration": "60 s", "model": TINY_MODEL, "workload": workload,
        "cluster": {"pools": [{"name": "p", "node": node(SMALL_GPU, 2), "replica": {"engine": engine()}}]},
    } | changes  # fmt: skip
    path = tmp_path / "demand.yaml"
    path.write_text(json.dumps(text))
    return cluster_sim.load_scenario(path)


CLASSES = [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5, "prompt_tokens": 7}]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"classes": CLASSES, "length_correlation": None},
        {"arrivals": OPEN["arrivals"] | {"requests": 700}},
        {"arrivals": {"process": "at_once", "requests": 100}},
        {"shared_prefix": {"tokens": 30, "groups": 3}},
        {
            "shared_prefix": {"tokens": 30, "groups": 3},
            "classes": CLASSES,
            "length_correlation": None,
        },
    ],
)
def test_a_scenarios_traffic_is_what_its_run_sees(tmp_path: Path, changes: dict[str, Any]) -> None:
    one = scenario(tmp_path, OPEN | changes)
    alone, run = of_scenario(one, 50.0), cluster_sim.simulate(one).requests
    assert len(alone.arrival_s) > 90
    for name in ("arrival_s", "prompt_tokens", "output_tokens"):
        assert np.array_equal(getattr(alone, name), run[name].to_numpy())
    assert list(alone.pieces or repeat((), len(alone.arrival_s))) == pieces_of_run(one)


def test_a_prefix_before_the_prompts_of_a_trace_is_part_of_its_traffic(tmp_path: Path) -> None:
    row = {"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [9, 7, 8]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    trace = {"trace": {"path": str(tmp_path / "a.jsonl")}}
    one = scenario(tmp_path, trace | {"shared_prefix": {"tokens": 30}})
    traffic = of_scenario(one, 50.0)
    assert traffic.prompt_tokens.tolist() == [1130]
    assert list(traffic.pieces or ()) == pieces_of_run(one)
    assert traffic.pieces is not None
    assert [tokens for _, tokens in next(iter(traffic.pieces))] == [30, 512, 512, 76]


def pieces_of_run(one: cluster_sim.Scenario) -> list[Pieces]:
    """Return the pieces of the prompts as a run routes them."""
    routed: list[Request] = []
    route = label_requests(one, routed.append)
    for request in open_loop_requests(one, Tally()):
        route(request)
    return [request.pieces for request in routed]


def test_clients_that_wait_ask_again_when_an_assumed_answer_has_come(tmp_path: Path) -> None:
    """Ten tokens at five a second and a second of thought: every three seconds, both clients."""
    closed = {
        "arrivals": {"process": "closed_loop", "concurrency": 2, "think_time": "1 s"},
        "prompt_tokens": 7,
        "output_tokens": 10,
    }
    traffic = of_scenario(scenario(tmp_path, closed, duration="7 s"), 5.0)
    assert traffic.arrival_s.tolist() == [0.0, 0.0, 3.0, 3.0, 6.0, 6.0]
    assert traffic.notes == ["requests wait for answers: 5 tokens per second are assumed"]


def test_sessions_ask_again_when_an_assumed_answer_has_come(tmp_path: Path) -> None:
    """Answers of ten tokens take two seconds; the tool one more, the user three; then the next
    session.
    """
    traffic = of_scenario(scenario(tmp_path, {"sessions": PLAIN}, duration="14 s"), 5.0)
    assert traffic.arrival_s.tolist() == [0.0, 3.0, 8.0, 11.0, 13.0]
    assert traffic.prompt_tokens.tolist() == [150, 165, 182, 197, 150]
    assert traffic.reused() == approx((0 + 160 + 175 + 192 + 100) / (150 + 165 + 182 + 197 + 150))
    starts = {key: value for key, value in PLAIN.items() if key != "concurrency"} | {
        "arrivals": {"process": "at_once", "requests": 2}
    }
    assert of_scenario(scenario(tmp_path, {"sessions": starts}), 5.0).arrival_s.tolist() == [
        0.0,
        0.0,
        3.0,
        3.0,
        8.0,
        8.0,
        11.0,
        11.0,
    ]


def test_classes_have_no_correlation(tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError,
        match=r"workload\.length_correlation: lengths of classes are drawn independently; expected either 'length_correlation' or 'classes'",
    ):
        scenario(tmp_path, OPEN | {"classes": CLASSES})


def test_no_requests_have_no_statistics(tmp_path: Path) -> None:
    none = of_scenario(
        scenario(tmp_path, OPEN | {"arrivals": {"process": "poisson", "rate": "0.0001 /s"}}), 50.0
    )
    assert none.summary()["requests"] == 0
    assert none.tokens() is None


# --- written
#
# --------------------------------------------------------------------------------------------------------------


def test_parquet_holds_the_requests(tmp_path: Path) -> None:
    traffic = of_scenario(scenario(tmp_path, {"sessions": PLAIN}), 5.0)
    write(traffic, tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    assert table["arrival_s"].to_pylist() == traffic.arrival_s.tolist()
    assert table["prompt_tokens"].to_pylist() == traffic.prompt_tokens.tolist()
    assert [piece["tokens"] for piece in table["pieces"][0].as_py()] == [100, 50]


def test_mooncakes_lines_are_read_back_to_the_millisecond(tmp_path: Path) -> None:
    traffic = of_scenario(scenario(tmp_path, OPEN), 5.0)
    write(traffic, tmp_path / "x.jsonl")
    again = of_trace(Trace.model_validate({"path": str(tmp_path / "x.jsonl")}), "again")
    assert again.arrival_s == approx(traffic.arrival_s - round(traffic.arrival_s[0], 3), abs=6e-4)
    assert np.array_equal(again.prompt_tokens, traffic.prompt_tokens)
    assert again.reused() == 0.0


def test_dense_traffic_is_read_back_in_the_milliseconds_that_it_was_written_in(
    tmp_path: Path,
) -> None:
    """5,000 requests/s would be seconds under Mooncake's keys, if there were no blocks of 512."""
    at_s = np.arange(100) / 5000
    demand = Demand("dense", at_s, np.full(100, 600), np.full(100, 3))
    write(demand, tmp_path / "x.jsonl")
    again = of_trace(Trace.model_validate({"path": str(tmp_path / "x.jsonl")}), "again")
    np.testing.assert_allclose(again.arrival_s, at_s, atol=1e-9)
    (note,) = again.notes
    assert note.startswith("timestamp is read as milliseconds")


def test_blocks_are_shared_where_prompts_are(tmp_path: Path) -> None:
    """1,100 tokens are blocks of 512, 512, 76: the second prompt shares the first 1,000, so one
    block; the third the whole of the second.
    """
    pieces = [((1, 1000), (2, 100)), ((1, 1000), (3, 100)), ((1, 1000), (3, 100), (4, 436)), ()]
    traffic = Demand(
        "x", np.arange(4.0), np.array([1100, 1100, 1536, 600]), np.ones(4, dtype=int), pieces
    )
    write(traffic, tmp_path / "x.jsonl")
    ids = [json.loads(line)["hash_ids"] for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert ids == [[0, 1, 2], [0, 3, 4], [0, 3, 5], [6, 7]]


def test_a_mooncake_trace_keeps_its_blocks(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [9, 7, 8]},
        {"timestamp": 5, "input_length": 1030, "output_length": 6, "hash_ids": [9, 7, 3]},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write(
        of_trace(Trace.model_validate({"path": str(tmp_path / "a.jsonl")}), "a"),
        tmp_path / "b.jsonl",
    )
    assert [
        json.loads(line)["hash_ids"] for line in (tmp_path / "b.jsonl").read_text().splitlines()
    ] == [[0, 1, 2], [0, 1, 3]]


def read_again(demand: Demand, path: Path) -> Demand:
    """Return requests written to a file and read from there."""
    write(demand, path)
    return of_trace(Trace.model_validate({"path": str(path)}), "again")


def shared(*lengths: int, prompt: int) -> Demand:
    """Return three requests that begin with the same pieces of these lengths."""
    pieces = tuple(enumerate(lengths, start=1))
    prompts = np.full(3, prompt)
    return Demand("x", np.arange(3.0), prompts, np.ones(3, dtype=int), [pieces] * 3)


@pytest.mark.parametrize(
    ("lengths", "prompt"), [((300,), 700), ((16, 16, 16, 5), 53), ((500, 17), 600), ((7,), 7)]
)
def test_a_table_keeps_what_prompts_share(
    tmp_path: Path, lengths: tuple[int, ...], prompt: int
) -> None:
    """Two of three prompts were seen before as far as their pieces reach."""
    again = read_again(shared(*lengths, prompt=prompt), tmp_path / "x.parquet")
    assert again.reused() == approx(2 / 3 * sum(lengths) / prompt)
    assert again.notes == []


def test_a_table_is_cut_into_blocks_where_the_scenario_says_so(tmp_path: Path) -> None:
    """Pieces of 500 and 17 tokens are one block of 512."""
    write(shared(500, 17, prompt=600), tmp_path / "x.parquet")
    keys = {"path": str(tmp_path / "x.parquet"), "block_tokens": 512}
    assert of_trace(Trace.model_validate(keys), "x").reused() == approx(2 / 3 * 512 / 600)


def test_a_table_with_an_empty_piece_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"x\.parquet, row 1"):
        read_again(shared(0, prompt=600), tmp_path / "x.parquet")


def test_what_a_file_does_not_hold_is_said(tmp_path: Path) -> None:
    lines, table = tmp_path / "x.jsonl", tmp_path / "x.parquet"
    assert "no part below 512 tokens" in "".join(losses(shared(300, prompt=700), lines))
    assert not list(losses(shared(300, prompt=700), table))
    assert not list(losses(shared(512, 512, 9, prompt=1033), lines))
    talks = of_scenario(scenario(tmp_path, {"sessions": PLAIN}), 5.0)
    assert "turns of sessions wait for answers" in "".join(losses(talks, table))


# --- fitted
#
# ---------------------------------------------------------------------------------------------------------------


def drawn(process: Any, span_s: float, seed: int = 2) -> Demand:
    times_s = np.concatenate(
        [
            piece
            for piece, _ in zip(
                process.pieces(np.random.default_rng(seed)), range(400), strict=False
            )
        ]
    )
    times_s = times_s[times_s < span_s]
    lengths = np.random.default_rng(1).integers(1, 1000, len(times_s))
    return Demand("drawn", times_s, lengths, lengths[::-1].copy())


@pytest.mark.slow
def test_a_poisson_trace_is_found_to_be_one() -> None:
    proposal = propose(drawn(Poisson.model_validate({"rate": "8 /s"}), 2000.0))
    assert proposal.workload["arrivals"]["process"] == "poisson"
    assert float(proposal.workload["arrivals"]["rate"].split()[0]) == approx(8.0, rel=0.03)
    assert all(match.miss < 0.1 for match in proposal.matches.values())


@pytest.mark.slow
def test_a_gamma_trace_is_matched_in_every_statistic() -> None:
    proposal = propose(drawn(Gamma.model_validate({"rate": "8 /s", "cv": 3}), 1500.0))
    assert proposal.workload["arrivals"]["process"] == "gamma"
    assert proposal.workload["arrivals"]["cv"] == approx(3.0, rel=0.1)
    assert all(match.miss < 0.1 for match in proposal.matches.values())


@pytest.mark.slow
def test_bursts_with_silence_between_them_are_found_to_be_such() -> None:
    bursts = OnOff.model_validate(
        {
            "on": "10 s",
            "off": "60 s",
            "burst_rate": "20 /s",
            "off_sigma": 0.3,
            "burst_rate_sigma": 0.8,
            "gap_shape": 0.5,
        }
    )
    proposal = propose(drawn(bursts, 4_000.0))
    arrivals: Any = Workload.model_validate({"arrivals": proposal.workload["arrivals"]}).arrivals
    assert arrivals.process == "on_off"
    assert arrivals.on_s == approx(10.0, rel=0.35)
    assert arrivals.off_s == approx(60.0, rel=0.15)
    assert arrivals.mean_rate_per_s() == approx(20 * 10 / 70, rel=0.25)


def test_what_is_proposed_is_a_workload_with_the_lengths_of_the_trace() -> None:
    traffic = drawn(Poisson.model_validate({"rate": "8 /s"}), 500.0)
    workload = Workload.model_validate(propose(traffic).workload)
    assert workload.prompt_tokens is not None
    assert workload.prompt_tokens.mean() == approx(500, rel=0.03)
    assert workload.prompt_tokens.longest == int(np.max(traffic.prompt_tokens))


def test_there_is_nothing_to_fit_in_a_few_requests() -> None:
    with pytest.raises(
        ScenarioError,
        match=r"drawn: has \d requests over .* s; expected at least 50 requests at different times",
    ):
        propose(drawn(Poisson.model_validate({"rate": "1 /s"}), 5.0))
    with pytest.raises(ScenarioError, match="has 99 requests over 0 s"):
        propose(Demand("x", np.zeros(99), np.ones(99, dtype=int), np.ones(99, dtype=int)))


# --- the command
#
# ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    traffic = drawn(Gamma.model_validate({"rate": "8 /s", "cv": 3}), 300.0)
    rows = zip(
        traffic.arrival_s.tolist(),
        traffic.prompt_tokens.tolist(),
        traffic.output_tokens.tolist(),
        strict=True,
    )
    (tmp_path / "t.csv").write_text(
        "arrived_at,num_prefill_tokens,num_decode_tokens\n"
        + "".join(f"{time},{prompt},{output}\n" for time, prompt, output in rows)
        + "400,0,1\n"
    )
    return tmp_path / "t.csv"


def test_the_command_tells_the_statistics_of_a_trace(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "workload", trace, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["requests"] == len(trace.read_text().splitlines()) - 2
    assert told["cv"] == approx(
        gap_cv(of_trace(Trace.model_validate({"path": str(trace)}), "t").arrival_s)
    )
    assert "t.csv: 1 of" in err and "rows are omitted: they have no prompt or no answer" in err
    assert "dispersion at 10 s" in call(capsys, "workload", trace)[1]


@pytest.mark.slow
def test_the_command_draws_and_writes(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "workload", trace, "--out", "r.jsonl", "--plot", "r.png")
    assert code == 0
    assert err.endswith("wrote r.jsonl\nwrote r.png\n")
    assert Path("r.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(Path("r.jsonl").read_text().splitlines()[0])["input_length"] > 0
    assert call(capsys, "workload", trace, "--out", "r.txt")[2].endswith(
        "r.txt: '.txt' is not a format of requests; expected .parquet or .jsonl\n"
    )


def test_the_command_takes_scenarios_and_lays_several_side_by_side(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario(Path(), OPEN)
    code, out, _ = call(capsys, "workload", "demand.yaml", trace, "--set", "duration=20 s")
    assert code == 0
    assert "demand" in out and "t.csv" in out
    assert call(capsys, "workload", "demand.yaml", trace, "--out", "r.parquet")[2].endswith(
        "--out: got 2 workloads (demand, t.csv); expected one\n"
    )


def test_the_command_proposes_a_workload_that_a_scenario_can_take(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "workload", "fit", trace)
    assert code == 0
    assert out.startswith("# Fitted to ")
    Workload.model_validate(YAML(typ="safe", pure=True).load(out)["workload"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.csv", "cannot be read: no such file or folder"),
        ("fit", "fit: got no file; expected a trace or a scenario file"),
        ("odd.csv", ":1: has no known format"),
    ],
)
def test_what_is_no_trace_is_told(
    trace: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("odd.csv").write_text("a,b\n")
    code, _, err = call(capsys, "workload", name)
    assert code == 2
    assert said in err
