"""Statistics of traffic: on sequences whose answers are plain, and on recorded traces whose answers
were worked out elsewhere.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

from cluster_sim.workload.statistics import (
    dispersion,
    gap_cv,
    of_arrivals,
    of_lengths,
    peak_to_mean,
    rank_correlation,
    reuse,
    window_counts,
)
from cluster_sim.workload.traces import Tally, Trace

SHARED = Path(__file__).resolve().parents[3] / "shared" / "traces"
recorded = pytest.mark.skipif(
    not SHARED.is_dir(),
    reason="the recorded traces are not part of the project: ../shared/traces is absent",
)


def test_windows_begin_with_the_first_arrival_and_a_last_part_is_left_out() -> None:
    counts, windows = window_counts(np.array([10.0, 10.5, 11.0, 13.2, 13.9]), 1.0)
    assert (counts.tolist(), windows) == ([2, 1, 0], 3)
    assert window_counts(np.zeros(0), 1.0).windows == 0


def test_thirty_years_between_arrivals_take_no_memory() -> None:
    """Two arrivals in a billion windows, and one at the end: as rare as Poisson's, and alone."""
    times_s = np.array([0.0, 5e8, 1e9])
    assert dispersion(times_s, 1.0) == approx(1.0)
    assert peak_to_mean(times_s, 1.0) == approx(5e8)


