"""Sessions: what they ask, by mental arithmetic; when they ask, in runs; and the presets, against
the figures they were fitted to.
"""

from __future__ import annotations

import json
import tarfile
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from pytest import approx

import cluster_sim
from cluster_sim.analysis.traffic import of_scenario
from cluster_sim.errors import ScenarioError
from cluster_sim.workload.sessions import Sessions, Turn, scripts
from cluster_sim.workload.sessions.gaps import Gaps
from cluster_sim.workload.statistics import reuse
from cluster_sim.workload.traces import Trace
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

SHARED = Path(__file__).resolve().parents[3] / "shared" / "traces"

PLAIN: dict[str, Any] = {
    "concurrency": 1, "turns": {"median": 2, "sigma": 0, "max": 9}, "tool_steps": {"median": 1, "sigma": 0, "max": 9}, "shared_tokens": 100,
    "first_tokens": 50, "user_tokens": 7, "tool_tokens": 5, "output_tokens": 10, "user_gap": "3 s", "tool_gap": "1 s",
}  # fmt: skip


def turns(seed: int = 1, **changes: Any) -> list[Turn]:
    """The first session's."""
    return list(next(scripts(Sessions.model_validate(PLAIN | changes), seed)))


# --- what a session asks
#
# ----------------------------------------------------------------------------------------------------


def test_a_prompt_is_the_one_before_with_its_answer_and_what_is_fresh() -> None:
    asked = turns()
    assert [turn.prompt_tokens for turn in asked] == [150, 165, 182, 197]
    assert [turn.of_user for turn in asked] == [True, False, True, False]
    assert [turn.gap_s for turn in asked] == [0.0, 1.0, 3.0, 1.0]
    assert {turn.output_tokens for turn in asked} == {10}


def test_pieces_are_the_prompt_and_begin_as_the_prompt_and_the_answer_before() -> None:
    asked = turns()
    for turn in asked:
        assert sum(length for _, length in turn.pieces) == turn.prompt_tokens
    for before, after in pairwise(asked):
        assert after.pieces[: len(before.pieces) + 1] == (
            *before.pieces,
            (before.output_piece, before.output_tokens),
        )
    identities = [identity for identity, _ in asked[-1].pieces]
    assert len(set(identities)) == len(identities) == 8


def test_answers_of_a_session_share_a_factor_that_is_one_in_the_mean() -> None:
    described = Sessions.model_validate(PLAIN | {"output_tokens": 1000, "output_sigma": 0.5})
    answers = [
        {turn.output_tokens for turn in script} for script in islice(scripts(described, 1), 4000)
    ]
    assert all(len(lengths) == 1 for lengths in answers)
    logarithms = np.log([lengths.pop() for lengths in answers])
    # standard errors: 0.5 / sqrt(4000) of the mean of the logarithm, that over sqrt(2) of its
    # deviation
    assert np.mean(logarithms) == approx(np.log(1000) - 0.125, abs=4 * 0.008)
    assert np.std(logarithms) == approx(0.5, abs=4 * 0.006)


def test_sessions_share_their_beginning_and_nothing_else() -> None:
    one, other = (
        list(script)[-1].pieces for script in islice(scripts(Sessions.model_validate(PLAIN), 1), 2)
    )
    assert one[0] == other[0]
    assert not {identity for identity, _ in one[1:]} & {identity for identity, _ in other[1:]}
    assert turns(shared_tokens=0)[0].pieces[0] != one[0]


def test_a_context_that_is_too_long_is_compacted_into_a_new_chain() -> None:
    """Above 170 a prompt becomes 120 tokens: 100 shared, 13 of summary, 7 fresh; the next is 120 +
    10 + 5.
    """
    asked = turns(compaction={"above_tokens": 170, "to_tokens": 120})
    assert [turn.prompt_tokens for turn in asked] == [150, 165, 120, 135]
    assert [length for _, length in asked[2].pieces] == [100, 13, 7]
    assert asked[2].pieces[0] == asked[1].pieces[0]
    assert not {identity for identity, _ in asked[2].pieces[1:]} & {
        identity for turn in asked[:2] for identity, _ in turn.pieces
    }


