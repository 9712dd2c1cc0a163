"""Attempts of clients: tables, metrics and reasons of a small run, by mental arithmetic."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster_sim
from cluster_sim import figures
from cluster_sim.deployment.fleet import resolve
from cluster_sim.export import trace
from cluster_sim.export.client_view import answers
from cluster_sim.request import ClientRequest, Request
from cluster_sim.results.attempt_columns import ATTEMPTS, OUTCOMES
from cluster_sim.results.build_tables import build_tables
from cluster_sim.results.metrics import finished, phases, timeline
from cluster_sim.results.metrics.load import loads
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.results import Results
from cluster_sim.results.run_info import RunInfo
from cluster_sim.results.unanswered import Reason, reason_rows, remedies, unanswered
from cluster_sim.topology import FRONT_DOOR
from tests.laws.whole_run import every_law_holds
from tests.perfetto import read
from tests.scenarios import WORKLOAD, make_pool, make_scenario, unchecked_scenario

PROMPT, OUTPUT = 100, 11
CLIENTS = {
    "timeout": {"ttft": "2 s", "e2el": "4 s"},
    "retries": 1,
    "hedge_after": "1 s",
    "retry_budget": 0.5,
}


class Clients:
    """Recorder of a run whose clients and cluster do what a test says."""

    def __init__(self) -> None:
        self.recorder = Recorder()

    def request(self, arrival_s: float, **changes: Any) -> ClientRequest:
        number = len(self.recorder.originals)
        first = Request(number, arrival_s, PROMPT, OUTPUT, **changes)
        self.recorder.originals.append(ClientRequest(number, first))
        return self.recorder.originals[-1]

    def send(self, original: ClientRequest, at_s: float, kind: str = "", **done: Any) -> Request:
        """An attempt, and what becomes of it in the cluster."""
        number = len(self.recorder.requests)
        attempt = Request(number, at_s, PROMPT, OUTPUT, original.first.counted)
        attempt.original, attempt.attempt = original.number, original.attempts
        original.last, original.attempts = attempt, original.attempts + 1
        self.recorder.requests.append(attempt)
        if kind:
            self.recorder.events.append((at_s, kind, -1, number, float(attempt.attempt)))
        attempt.replica = 0
        for name, value in done.items():
            setattr(attempt, name, value)
        return attempt

    def give_up(self, attempt: Request, what: str, at_s: float, left_s: float) -> None:
        self.recorder.given_up[attempt.number] = what
        if what == "timed_out":
            waited_s = at_s - attempt.arrival_s
            self.recorder.events.append((at_s, what, 0, attempt.number, waited_s))
        self.recorder.cancels(attempt, left_s, 0)


def end(original: ClientRequest, status: str, at_s: float, winner: Request | None = None) -> None:
    original.status, original.end_s, original.winner = status, at_s, winner


def a_day() -> Recorder:
    """Eight requests of clients, of each fate one, with eleven attempts."""
    clients = Clients()
    at_once = clients.request(0.0)
    answer = clients.send(at_once, 0.0, admitted_s=0.5, first_token_s=1.0, finish_s=2.0)
    end(at_once, "finished", 2.0, answer)

    again = clients.request(1.0)
    waits = clients.send(again, 1.0)
    clients.give_up(waits, "timed_out", 3.0, 3.0)
    late = clients.request(2.0)
    decodes = clients.send(
        late, 2.0, admitted_s=2.5, first_token_s=3.0, generated=7, prefix_hit_tokens=20
    )
    answer = clients.send(
        again, 4.0, "retried_by_client", admitted_s=4.5, first_token_s=5.0, finish_s=7.0
    )
    end(again, "finished", 7.0, answer)

    clients.give_up(decodes, "timed_out", 6.0, 6.5)
    late.denied = 1
    end(late, "timed_out", 6.0)

    hedged = clients.request(8.0)
    slow = clients.send(hedged, 8.0, admitted_s=9.5, prefilled=60)
    hedge = clients.send(hedged, 9.0, "hedged", admitted_s=9.5, first_token_s=10.0, finish_s=11.0)
    clients.give_up(slow, "cancelled", 10.0, 10.25)
    end(hedged, "finished", 11.0, hedge)

    left = clients.request(12.0)
    part = clients.send(left, 12.0, admitted_s=12.5, first_token_s=13.0, finish_s=14.0)
    part.output_tokens = 5
    clients.recorder.given_up[part.number] = "cancelled"
    end(left, "cancelled", 14.0)

    refused = clients.request(15.0)
    for at_s, kind in ((15.0, ""), (16.0, "retried_by_client")):
        attempt = clients.send(refused, at_s, kind)
        attempt.replica = -1
        clients.recorder.rejects(attempt, at_s, "queue_limit")
    end(refused, "rejected", 16.0)

    lost = clients.request(17.0)
    attempt = clients.send(lost, 17.0, admitted_s=17.5, first_token_s=17.75, generated=3)
    clients.recorder.fails(attempt, 18.0, "all_down")
    end(lost, "failed", 18.0)

    clients.send(clients.request(19.0), 19.0, admitted_s=19.0)
    return clients.recorder


CLUSTER = {
    "pools": [make_pool()],
    "admission": {"policy": "queue_limit", "max_waiting": 1},
}


def run(recorder: Recorder, **changes: Any) -> Results:
    keys = {"workload": WORKLOAD | {"clients": CLIENTS}, "slo": {"ttft": "3 s"}, "cluster": CLUSTER}
    scenario = unchecked_scenario(**keys | changes)
    fleet = resolve(scenario)
    assert fleet.answer_latencies_s == [0.0]
    paths = [fleet.topology.route(FRONT_DOOR, fleet.replicas[0].server)]
    tables, simulated_s = build_tables(scenario, recorder, paths)
    return Results(scenario, **tables._asdict(), info=RunInfo(0.0, 0, simulated_s))


@pytest.fixture(scope="module")
def day() -> Results:
    return run(a_day())


def test_requests_have_the_status_that_their_clients_saw(day: Results) -> None:
    assert day.requests["status"].to_pylist() == [
        "finished",
        "finished",
        "timed_out",
        "finished",
        "cancelled",
        "rejected",
        "failed",
        "unfinished",
    ]
    assert day.requests["attempts"].to_pylist() == [1, 2, 1, 2, 1, 2, 1, 1]
    assert day.requests["arrival_s"].to_pylist() == [0, 1, 2, 8, 12, 15, 17, 19]
    assert day.requests["ended_s"].to_pylist() == [2, 7, 6, 11, 14, 16, 18, None]
    assert day.requests["finish_s"].to_pylist() == [2, 7, None, 11, None, None, None, None]
    assert day.requests["output_tokens"].to_pylist() == [OUTPUT] * 8


def test_attempts_have_outcomes_and_add_up(day: Results) -> None:
    outcomes = day.attempts["outcome"].to_pylist()
    assert outcomes == [
        "answered",
        "timed_out",
        "timed_out",
        "answered",
        "superseded",
        "answered",
        "cancelled",
        "rejected",
        "rejected",
        "failed",
        "unfinished",
    ]
    assert Counter(day.attempts["cause"].to_pylist()) == {"first": 8, "retry": 2, "hedge": 1}
    assert day.attempts["original"].to_pylist() == [0, 1, 2, 1, 3, 3, 4, 5, 5, 6, 7]
    summary = day.summary()
    assert summary["attempts"] == sum(summary["attempts_by_outcome"].values()) == 11
    assert set(summary["attempts_by_outcome"]) == set(OUTCOMES)
    statuses = ("completed", "rejected", "unfinished", "lost", "timed_out", "cancelled")
    assert [summary[name] for name in statuses] == [3, 1, 1, 1, 1, 1]
    assert summary["failed"] == 4


def test_a_client_measures_from_its_first_attempt(day: Results) -> None:
    """The second request is sent at 1 s and again at 4 s, and has its first token at 5 s."""
    done = finished(day)
    assert done.ttft_s.tolist() == [1.0, 4.0, 2.0]
    assert done.e2el_s.tolist() == [2.0, 6.0, 3.0]
    assert np.allclose(sum(phases(day).values()), done.e2el_s)


def test_load_and_waste_of_clients(day: Results) -> None:
    """8 requests in 19 s. 7, 3 and 5 tokens are wasted beside 33 that are used; of the prompts, 80
    of a timeout with 20 cached, 60 of a copy, 100 of a user who leaves and 100 of a loss."""
    summary = day.summary()
    assert summary["offered_load"] == pytest.approx(8 / 19)
    assert summary["attempts_per_request"] == 11 / 8
    assert summary["admitted_attempts"] == 8
    assert (summary["client_retries"], summary["denied_attempts"]) == (2, 1)
    assert (summary["hedges"], summary["hedges_won"]) == (1, 1)
    assert summary["wasted_tokens"] == 7 + 3 + 5
    assert summary["wasted_prompt_tokens"] == 80 + 60 + 100 + 100
    assert summary["wasted_share"] == 15 / (15 + 33)


def test_a_user_who_leaves_does_not_count_against_the_slo_unless_it_was_missed() -> None:
    """Two of the seven others have their first token within 3 s. The user who leaves had it after
    1 s, which is too late only with a limit of 0.5 s."""
    assert run(a_day()).summary()["slo_attainment"] == 2 / 7
    assert run(a_day(), slo={"ttft": "0.5 s"}).summary()["slo_attainment"] == 0.0
    assert run(a_day(), slo={"e2el": "7 s"}).summary()["slo_attainment"] == 3 / 7
    assert run(a_day(), slo={"ttft": "5 s", "percentile": 10}).summary()["slo_met"]


def test_a_table_counts_timeouts_in_one_row_whether_or_not_a_retry_was_denied() -> None:
    early = Reason("failed", "timed out while waiting, and the retry budget denied a retry", 3, "x")
    late = Reason("failed", "timed out while waiting", 2, "x")
    assert reason_rows("failed", [[early, late], [late]]) == [("timed out while waiting", [5, 2])]
    assert remedies([early, late]) == ["timed out while waiting: x"]


def test_every_request_without_an_answer_has_a_reason(day: Results) -> None:
    reasons = {(each.outcome, each.text): each.requests for each in unanswered(day)}
    assert set(reasons.values()) == {1}
    texts = [text for outcome, text in reasons if outcome == "failed"]
    assert (
        "timed out in decode or KV transfer (timeout: e2el 4 s), and the retry budget denied a retry"
        in texts
    )
    assert "cancelled by its user" in texts
    assert len(texts) == 4
    assert ("rejected", "queue limit of 1 per replica") in reasons


def test_attempts_wait_and_run_until_they_leave_the_cluster(day: Results) -> None:
    """In the third second the second request waits until its timeout; from 2.5 to 6.5 s one runs."""
    line = timeline(day, points=19)
    assert line.arrival_per_s.tolist() == [
        1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 1,
    ]  # fmt: skip
    assert line.waiting[:8].tolist() == pytest.approx([0.5, 1, 1.5, 0, 0.5, 0, 0, 0])
    assert line.running[:8].tolist() == pytest.approx([0.5, 1, 0.5, 1, 1.5, 2, 1.5, 0])


def test_load_over_time_adds_up_to_requests_and_attempts(day: Results) -> None:
    """Answers within 3 s end at 2 and 11 s; tokens are wasted by who leaves at 6.5, 14 and 18 s."""
    (load,) = loads([day], points=19)
    assert load.offered_per_s.sum() == 8
    assert np.flatnonzero(load.sent_per_s).tolist() == [0, 1, 2, 4, 8, 9, 12, 15, 16, 17, 18]
    assert load.admitted_per_s.sum() == 8
    assert np.flatnonzero(load.good_per_s).tolist() == [2, 11]
    share = load.wasted_share.tolist()
    assert [place for place, value in enumerate(share) if value == 1.0] == [6, 14, 18]
    assert [place for place, value in enumerate(share) if value == 0.0] == [2, 7, 11]


def test_the_figure_names_load_and_waste(day: Results) -> None:
    figure = figures.draw("attempts", day)
    sent, admitted, good, wasted = (panel.get_title("left") for panel in figure.axes)
    assert sent == "Attempts sent, of 8 requests: small 11"
    assert admitted == "Attempts admitted to a batch: small 8"
    assert good == "Goodput, whole answers within the SLO: small 2"
    assert wasted == "Output tokens generated in vain: small 31 %"
    assert "small 29 % (1.38 attempts per request)" in figure.get_suptitle()


def test_exports_see_requests_as_their_clients_do(day: Results) -> None:
    seen = answers(day)
    assert [seen.failure(place) for place in range(8)] == [
        None,
        None,
        "timed out",
        None,
        "cancelled by its user",
        "rejected",
        "lost with the replica that served it",
        "had not finished when the run ended",
    ]
    assert seen.ended_s.tolist() == [2, 7, 6, 11, 14, 16, 18, 19]
    assert seen.cut_off.tolist() == [False] * 4 + [True, False, False, True]


def test_a_trace_has_a_slice_for_each_attempt_until_it_leaves(day: Results, tmp_path: Path) -> None:
    drawn = read(trace.write(day.save(tmp_path / "run"), tmp_path / "run.pftrace"))
    ends_s = {each.name: each.end_ns / 1e9 for each in drawn.of("request")}
    assert ends_s == {
        "request 0, attempt 1": 2.0,
        "request 1, attempt 1": 3.0,
        "request 1, attempt 2": 7.0,
        "request 2, attempt 1": 6.5,
        "request 3, attempt 1": 10.25,
        "request 3, attempt 2": 11.0,
        "request 4, attempt 1": 14.0,
        "request 6, attempt 1": 18.0,
        "request 7, attempt 1": 19.0,
    }
    assert drawn.counter("Requests/waiting")[-1][1] == 0.0
    assert drawn.counter("Requests/running")[-1][1] == 1.0


def test_each_class_has_its_own_attempts() -> None:
    """One class is answered at once, and the other one after a retry."""
    clients = Clients()
    for number, tries in enumerate((1, 2)):
        original = clients.request(0.0, class_number=number)
        for kind in ["", "retried_by_client"][: tries - 1]:
            clients.give_up(clients.send(original, 0.0, kind), "timed_out", 2.0, 2.0)
        kind = "retried_by_client" if tries > 1 else ""
        done = {"admitted_s": 3.0, "first_token_s": 4.0, "finish_s": 5.0}
        answer = clients.send(original, 3.0, kind, class_number=number, **done)
        end(original, "finished", 5.0, answer)
    classes = [{"name": name, "share": 0.5} for name in ("calm", "keen")]
    summary = run(
        clients.recorder, workload=WORKLOAD | {"clients": CLIENTS, "classes": classes}
    ).summary()
    assert summary["attempts"] == 3
    per_request = {name: part["attempts_per_request"] for name, part in summary["classes"].items()}
    assert per_request == {"calm": 1.0, "keen": 2.0}


def test_every_token_of_a_run_is_used_or_wasted() -> None:
    """Two replicas get three times what they serve; steps prefill 64 tokens of a prompt of 300."""
    clients = {"timeout": {"ttft": "500 ms", "e2el": "600 ms"}, "retries": 2, "cancel": 0.1}
    batching = {"max_batched_tokens": 64, "max_sequences": 2}
    results = cluster_sim.simulate(
        make_scenario(
            duration="4 s",
            workload={
                "arrivals": {"process": "poisson", "rate": "20 /s"},
                "prompt_tokens": 300,
                "output_tokens": 50,
                "clients": clients | {"hedge_after": "200 ms"},
            },
            cluster={"pools": [make_pool(nodes=2, batching=batching)]},
        )
    )
    every_law_holds(results)
    steps, prompt, growth, sampled, batch = (
        results.stretches[name].to_numpy()
        for name in ("steps", "prompt_tokens", "growth", "sampled", "batch")
    )
    summary = results.summary()
    outcomes = set(summary["attempts_by_outcome"])
    assert outcomes == {"answered", "superseded", "timed_out", "cancelled"}
    made = np.sum(steps * growth + sampled - batch)
    assert made == summary["total_output_tokens"] + summary["wasted_tokens"]
    prefilled = np.sum(steps * prompt)
    assert prefilled == summary["total_input_tokens"] + summary["wasted_prompt_tokens"]


def test_a_folder_gives_back_the_attempts(day: Results, tmp_path: Path) -> None:
    loaded = cluster_sim.load_results(day.save(tmp_path / "run"))
    assert loaded.attempts.equals(day.attempts)
    assert loaded.summary() == day.summary()
    assert loaded.attempts.column_names == [
        column.name for column in ATTEMPTS if "reasoning" not in column.name
        and column.name != "first_output_token_s"
    ]  # fmt: skip


def test_a_folder_of_an_earlier_version_has_no_attempts(day: Results, tmp_path: Path) -> None:
    folder = day.save(tmp_path / "run")
    (folder / "attempts.parquet").unlink()
    assert cluster_sim.load_results(folder).attempts.num_rows == 0


def test_the_warm_up_does_not_count(tmp_path: Path) -> None:
    """A retry in the time that counts belongs to its request of the warm-up."""
    clients = Clients()
    for counted in (False, True):
        original = clients.request(0.0, counted=counted)
        clients.give_up(clients.send(original, 0.0), "timed_out", 2.0, 2.0)
        answer = clients.send(
            original, 5.0, "retried_by_client", admitted_s=5.0, first_token_s=6.0, finish_s=7.0
        )
        end(original, "finished", 7.0, answer)
    summary = run(clients.recorder).summary()
    assert (summary["completed"], summary["attempts"], summary["client_retries"]) == (1, 2, 1)


def test_a_server_that_does_not_abort_works_in_vain() -> None:
    """The client gives up at 2 s; the server goes on to the last token at 9 s."""
    clients = Clients()
    original = clients.request(0.0)
    attempt = clients.send(original, 0.0, admitted_s=1.0, first_token_s=3.0, finish_s=9.0)
    clients.recorder.given_up[attempt.number] = "timed_out"
    end(original, "timed_out", 2.0)
    results = run(clients.recorder)
    (row,) = results.requests.to_pylist()
    assert (row["status"], row["ended_s"]) == ("timed_out", 2.0)
    assert row["first_token_s"] is row["finish_s"] is None
    assert results.attempts["left_s"].to_pylist() == [9.0]
    assert results.summary()["wasted_tokens"] == OUTPUT
