"""Traces of runs: what is on their tracks adds up to what the run's tables say."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.errors import ScenarioError
from cluster_sim.export import trace
from cluster_sim.export.perfetto import number, varint
from cluster_sim.export.trace import tables
from cluster_sim.scenario.site import Site
from tests.commands import BURST, call
from tests.perfetto import Trace, fields, read
from tests.scenarios import make_scenario

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def saved(asked: cluster_sim.Scenario, folder: Path) -> cluster_sim.Results:
    results = cluster_sim.simulate(asked)
    results.save(folder)
    return results


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[cluster_sim.Results, Path]:
    """Some hundred requests on four replicas, some of them rejected and some cut off by the end."""
    folder = tmp_path_factory.mktemp("trace")
    text = (
        BURST.replace("rate: 5 /s", "rate: 90 /s")
        .replace("duration: 20 s", "duration: 5 s\ndrain: 0.1 s")
        .replace("high: 30", "high: 200")
    )
    text = text.replace("tensor_parallel: 8}", "tensor_parallel: 2}, batching: {max_sequences: 2}")
    (folder / "small.yaml").write_text(
        text.replace("cluster:", "cluster:\n  admission: {policy: queue_limit, max_waiting: 3}", 1)
    )
    return saved(
        cluster_sim.load_scenario(folder / "small.yaml", variant="b200"), folder / "run"
    ), folder / "run"


@pytest.fixture(scope="module")
def drawn(served: tuple[cluster_sim.Results, Path]) -> Trace:
    return read(trace.write(served[1], served[1].parent / "run.pftrace"))


def test_a_varint_has_seven_bits_a_byte_and_negative_numbers_are_ten_bytes() -> None:
    assert varint(0) == b"\x00"
    assert varint(127) == b"\x7f"
    assert varint(128) == b"\x80\x01"
    assert varint(16384) == b"\x80\x80\x01"
    assert number(1, -2) == b"\x08\xfe" + b"\xff" * 8 + b"\x01"
    for value in (0, 1, 127, 128, 16383, 16384, 2**40 + 3, 2**64 - 1):
        assert list(fields(b"\x08" + varint(value))) == [(1, value)]


def test_there_is_a_slice_for_each_request_that_was_let_in_and_its_tokens_add_up(
    served: tuple[cluster_sim.Results, Path], drawn: Trace
) -> None:
    results, _ = served
    status = results.requests["status"].to_pylist()
    assert {"finished", "unfinished", "rejected"} == set(status)
    requests = drawn.of("request")
    assert Counter(one.args["status"] for one in requests) == {
        key: count for key, count in Counter(status).items() if key != "rejected"
    }
    finished = [one for one in requests if one.args["status"] == "finished"]
    assert (
        sum(one.args["output_tokens"] for one in finished)
        == results.summary()["total_output_tokens"]
    )
    assert (
        sum(one.args["prompt_tokens"] for one in finished)
        == results.summary()["total_input_tokens"]
    )
    assert np.mean([one.end_ns - one.at_ns for one in finished]) / 1e6 == approx(
        results.summary()["mean_e2el_ms"], abs=1e-6
    )
    rejected = [one for one in drawn.of("event") if one.name == "rejected"]
    assert len(rejected) == status.count("rejected")
    assert {one.args["reason"] for one in rejected} == {"queue_limit"}


def test_the_phases_of_a_request_lie_end_to_end_from_its_arrival_to_its_finish(
    drawn: Trace,
) -> None:
    phases = defaultdict(list)
    for one in drawn.of("phase"):
        phases[one.track].append(one)
    for request in drawn.of("request"):
        mine = [
            one
            for one in phases[request.track]
            if request.at_ns <= one.at_ns and one.end_ns <= request.end_ns
        ]
        assert (
            mine[0].name == "queue"
            and mine[0].at_ns == request.at_ns
            and mine[-1].end_ns == request.end_ns
        )
        assert all(one.end_ns == other.at_ns and one.depth == 1 for one, other in pairwise(mine))
    seen = [one for one in drawn.of("request") if "ttft_ms" in one.args]
    until = {
        (one.track, request.at_ns): one.end_ns
        for request in seen
        for one in phases[request.track]
        if one.name == "prefill" and request.at_ns <= one.at_ns <= request.end_ns
    }
    assert all(
        (until[one.track, one.at_ns] - one.at_ns) / 1e6 == approx(one.args["ttft_ms"], abs=1e-5)
        for one in seen
    )


def test_an_arrow_goes_from_each_arrival_over_a_replica_to_its_finish(drawn: Trace) -> None:
    ways = defaultdict(list)
    for one in drawn.slices:
        for flow in one.flows:
            ways[flow].append(one)
    for one in drawn.of("request"):
        steps = ways[int(one.name.split()[1]) + 1]
        assert [step.name for step in steps] == ["queue", "admitted", "finished"][: len(steps)]
        assert steps[0].track == one.track
        assert [step.ends_flow for step in steps] == [step.name == "finished" for step in steps]
        if one.args["status"] == "finished":
            assert drawn.path(steps[-1].track).startswith(f"Replicas/{one.args['pool']}/")


def test_stretches_are_as_long_as_devices_were_busy_and_hold_their_work(
    served: tuple[cluster_sim.Results, Path], drawn: Trace
) -> None:
    results, _ = served
    devices = results.devices
    stretches = drawn.of("stretch")
    assert {one.name for one in stretches} >= {"decode", "prefill", "decode + prefill"}
    for replica in range(4):
        mine = [one for one in stretches if drawn.path(one.track) == f"Replicas/b200/{replica}"]
        rows = devices["replica"].to_numpy() == replica
        assert sum(one.end_ns - one.at_ns for one in mine) / 1e9 == approx(
            devices["busy_s"].to_numpy()[rows][0], rel=1e-6
        )
        for name in ("flop", "bytes"):
            assert sum(one.args[name] for one in mine) == approx(
                float(np.sum(devices[name].to_numpy()[rows])), rel=1e-9
            )


def test_power_over_time_is_the_energy_of_the_devices(
    served: tuple[cluster_sim.Results, Path], drawn: Trace
) -> None:
    results, _ = served
    joules = 0.0
    for replica in range(4):
        values = drawn.counter(f"Replicas/b200/{replica}/power")
        assert values[0][0] == 0
        assert values[-1][0] == approx(1e9 * results.info.simulated_s, abs=1)
        joules += sum(
            watts * (until_ns - at_ns) / 1e9 for (at_ns, watts), (until_ns, _) in pairwise(values)
        )
    assert joules == approx(float(np.sum(results.devices["energy_j"].to_numpy())), rel=1e-6)


def test_counters_of_requests_say_how_many_wait_and_run_at_any_time(
    served: tuple[cluster_sim.Results, Path], drawn: Trace
) -> None:
    table = served[0].requests
    let_in = np.array(table["status"].to_pylist()) != "rejected"
    arrival_s, admitted_s, finish_s = (
        table[name].to_numpy()[let_in] for name in ("arrival_s", "admitted_s", "finish_s")
    )
    for name, from_s, to_s in (
        ("waiting", arrival_s, admitted_s),
        ("running", admitted_s, finish_s),
    ):
        values = drawn.counter(f"Requests/{name}")
        assert [at_ns for at_ns, _ in values] == sorted(at_ns for at_ns, _ in values)
        for at_s in np.linspace(0.01, 5.0, 40):
            before = [value for at_ns, value in values if at_ns <= round(1e9 * at_s)]
            assert (before[-1] if before else 0) == np.sum(from_s <= at_s) - np.sum(to_s <= at_s)
    queues = sum(drawn.counter(f"Replicas/b200/{replica}/queue")[-1][1] for replica in range(4))
    assert queues == drawn.counter("Requests/waiting")[-1][1] == np.sum(np.isnan(admitted_s))


def test_the_run_is_one_slice_with_the_totals_of_its_summary(
    served: tuple[cluster_sim.Results, Path], drawn: Trace
) -> None:
    results, _ = served
    (run,) = drawn.of("run")
    assert run.end_ns == round(1e9 * results.info.simulated_s)
    summary = results.summary()
    assert run.args == {
        key: value
        for key, value in summary.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def test_preemptions_and_what_follows_them_stand_on_the_replicas_track(tmp_path: Path) -> None:
    results = saved(
        cluster_sim.load_scenario(ROOT / "scenarios" / "kv_swap.yaml", variant="recompute"),
        tmp_path / "run",
    )
    drawn = read(trace.write(tmp_path / "run", tmp_path / "x"))
    happened = Counter(
        one.name for one in drawn.of("event") if drawn.path(one.track).count("/") == 2
    )
    assert happened == Counter(results.events["what"].to_pylist())
    assert happened["preempted"] == results.summary()["preemptions"] > 0


def test_kv_on_its_way_is_a_slice_for_each_hand_over_and_fills_its_links(tmp_path: Path) -> None:
    asked = cluster_sim.load_scenario(
        ROOT / "scenarios" / "disaggregated_70b.yaml",
        variant="disaggregated",
        overrides={"duration": "25 s"},
    )
    results = saved(asked, tmp_path / "run")
    drawn = read(trace.write(tmp_path / "run", tmp_path / "x"))
    sent = drawn.of("transfer")
    handed_over = [one for one in drawn.of("event") if one.name == "KV arrived"]
    assert (
        len(sent) == len(handed_over) == results.events["what"].to_pylist().count("handed_over") > 0
    )
    assert sorted(one.end_ns for one in sent) == approx(
        sorted(one.at_ns for one in handed_over), abs=2
    )
    # all of it comes in over the links of the devices that decode
    links = results.links.to_pylist()
    into = [
        row["kv_bytes"]
        for row in links
        if row["kind"] != "memory"
        and any("/device" in row[end] and row[end].startswith("decode/") for end in ("from", "to"))
    ]
    assert sum(one.args["bytes"] for one in sent) == approx(sum(into), rel=1e-9)
    for path in [
        drawn.path(track) for track in drawn.counters if drawn.path(track).startswith("Links/")
    ]:
        first, second = path.removeprefix("Links/").split(" - ")
        (row,) = [row for row in links if {row["from"], row["to"]} == {first, second}]
        values = drawn.counter(path)
        moved = sum(rate * (until_ns - at_ns) for (at_ns, rate), (until_ns, _) in pairwise(values))
        assert values[-1][1] == approx(0.0, abs=1e-6)
        assert 0.0 < moved <= row["kv_bytes"] * (1 + 1e-6)


def test_temperatures_and_clocks_of_devices_are_counters_where_the_inlet_is_known(
    served: tuple[cluster_sim.Results, Path], tmp_path: Path
) -> None:
    warm = served[0].scenario.model_copy(update={"site": Site.model_validate({"inlet": "25 degC"})})
    results = saved(warm, tmp_path / "run")
    drawn = read(trace.write(tmp_path / "run", tmp_path / "x"))
    rows = results.thermal.to_pylist()
    device = rows[0]["device"]
    for name, column, factor in (
        ("die", "die_c", 1.0),
        ("memory", "memory_c", 1.0),
        ("clock", "clock", 100.0),
    ):
        values = [factor * row[column] for row in rows if row["device"] == device]
        assert [value for _, value in drawn.counter(f"Devices/{device}/{name}")] == approx(values)
    assert not [
        drawn.path(track)
        for track in read(trace.write(served[1], tmp_path / "y")).tracks
        if drawn.path(track) == "Devices"
    ]


def test_a_trace_is_what_perfettos_descriptors_say(
    served: tuple[cluster_sim.Results, Path], tmp_path: Path
) -> None:
    protos = pytest.importorskip(
        "perfetto.protos.perfetto.trace.perfetto_trace_pb2",
        reason="the package perfetto is not installed",
    )
    unknown_fields = pytest.importorskip("google.protobuf.unknown_fields")
    path = trace.write(served[1], tmp_path / "x")
    parsed = protos.Trace.FromString(path.read_bytes())
    assert parsed.SerializeToString(deterministic=True)
    kinds = Counter()

    def walk(message: object) -> None:
        assert len(unknown_fields.UnknownFieldSet(message)) == 0
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                for one in [value] if not hasattr(value, "__len__") else value:
                    walk(one)

    for packet in parsed.packet:
        walk(packet)
        if packet.HasField("track_event"):
            kinds[protos.TrackEvent.Type.Name(packet.track_event.type)] += 1
    assert kinds["TYPE_SLICE_BEGIN"] == kinds["TYPE_SLICE_END"] > 0
    assert kinds["TYPE_COUNTER"] > 0 and kinds["TYPE_INSTANT"] > 0
    read_here = read(path)
    assert kinds["TYPE_SLICE_BEGIN"] + kinds["TYPE_INSTANT"] == len(read_here.slices)
    told = {
        packet.track_descriptor.uuid: packet.track_descriptor.name
        for packet in parsed.packet
        if packet.HasField("track_descriptor")
    }
    assert told == {track: name for track, (name, _, _) in read_here.tracks.items()}


def trace_processor() -> Path | None:
    """Perfetto's own, where this machine has it: on the path, or as its Python package has once
    downloaded it.
    """
    for name in ("trace_processor_shell", "trace_processor"):
        if found := shutil.which(name):
            return Path(found)
    kept = sorted((Path.home() / ".local/share/perfetto/prebuilts").glob("trace_processor_shell*"))
    return kept[-1] if kept else None


@pytest.mark.skipif(
    trace_processor() is None,
    reason="Perfetto's trace processor is not on this machine (its Python package downloads it when first used)",
)
def test_sql_over_a_trace_of_ten_thousand_requests_gives_the_totals_of_the_run(
    tmp_path: Path,
) -> None:
    perfetto = pytest.importorskip(
        "perfetto.trace_processor", reason="the package perfetto is not installed"
    )
    (tmp_path / "many.yaml").write_text(
        BURST.replace("duration: 20 s", "duration: 1000 s").replace("rate: 5 /s", "rate: 10 /s")
    )
    results = saved(
        cluster_sim.load_scenario(tmp_path / "many.yaml", variant="b200"), tmp_path / "run"
    )
    path = trace.write(tmp_path / "run", tmp_path / "run.pftrace")
    summary, devices = results.summary(), results.devices
    assert summary["completed"] > 9_000
    config = perfetto.TraceProcessorConfig(bin_path=str(trace_processor()))
    with perfetto.TraceProcessor(trace=str(path), config=config) as processor:

        def asked(sql: str) -> float:
            (row,) = processor.query(f"select {sql}")
            return float(row.x)

        tokens = "sum(extract_arg(arg_set_id, 'debug.output_tokens'))"
        assert asked("count(*) as x from slice where category = 'request'") == summary["completed"]
        assert (
            asked(f"{tokens} as x from slice where category = 'request'")
            == summary["total_output_tokens"]
        )
        assert asked("sum(dur) / 1e9 as x from slice where category = 'stretch'") == approx(
            devices["busy_s"].to_numpy()[0], rel=1e-6
        )
        lasting = "select c.value * (lead(c.ts) over (partition by c.track_id order by c.ts) - c.ts) / 1e9 as j from counter c join counter_track t on c.track_id = t.id where t.name = 'power'"
        assert asked(f"sum(j) as x from ({lasting})") == approx(
            float(np.sum(devices["energy_j"].to_numpy())), rel=1e-6
        )
        assert asked("count(*) as x from flow") == 2 * summary["completed"]
        assert asked("sum(value) as x from stats where severity = 'error'") == 0


def test_the_command_writes_a_trace_under_the_folders_name(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "run", scenario, "--variant", "b200", "--out", "out")[0] == 0
    assert call(capsys, "trace", "out/b200")[:2] == (0, "b200.pftrace\n")
    assert call(capsys, "trace", "out/b200", "-o", "other")[:2] == (0, "other\n")
    assert Path("other").read_bytes() == Path("b200.pftrace").read_bytes()


def test_faults_of_a_trace_are_told_in_a_sentence(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "run", scenario, "--variant", "b200", "--out", "out")[0] == 0
    assert call(capsys, "trace", "out") == (
        2,
        "",
        "out: is not a run folder: it has no manifest.json; expected a folder that `cluster-sim run` has written, such as out/b200\n",
    )
    code, _, err = call(capsys, "trace", "out/b200", "-o", "none/x")
    assert code == 2 and err == "none/x: cannot be written: No such file or directory\n"
    (Path("out/b200") / "events.parquet").unlink()
    assert (
        call(capsys, "trace", "out/b200")[2]
        == "out/b200/events.parquet: is missing from the run folder\n"
    )
    (Path("out/b200") / "events.parquet").write_text("nothing")
    assert call(capsys, "trace", "out/b200")[2].startswith("out/b200/events.parquet: is damaged: ")
    assert not Path("b200.pftrace").exists()
    assert not list(Path().glob(".b200*"))


def test_no_table_is_held_whole(
    served: tuple[cluster_sim.Results, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trace.write(served[1], tmp_path / "whole").read_bytes()
    monkeypatch.setattr(tables, "ROWS_AT_A_TIME", 7)
    assert trace.write(served[1], tmp_path / "pieces").read_bytes() == whole


def test_a_run_without_requests_has_a_trace(tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text(BURST.replace("duration: 20 s", "duration: 1 ms"))
    saved(cluster_sim.load_scenario(tmp_path / "none.yaml", variant="b200"), tmp_path / "run")
    drawn = read(trace.write(tmp_path / "run", tmp_path / "x"))
    assert not drawn.of("request")
    assert "Replicas/b200/0" in {drawn.path(track) for track in drawn.tracks}


def test_an_error_names_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="is not a run folder"):
        trace.write(tmp_path, tmp_path / "x")


def test_names_are_written_as_they_are(tmp_path: Path) -> None:
    name = "$x^{ [b] <b>日本語 ${7*7} \U0001f600"
    saved(make_scenario(name=name), tmp_path / "run")
    written = read(trace.write(tmp_path / "run", tmp_path / "run.pftrace"))
    assert name in {track for track, _, _ in written.tracks.values()}