def test_what_is_fresh_outlives_a_compaction_to_less() -> None:
    assert [turn.prompt_tokens for turn in turns(compaction={"above_tokens": 170, "to_tokens": 3})][
        2
    ] == 107


def test_an_answer_is_cut_at_the_window_and_a_full_session_ends() -> None:
    asked = turns(window_tokens=170)
    assert [(turn.prompt_tokens, turn.output_tokens) for turn in asked] == [(150, 10), (165, 5)]


def test_a_session_is_the_same_whatever_others_are_drawn() -> None:
    sessions = Sessions.model_validate({"preset": "coding-agent", "concurrency": 3})
    third = [list(script) for script in islice(scripts(sessions, 5), 3)][2]
    again = scripts(sessions, 5)
    next(again), next(again)
    assert list(next(again)) == third
    assert third != [list(script) for script in islice(scripts(sessions, 6), 3)][2]


def test_sessions_that_are_drawn_together_follow_each_other_in_the_same_way() -> None:
    """With one length each, all sessions are the first one, whichever they are drawn with; turns
    and tools of some and none.
    """
    every = [list(script) for script in islice(scripts(Sessions.model_validate(PLAIN), 1), 130)]
    assert {
        tuple((turn.gap_s, turn.prompt_tokens, turn.output_tokens, turn.of_user) for turn in asked)
        for asked in every
    } == {
        ((0.0, 150, 10, True), (1.0, 165, 10, False), (3.0, 182, 10, True), (1.0, 197, 10, False))
    }
    mixed = Sessions.model_validate(
        PLAIN
        | {
            "turns": {"median": 2, "sigma": 1, "max": 9},
            "tool_steps": {"none": 0.5, "median": 2, "sigma": 1, "max": 9},
        }
    )
    for script in islice(scripts(mixed, 1), 130):
        prompts = [(turn.prompt_tokens, turn.gap_s, turn.of_user) for turn in script]
        assert prompts[0] == (150, 0.0, True)
        for before, after in pairwise(prompts):
            assert after == (
                (before[0] + 17, 3.0, True) if after[2] else (before[0] + 15, 1.0, False)
            )


# --- gaps
#
# -----------------------------------------------------------------------------------------------------------------


def gaps(came: Any, count: int = 200_000) -> np.ndarray:
    return TypeAdapter(Gaps).validate_python(came).draw(np.random.default_rng(2), count)  # type: ignore[no-any-return]


def test_a_bare_time_is_always_the_same_gap() -> None:
    assert set(gaps("250 ms", 10)) == {0.25}


def test_log_normal_gaps_have_their_median_and_are_cut() -> None:
    drawn = gaps({"distribution": "lognormal", "median": "10 s", "sigma": 1.0, "max": "60 s"})
    assert np.median(drawn) == approx(10.0, rel=0.02)
    assert drawn.max() == 60.0


def test_spans_come_by_their_weights_each_decade_as_likely_and_tails_have_their_mean() -> None:
    drawn = gaps(
        {
            "distribution": "spans",
            "spans": [
                {"weight": 3, "low": "10 ms", "high": "1 s"},
                {"weight": 1, "low": "10 s", "mean": "15 s"},
            ],
        }
    )
    short = drawn[drawn <= 1.0]
    assert len(short) / len(drawn) == approx(0.75, abs=0.005)
    assert np.mean(short < 0.1) == approx(0.5, abs=0.01)
    assert drawn[drawn > 1.0].min() >= 10.0
    assert np.mean(drawn[drawn > 1.0]) == approx(15.0, rel=0.03)


# --- when they ask it
#
# -----------------------------------------------------------------------------------------------------