def test_windows_that_are_not_held_count_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts 2, 1, 0, 0, 3: mean 1.2, variance 1.7."""
    times_s = np.array([0.0, 0.5, 1.0, 4.2, 4.5, 4.9, 5.0])
    for most in (10, 2):
        monkeypatch.setattr("cluster_sim.workload.statistics._MOST_WINDOWS", most)
        assert dispersion(times_s, 1.0) == approx(1.7 / 1.2)
        assert peak_to_mean(times_s, 1.0) == approx(3 / 1.2)


def test_even_arrivals_vary_in_nothing() -> None:
    times_s = np.arange(101) / 8
    assert gap_cv(times_s) == 0.0
    assert dispersion(times_s, 1.0) == 0.0
    assert peak_to_mean(times_s, 1.0) == 1.0
    assert of_arrivals(times_s).rate_per_s == approx(101 / 12.5)


def test_pairs_of_gaps_one_and_three_have_a_variation_of_a_half() -> None:
    times_s = np.cumsum([0.0, *[1.0, 3.0] * 50])
    assert gap_cv(times_s) == approx(0.5)


def test_of_too_few_nothing_is_said() -> None:
    few = of_arrivals(np.array([1.0, 2.0, 4.5]))
    assert few.cv is not None
    assert few.dispersion == few.peak_to_mean == {1.0: None, 10.0: None, 60.0: None, 600.0: None}
    assert of_arrivals(np.array([3.0])).rate_per_s is None
    assert of_arrivals(np.zeros(0)).cv is None


def test_quantiles_are_linear() -> None:
    assert of_lengths(np.arange(1, 11)).quantiles == approx(
        {0.1: 1.9, 0.5: 5.5, 0.9: 9.1, 0.99: 9.91}
    )


def test_ranks_correlate_whatever_the_values_are_and_ties_share_theirs() -> None:
    assert rank_correlation(np.array([1, 2, 3, 4]), np.array([10, 100, 1000, 10000])) == approx(1.0)
    assert rank_correlation(np.array([1, 2, 3]), np.array([5, 4, 3])) == approx(-1.0)
    assert rank_correlation(np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2])) == approx(0.0)
    assert rank_correlation(np.array([1, 1]), np.array([1, 2])) is None


def test_what_was_seen_before_counts_as_far_as_nothing_new_comes_between() -> None:
    """Of pieces a, b | a, c, b | a, c: the second finds a, the third a and c; b behind c is another b, but this identity was never used so."""
    found = reuse(
        [
            (7, ((1, 4), (2, 3)), None),
            (9, ((1, 4), (3, 3), (2, 2)), None),
            (8, ((1, 4), (3, 3)), None),
        ]
    )
    assert (found.pieces, found.seen_pieces, found.tokens, found.seen_tokens) == (7, 3, 24, 11)


def test_an_answer_is_known_to_the_next_turn() -> None:
    found = reuse([(5, ((1, 5),), (2, 10)), (18, ((1, 5), (2, 10), (3, 3)), (4, 7))])
    assert found.seen_tokens == 15
    assert found.token_fraction == approx(15 / 23)
    assert reuse([(5, (), None)]).token_fraction is None


# --- recorded traces
#
# ------------------------------------------------------------------------------------------------------

FILES = {
    "./azure2023/AzureLLMInferenceTrace_code.first2400s.csv": "azure",
    "./azure2023/AzureLLMInferenceTrace_conv.first2400s.csv": "azure",
    "./mooncake/arxiv_toolagent_excerpt_93rows.jsonl": "mooncake",
    "./mooncake/conversation_trace.first1800s.jsonl": "mooncake",
    "./mooncake/synthetic_trace.jsonl": "mooncake",
    "./burstgpt/BurstGPT_1.conversation_first250_arrivals_reconstructed.csv": "burstgpt",
}


def trace_of(name: str, tmp_path: Path) -> Trace:
    path = SHARED / name
    if (
        "reconstructed" in name
    ):  # it has no answers: given the columns of the original, one token in each more than there was
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        path = tmp_path / "burstgpt.csv"
        text = "".join(
            f"{time},ChatGPT,{int(tokens) + 1},1,{int(tokens) + 2},Conversation log\n"
            for time, tokens in rows
        )
        path.write_text(
            "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n" + text
        )
    return Trace.model_validate({"path": str(path)})


def since_1970_us(name: str) -> int:
    stamp = (SHARED / name).read_text().splitlines()[1].split(",")[0]
    return round(datetime.fromisoformat(stamp[:26] + "+00:00").timestamp() * 1e6)


@pytest.mark.slow
@recorded
@pytest.mark.parametrize("name", FILES)
def test_recorded_traces_have_the_statistics_that_were_worked_out_elsewhere(
    name: str, tmp_path: Path
) -> None:
    expected: dict[str, Any] = json.loads((SHARED / "expected_stats.json").read_text())[name]
    trace = trace_of(name, tmp_path)
    assert trace.found_format == FILES[name]
    times_s, prompts, outputs, pieces = zip(*trace.rows(), strict=True)
    # The expected values were worked out in seconds since 1970, of which a float keeps a quarter of
    # a microsecond.
    times_s = np.array(times_s)
    if FILES[name] == "azure":
        times_s = (since_1970_us(name) + np.rint(times_s * 1e6)) / 1e6
    arr, seen = expected["arr"], of_arrivals(times_s)
    assert seen.requests == arr["n"]
    assert seen.span_s == approx(arr["span_s"], abs=6e-4)  # it was rounded
    assert seen.cv == approx(arr["ia_cv"], rel=1e-9)
    for window_s, label in ((1.0, "1s"), (10.0, "10s"), (60.0, "60s"), (600.0, "600s")):
        for mine, key in (
            (seen.dispersion[window_s], f"idc_{label}"),
            (seen.peak_to_mean[window_s], f"p2m_{label}"),
        ):
            assert mine == (None if arr[key] is None else approx(arr[key], rel=1e-9)), key
    for column, key in ((np.array(prompts), "in"), (np.array(outputs), "out")):
        if key not in expected:
            continue
        less = 1 if FILES[name] == "burstgpt" else 0
        wanted = expected[key]
        assert [np.percentile(column, q) - less for q in (1, 10, 50, 90, 99)] == [
            wanted[f"p{q}"] for q in (1, 10, 50, 90, 99)
        ]
        assert (column.max() - less, column.min() - less) == (wanted["max"], wanted["min"])
        assert np.mean(column - less) == approx(wanted["mean"], rel=1e-12)
    if "corr" in expected:
        assert rank_correlation(np.array(prompts), np.array(outputs)) == approx(
            expected["corr"]["spearman"], abs=1e-9
        )
    if "prefix" in expected:
        found = reuse((tokens, own, None) for tokens, own in zip(prompts, pieces, strict=True))
        assert found.pieces == expected["prefix"]["blocks_total"]
        assert found.piece_fraction == approx(expected["prefix"]["leading_hit_frac_inf"], rel=1e-12)
        assert found.token_fraction == approx(expected["prefix"]["token_hit_frac_inf"], rel=1e-12)
        assert (
            len({identity for own in pieces for identity, _ in own})
            == expected["prefix"]["blocks_unique"]
        )
        for blocks in (1000, 10_000):
            assert lru_share(pieces, blocks) == approx(
                expected["prefix"][f"lru_{blocks}"], rel=1e-12
            )


def lru_share(prompts: tuple[tuple[tuple[int, int], ...], ...], blocks: int) -> float:
    """Share of pieces found in a cache of so many that forgets the least recently used, touched
    front to back, while the prefix is unbroken.
    """
    cache: OrderedDict[int, None] = OrderedDict()
    hits = total = 0
    for pieces in prompts:
        whole = True
        for identity, _ in pieces:
            total += 1
            if identity in cache:
                hits += whole
                cache.move_to_end(identity)
            else:
                whole = False
                cache[identity] = None
                if len(cache) > blocks:
                    cache.popitem(last=False)
    return hits / total


@recorded
@pytest.mark.parametrize(
    "name",
    [
        "./mooncake/conversation_trace.first1800s.jsonl",
        "./mooncake/arxiv_toolagent_excerpt_93rows.jsonl",
    ],
)
def test_ticks_that_are_spread_out_are_the_bursts_that_were_there(name: str) -> None:
    """Stamps of 3 s make a CV of 3 of what is next to Poisson; another draw of the spread was
    worked out elsewhere.
    """
    expected = json.loads((SHARED / "expected_stats.json").read_text())[name]["arr_dejittered_3s"]
    rows = list(Trace.model_validate({"path": str(SHARED / name), "dejitter": "3 s"}).rows(seed=5))
    times_s = np.array([row[0] for row in rows])
    seen = of_arrivals(times_s)
    assert np.all(np.diff(times_s) >= 0.0)
    assert seen.requests == expected["n"]
    assert seen.cv == approx(expected["ia_cv"], abs=3 / seen.requests**0.5)
    if seen.requests > 1000:
        assert seen.dispersion[1.0] == approx(expected["idc_1s"], abs=0.15)
        assert seen.dispersion[60.0] == approx(expected["idc_60s"], rel=0.3)


@pytest.mark.slow
@recorded
def test_recorded_agent_sessions_have_the_statistics_that_were_worked_out_elsewhere() -> None:
    expected = json.loads((SHARED / "expected_stats.json").read_text())["coding_agent_weka(lite)"]
    tally = Tally()
    sessions = list(
        Trace.model_validate(
            {"path": str(SHARED / "coding_agent_weka" / "weka_lite_dev.jsonl.gz")}
        ).sessions(tally)
    )
    assert len(sessions) == expected["sessions"]
    assert tally.rows == expected["requests"]
    assert tally.empty == 17
    prompts, outputs = (
        np.array([step[column] for session in sessions for step in session.steps])
        for column in (1, 2)
    )
    # 17 requests without an answer are left out here and were not there.
    assert [np.percentile(np.append(outputs, np.zeros(17)), q) for q in (10, 50, 90, 99)] == [
        expected["out"][f"p{q}"] for q in (10, 50, 90, 99)
    ]
    assert [np.percentile(prompts, q) for q in (10, 50, 90, 99)] == approx(
        [expected["in"][f"p{q}"] for q in (10, 50, 90, 99)], rel=0.002
    )
    assert [np.percentile([len(one.steps) for one in sessions], q) for q in (10, 50, 90)] == approx(
        [7, 44, 156], abs=1
    )
    assert np.max(prompts) == expected["in"]["max"]