def run(
    tmp_path: Path, sessions: dict[str, Any], room: str = "310 kB", **changes: Any
) -> cluster_sim.Results:
    """Two replicas of small GPUs."""
    device = SMALL_GPU | {"memory": {"capacity": room, "bandwidth": "1 GB/s"}}
    scenario = {
        "name": "sessions", "seed": 4, "duration": "3 s", "model": TINY_MODEL, "workload": {"sessions": sessions},
        "cluster": {
            "pools": [{"name": "p", "node": node(device, 2), "replica": {"engine": engine(max_sequences=12)}}],
            "router": {"policy": "least_work"},
        },
    } | changes  # fmt: skip
    path = tmp_path / "sessions.yaml"
    path.write_text(json.dumps(scenario))
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def column(results: cluster_sim.Results, name: str) -> np.ndarray:
    return results.requests[name].to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def test_a_turn_comes_its_gap_after_the_answer_before_and_the_next_session_where_one_ends(
    tmp_path: Path,
) -> None:
    results = run(
        tmp_path,
        PLAIN | {"requests": 12, "user_gap": "300 ms", "tool_gap": "100 ms"},
        duration="100 s",
    )
    arrival_s, finish_s = column(results, "arrival_s"), column(results, "finish_s")
    assert column(results, "prompt_tokens").tolist() == [150, 165, 182, 197] * 3
    assert arrival_s[1:] - finish_s[:-1] == approx(
        np.array([0.1, 0.3, 0.1, 0.0] * 3)[:11], abs=1e-9
    )


def test_sessions_start_by_their_process_whatever_becomes_of_them(tmp_path: Path) -> None:
    results = run(
        tmp_path,
        {key: value for key, value in PLAIN.items() if key != "concurrency"}
        | {"arrivals": {"process": "poisson", "rate": "40 /s"}},
    )
    first = column(results, "prompt_tokens") == 150
    assert np.sum(first) == approx(120, abs=4 * 120**0.5)
    assert np.all(np.diff(column(results, "arrival_s")) >= 0.0)
    counted = run(
        tmp_path,
        {key: value for key, value in PLAIN.items() if key != "concurrency"}
        | {"arrivals": {"process": "at_once", "requests": 5}},
        duration="60 s",
    )
    assert len(column(counted, "arrival_s")) == 20


MIXED: dict[str, Any] = {
    "turns": {"median": 2, "sigma": 1.0, "max": 9}, "tool_steps": {"none": 0.3, "median": 3, "sigma": 0.8, "max": 20}, "shared_tokens": 40,
    "first_tokens": {"distribution": "lognormal", "median": 60, "sigma": 0.9, "max": 300}, "user_tokens": 20,
    "tool_tokens": {"distribution": "uniform", "low": 1, "high": 60}, "output_tokens": {"distribution": "uniform", "low": 1, "high": 50},
    "user_gap": {"distribution": "lognormal", "median": "50 ms", "sigma": 1.0}, "tool_gap": "10 ms", "window_tokens": 600,
    "compaction": {"above_tokens": 400, "to_tokens": 150},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "starts",
    [{"concurrency": 20}, {"arrivals": {"process": "gamma", "rate": "30 /s", "cv": 2}}],
    ids=["concurrency", "arrivals"],
)
@pytest.mark.parametrize("room", ["400 kB", "1 MB"])
def test_stepping_changes_nothing_of_sessions(
    tmp_path: Path, starts: dict[str, Any], room: str
) -> None:
    stretch, step = (
        run(tmp_path, MIXED | starts, room, stepping=stepping, duration="25 s")
        for stepping in ("stretch", "step")
    )
    assert len(column(stretch, "status")) > 300
    assert np.array_equal(column(stretch, "prompt_tokens"), column(step, "prompt_tokens"))
    done = column(stretch, "status") == "finished"
    assert np.array_equal(done, column(step, "status") == "finished")
    assert np.sum(done) > 200
    for name in ("arrival_s", "first_token_s", "finish_s"):
        np.testing.assert_allclose(column(stretch, name)[done], column(step, name)[done], rtol=1e-9)


def test_no_more_sessions_are_open_than_were_asked_for(tmp_path: Path) -> None:
    results = run(tmp_path, MIXED | {"concurrency": 7}, "1 MB")
    assert results.summary()["max_concurrent_requests"] <= 7
    assert column(results, "arrival_s")[:7].tolist() == [0.0] * 7


def test_a_session_that_is_refused_ends_and_the_run_goes_on(tmp_path: Path) -> None:
    """Without a window nobody knows how long a prompt will be: the first that no replica holds ends
    its session.
    """
    grows = PLAIN | {
        "turns": {"median": 300, "sigma": 0, "max": 300},
        "user_tokens": 60,
        "arrivals": {"process": "at_once", "requests": 3},
    }
    results = run(
        tmp_path,
        {key: value for key, value in grows.items() if key != "concurrency"},
        duration="1000 s",
    )
    assert results.summary()["rejected"] == 3
    assert column(results, "status").tolist()[-1] == "rejected"


# --- recorded sessions
#
# ----------------------------------------------------------------------------------------------------


def recorded(tmp_path: Path) -> str:
    first = {
        "t": 0.0,
        "in": 130,
        "out": 10,
        "hash_ids": [1, 2, 3],
        "api_time": 2.0,
        "think_time": 0.0,
    }
    second = {
        "t": 3.0,
        "in": 200,
        "out": 20,
        "hash_ids": [1, 2, 4],
        "api_time": 1.0,
        "think_time": 0.2,
    }
    path = tmp_path / "weka.jsonl"
    path.write_text(
        "".join(
            json.dumps({"id": name, "block_size": 64, "requests": [first, second]}) + "\n"
            for name in "ab"
        )
    )
    return str(path)


def test_recorded_sessions_are_replayed_with_their_gaps_and_from_the_first_again(
    tmp_path: Path,
) -> None:
    results = run(
        tmp_path,
        {"trace": {"path": recorded(tmp_path)}, "concurrency": 1, "requests": 10},
        "10 GB",
        duration="100 s",
    )
    arrival_s, finish_s = column(results, "arrival_s"), column(results, "finish_s")
    assert column(results, "prompt_tokens").tolist() == [130, 200] * 5
    assert arrival_s[1:] - finish_s[:-1] == approx([0.2, 0.0] * 4 + [0.2], abs=1e-9)
    rounds = [
        next(script).pieces[0][0]
        for script in islice(
            scripts(
                Sessions.model_validate({"trace": {"path": recorded(tmp_path)}, "concurrency": 1}),
                1,
            ),
            4,
        )
    ]
    assert len(set(rounds)) == 4


def test_a_run_finds_in_its_cache_what_the_traffic_alone_says_could_be_found(
    tmp_path: Path,
) -> None:
    """With room for everything and blocks of one token all but an answer's last token, which is
    never in the cache: one a later turn.
    """
    pool = {
        "name": "p",
        "node": node(SMALL_GPU),
        "replica": {"engine": engine(block_tokens=1)},
        "kv": {"prefix_caching": True},
    }
    sessions = PLAIN | {"requests": 40, "compaction": {"above_tokens": 190, "to_tokens": 120}}
    found = run(tmp_path, sessions, duration="1 h", cluster={"pools": [pool]})
    estimate = of_scenario(found.scenario, tokens_per_s=50.0)
    prompts = int(column(found, "prompt_tokens").sum())
    assert prompts == estimate.prompt_tokens.sum()
    reused = estimate.reused()
    assert reused is not None
    # Each of the ten sessions has two turns after an answer that is in their prompt; the third is
    # compacted away.
    assert column(found, "prefix_hit_tokens").sum() == round(reused * prompts) - 20
    assert found.summary()["prefix_hit_fraction"] == approx(reused, abs=0.01)


# --- what is refused
#
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"concurrency": None}, "expected exactly one of 'arrivals' and 'concurrency'"),
        (
            {"arrivals": {"process": "poisson", "rate": "1 /s"}},
            "expected exactly one of 'arrivals' and 'concurrency'",
        ),
        (
            {"concurrency": None, "arrivals": {"process": "closed_loop", "concurrency": 4}},
            "sessions always wait for answers",
        ),
        ({"turns": None}, "'turns' is missing; write it, or a 'preset' or a 'trace'"),
        (
            {"turns": {"none": 0.1, "median": 2, "sigma": 0, "max": 9}},
            "a session has at least one turn; expected 'turns' without 'none'",
        ),
        ({"tool_gap": None}, "'tool_steps' needs 'tool_tokens' and 'tool_gap'"),
        ({"preset": "coding-agnt"}, "no session preset 'coding-agnt'; did you mean 'coding-agent'"),
        (
            {"user_gap": {"distribution": "spans", "spans": [{"weight": 1, "low": "1 s"}]}},
            "expected exactly one of 'high' and, for a Pareto tail, 'mean'",
        ),
        (
            {
                "user_gap": {
                    "distribution": "spans",
                    "spans": [{"weight": 1, "low": "2 s", "high": "1 s"}],
                }
            },
            "expected 'high' above 'low'",
        ),
    ],
)
def test_sessions_that_are_none_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Sessions.model_validate(PLAIN | changes)


def test_a_scenario_of_sessions_is_checked_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError,
        match=r"sessions\.yaml:1: workload\.arrivals: sessions bring their own 'arrivals'; expected either 'arrivals' or 'sessions'",
    ):
        run(
            tmp_path,
            PLAIN,
            workload={"sessions": PLAIN, "arrivals": {"process": "poisson", "rate": "1 /s"}},
        )
    parts = [{"name": "a", "share": 1, "prompt_tokens": 5}]
    with pytest.raises(
        ScenarioError,
        match=r"workload\.classes\[0\]\.prompt_tokens: sessions bring their own 'prompt_tokens'; expected either 'prompt_tokens' or 'sessions'",
    ):
        run(tmp_path, PLAIN, workload={"sessions": PLAIN, "classes": parts})
    with pytest.raises(
        ScenarioError,
        match=r"'duration' is missing; expected a time such as '20 min', or 'requests' under workload\.sessions",
    ):
        run(tmp_path, PLAIN, duration=None)
    with pytest.raises(
        ScenarioError,
        match="the longest request, 9,000 tokens, exceeds the context of tiny, 4,096 tokens",
    ):
        run(tmp_path, PLAIN | {"window_tokens": 9000})


# --- presets
#
# ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_coding_agent_is_as_the_recorded_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """TraceLab (arXiv 2606.30560): quantiles that the preset was fitted to; and, printed,
    aggregates that it was not.
    """
    sessions = Sessions.model_validate({"preset": "coding-agent", "concurrency": 1})
    counts, steps, tool_s, user_s, prompts, outputs = [], [], [], [], [], []
    seen: list[tuple[int, Any, Any]] = []
    for number, script in enumerate(islice(scripts(sessions, 3), 6000)):
        asked = list(script)
        counts.append(sum(turn.of_user for turn in asked))
        steps.append(len(asked))
        tool_s += [turn.gap_s for turn in asked if not turn.of_user]
        user_s += [turn.gap_s for turn in asked[1:] if turn.of_user]
        prompts += [turn.prompt_tokens for turn in asked]
        outputs += [turn.output_tokens for turn in asked]
        if number < 200:
            seen += [
                (turn.prompt_tokens, turn.pieces, (turn.output_piece, turn.output_tokens))
                for turn in asked
            ]
    assert sessions.turns is not None
    assert np.percentile(
        sessions.turns.draw(np.random.default_rng(4), 400_000), [50, 90, 99]
    ) == approx([1, 18, 137], rel=0.06)
    assert np.percentile(counts, 50) == 1
    assert np.percentile(counts, 90) == approx(
        18, abs=3 * 0.8
    )  # three standard errors of 6,000 sessions, as below
    assert np.percentile(counts, 99) == approx(137, abs=3 * 13)
    assert sum(steps) / sum(counts) == approx(8.8, rel=0.08)
    assert np.percentile(outputs, 50) == approx(184, rel=0.02)
    assert np.mean(outputs) == approx(416, rel=0.03)
    bins = np.histogram(tool_s, [0, 1, 10, 60, np.inf])[0] / len(tool_s)
    assert bins == approx([0.609, 0.273, 0.078, 0.040], abs=0.005)
    assert np.mean(np.array(user_s) <= 300) == approx(0.698, abs=0.03)
    assert np.mean(np.array(user_s) <= 3600) == approx(0.949, abs=0.025)
    # Not used by the fit; TraceLab's Codex rounds have a mean input of 121,900 tokens, 293 tokens
    # in for one out, 95.7 % of them cached.
    found = reuse(seen)
    with capsys.disabled():
        print(  # noqa: T201 - to be compared by those who read
            f"\ncoding-agent: mean context {np.mean(prompts):,.0f} tokens (published 121,900), input:output {sum(prompts) / sum(outputs):.0f} (293), "
            f"prefix found {found.token_fraction:.1%} (95.7 %), steps a session {np.mean(steps):.1f} (68)"
        )
    assert np.mean(prompts) == approx(121_900, rel=0.15)
    assert sum(prompts) / sum(outputs) == approx(293, rel=0.15)
    assert found.token_fraction == approx(0.957, abs=0.04)


def test_codex_spark_stays_in_its_window_and_compacts_early() -> None:
    sessions = Sessions.model_validate({"preset": "codex-spark", "concurrency": 1})
    assert sessions.longest == 128_000
    asked = [turn for script in islice(scripts(sessions, 3), 200) for turn in script]
    assert max(turn.prompt_tokens for turn in asked) <= 115_000
    assert max(turn.prompt_tokens + turn.output_tokens for turn in asked) <= 128_000
    assert np.median(
        [next(iter(script)).prompt_tokens for script in islice(scripts(sessions, 3), 1000)]
    ) == approx(12_000, rel=0.05)


@pytest.mark.skipif(
    not SHARED.is_dir(),
    reason="the recorded traces are not part of the project: ../shared/traces is absent",
)
def test_original_sessions_have_their_prefixes() -> None:
    """Kv-cache-tester's sessions find most of each prompt in the one before it."""
    sessions = Sessions.model_validate(
        {"trace": {"path": str(SHARED / "coding_agent_weka" / "small_plain")}, "concurrency": 1}
    )
    asked = [
        (turn.prompt_tokens, turn.pieces, None)
        for script in islice(scripts(sessions, 1), 6)
        for turn in script
    ]
    found = reuse(asked)
    assert len(asked) == 49
    assert found.token_fraction is not None and 0.8 < found.token_fraction < 1.0


def test_a_recorded_trace_without_sessions_is_refused_not_read_for_ever(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    trace = Trace.model_validate({"path": str(tmp_path / "empty.tar"), "format": "weka"})
    with pytest.raises(ScenarioError, match=r"empty\.tar: has no requests"):
        trace.check(as_sessions=True)
    sessions = Sessions.model_validate({"concurrency": 1, "trace": trace})
    with pytest.raises(ScenarioError, match="has no requests"):
        next(scripts(sessions, seed=1))


def test_a_small_trace_is_read_once_and_its_rounds_have_other_identities(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    request = {"t": 0.0, "type": "n", "in": 130, "out": 10, "hash_ids": [1, 2]}
    path.write_text(json.dumps({"id": "t", "block_size": 64, "requests": [request]}))
    trace = Trace.model_validate({"path": str(path)})
    rounds = scripts(Sessions.model_validate({"concurrency": 1, "trace": trace}), seed=1)
    (first,) = next(rounds)
    (second,) = next(rounds)
    path.unlink()
    (third,) = next(rounds)
    assert first.prompt_tokens == second.prompt_tokens == third.prompt_tokens == 130
    assert len({turn.pieces[0] for turn in (first, second, third)}) == 3
