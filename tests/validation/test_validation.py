"""Measured runs become scenarios by rule, what is left out is counted, and the errors of the
published figures do not grow.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from math import ceil
from pathlib import Path

import pytest
from pytest import approx

from cluster_sim import figures, validation
from cluster_sim.cli import app as cli
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.figures.parity import parity
from cluster_sim.schema import CATALOG
from cluster_sim.validation import (
    COLUMNS,
    IMPOSSIBLE,
    METRICS,
    REFERENCE,
    REPEATED,
    MeasuredRun,
    Prediction,
    errors,
    predict,
    predict_all,
    read_measurements,
    scenario_of,
)
from cluster_sim.workload.arrivals import AtOnce, ClosedLoop
from cluster_sim.workload.arrivals.poisson import Poisson
from tests.validation.rows import MEASUREMENTS, MEMORY, MLPERF, OFFLINE, one_of, table

# Medians of |error| over the reference figures may not be above these. They were 6.4, 5.1, 11.5 and
# 0.0 % when this was written.
MOST = {"ttft_ms": 0.10, "tpot_ms": 0.075, "output_per_s": 0.14, "kv_tokens": 0.03}

NOTED = {"prefix_hits"}  # measured, and no row of its own


def test_rows_of_one_run_are_gathered_and_rows_of_another_image_are_not(tmp_path: Path) -> None:
    runs = read_measurements(
        table(
            tmp_path / "m.csv.gz",
            {},
            {"metric": "ttft", "value": "90"},
            {"metric": "ttft", "value": "80", "notes": "another image"},
        )
    ).runs
    assert [dict(run.values) for run in runs] == [
        {"tpot_ms": 8.5, "ttft_ms": 90.0},
        {"ttft_ms": 80.0},
    ]


def test_throughput_of_one_device_is_multiplied_and_gives_way_to_that_of_all(
    tmp_path: Path,
) -> None:
    each = {"metric": "output_throughput_per_gpu", "unit": "tok/s/GPU", "value": "333"}
    total = {"metric": "output_throughput_total", "unit": "tok/s", "value": "667"}
    assert one_of(tmp_path, each).values == {"output_per_s": 666.0}
    for rows in ((each, total), (total, each)):
        read = read_measurements(table(tmp_path / "m.csv", *rows))
        assert [run.values for run in read.runs] == [{"output_per_s": 667.0}]
        assert read.left_out == {REPEATED: 1}


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"metric": "gemm_latency"}, "not compared"),
        ({"metric": "gemm_latency", "concurrency_or_rate": "m=8"}, "no serving run"),
        ({"concurrency_or_rate": ""}, "no serving run"),
        ({"metric": "ttft_p95"}, "not compared"),
        ({"unit": "s"}, "not compared"),
        ({"confidence": "low"}, "confidence low"),
        ({"notes": "SUSPECT: shared server"}, "marked SUSPECT"),
        ({"spec_decoding": "unknown (file does not say; MTP possible)"}, "drafting unknown"),
        ({"spec_decoding": "MTP3"}, "drafts whose"),
        ({"spec_decoding": "not stated (open division)"}, "drafting unknown"),
        (
            {"spec_decoding": "MTP3", "dataset": "b200_lowlatency", "notes": "further kernels"},
            "drafts whose",
        ),
        (
            {"dataset": "ifx_llama70b_fp4_b200_multiturn", "notes": "KV offload to CPU on"},
            "KV offload",
        ),
        ({"dataset": "ifx_together_b200"}, "prefix caching"),
        ({"framework": "sglang", "date": "2025-11-10"}, "means over requests that waited"),
        (
            {"framework": "sglang 0.5.10.post1", "hardware": "B300", "date": "2026-04-17"},
            "SGLang 0.5.10 on B300",
        ),
        ({"dataset": "mlperf_v5_0", "confidence": "medium"}, "MLPerf rounds"),
        ({"concurrency_or_rate": "static batch 64"}, "static batches"),
        ({"hardware": "MI999X"}, "hardware"),
        ({"model": "Llama-4-Scout-17B-16E"}, "model"),
        ({"precision": "UNSET"}, "precision"),
        ({"parallelism": ""}, "layout"),
        ({"parallelism": "DEP4? (file: adp16, moe 4x4)"}, "layout"),
        ({"parallelism": "PD: 1 x 20 GPUs prefill + 1 x DEP16 decode"}, "layout"),
        ({"framework": "abacus 1.0"}, "engine without a profile"),
        ({"model": "gpt-oss-120b", "precision": "fp8"}, "gpt-oss in fp8"),
    ],
)
def test_a_row_that_cannot_be_compared_is_left_out_and_counted_under_its_rule(
    tmp_path: Path, row: dict[str, str], rule: str
) -> None:
    read = read_measurements(table(tmp_path / "m.csv", row))
    assert not read.runs
    ((name, count),) = read.left_out.items()
    assert name.startswith(rule) and count == 1


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ({"parallelism": "TP8 EP8"}, (8, 1, 8)),
        ({"parallelism": "TP8/EP8 attn-DP"}, (1, 8, 8)),
        ({"parallelism": "DEP4 (attention DP4, EP4)"}, (1, 4, 4)),
        # TensorRT-LLM's tables run mixtures with attention data parallelism whatever they say
        (OFFLINE | {"parallelism": "TP4"}, (1, 4, 4)),
    ],
)
def test_tensor_attention_data_and_expert_parallelism_are_read(
    tmp_path: Path, row: dict[str, str], layout: tuple[int, int, int]
) -> None:
    (run,) = read_measurements(
        table(
            tmp_path / "m.csv", row | {"model": "gpt-oss-120b", "precision": "fp4", "value": "1000"}
        )
    ).runs
    assert (run.tensor_parallel, run.data_parallel, run.expert_parallel) == layout
    plan = scenario_of(run).cluster.pools[0].replica
    assert (plan.tensor_parallel, plan.data_parallel, plan.expert_parallel) == layout


def test_a_run_that_beats_the_peak_of_its_devices_is_left_out(tmp_path: Path) -> None:
    # 70.6e9 weights less the embeddings, 2 FLOP each, 3 tokens read or written for each that is
    # written: 0.41 TFLOP a token.
    # Two B200 reach 18 PFLOP/s in fp4: 43,900 tokens/s.
    fast = {"metric": "output_throughput_total", "unit": "tok/s", "value": "48000"}
    read = read_measurements(table(tmp_path / "m.csv", fast))
    assert not read.runs and read.left_out == {IMPOSSIBLE: 1}
    assert read_measurements(table(tmp_path / "m.csv", fast | {"value": "40000"})).runs


@pytest.mark.parametrize(
    ("row", "is_kept"),
    [({}, False), ({"framework": "sglang 0.5.6"}, True), ({"precision": "bf16"}, True)],
)
def test_runs_of_one_engine_whose_prompts_were_probably_cached_are_left_out(
    tmp_path: Path, row: dict[str, str], *, is_kept: bool
) -> None:
    run = {
        "hardware": "H200", "model": "Llama-3.1-8B-Instruct", "precision": "fp8",
        "framework": "vllm 0.12.0", "notes": "NVIDIA internal aiconfigurator gap-analysis run",
    }  # fmt: skip
    read = read_measurements(table(tmp_path / "m.csv", run | row))
    assert bool(read.runs) == is_kept
    assert any("cached" in rule for rule in read.left_out) != is_kept


def test_clients_become_a_closed_loop_of_ten_requests_each_with_lengths_spread_by_a_fifth(
    tmp_path: Path,
) -> None:
    scenario = scenario_of(one_of(tmp_path, {}))
    pool = scenario.cluster.pools[0]
    assert scenario.workload.arrivals == ClosedLoop(concurrency=4, requests=40)
    assert (
        scenario.workload.prompt_tokens is not None and scenario.workload.output_tokens is not None
    )
    assert scenario.workload.prompt_tokens.longest == 1024
    assert scenario.workload.output_tokens.mean() == approx(0.9 * 512, abs=0.5)
    assert (
        pool.node.name,
        pool.replica.tensor_parallel,
        pool.replica.weights,
        pool.replica.kv_cache,
    ) == ("DGX B200", 2, "fp4", "fp8")
    assert (pool.max_sequences, pool.max_batched_tokens, pool.replica.engine.name) == (
        512,
        8192,
        "like vLLM 0.15",
    )


def test_fixed_lengths_and_a_bf16_cache_where_the_row_says_so(tmp_path: Path) -> None:
    scenario = scenario_of(
        one_of(
            tmp_path,
            {
                "notes": "gap-analysis run",
                "precision": "bf16 (not stated; aiconfigurator default)",
                "hardware": "H200",
            },
        )
    )
    assert scenario.workload.prompt_tokens is not None
    assert (scenario.workload.prompt_tokens.mean(), scenario.cluster.pools[0].replica.kv_cache) == (
        1024,
        "bf16",
    )


def test_qwen3_32b_is_set_up_although_it_is_not_in_the_catalog(tmp_path: Path) -> None:
    model = scenario_of(one_of(tmp_path, {"model": "Qwen3-32B"})).model
    assert model.total_parameters == approx(32.8e9, rel=0.01)  # as its model card says


def test_an_offline_run_queues_everything_and_has_the_limits_of_the_bench_tool(
    tmp_path: Path,
) -> None:
    """The tool rounds up what the KV cache holds to a multiple of 32; the engine reserves the rest."""
    scenario = scenario_of(one_of(tmp_path, OFFLINE | {"isl": "20000.0", "osl": "2000.0"}))
    pool = scenario.cluster.pools[0]
    assert scenario.workload.arrivals == AtOnce(requests=1500)
    held = resolve(scenario).deployments[0].kv_tokens / 22000
    assert pool.max_sequences == 32 * ceil(held / 32)
    assert pool.max_batched_tokens == 20000 + pool.max_sequences
    assert pool.engine.capacity_scheduler_policy == "guaranteed_no_evict"


def test_tensorrt_llm_gives_a_share_of_what_the_weights_leave(tmp_path: Path) -> None:
    scenario = scenario_of(one_of(tmp_path, OFFLINE))
    pool = scenario.cluster.pools[0]
    placement = resolve(scenario).deployments[0].placement
    capacity = pool.node.device.memory.capacity_bytes
    free = capacity - placement.weight_bytes - pool.replica.engine.reserved_bytes
    assert placement.kv_bytes == approx(0.9 * free, abs=1e9)


def test_mlperf_runs_with_its_replicas_its_lengths_and_the_submitted_limits(tmp_path: Path) -> None:
    scenario = scenario_of(one_of(tmp_path, MLPERF))
    pool = scenario.cluster.pools[0]
    assert scenario.workload.arrivals == Poisson.model_validate(
        {"rate": "1.5 /s", "requests": 3600}
    )
    assert (pool.replicas, pool.max_sequences, pool.max_batched_tokens) == (2, 256, 2048)
    assert pool.batching.admission(pool.engine, "both") == "max_utilization"
    assert (
        scenario.workload.prompt_tokens is not None and scenario.workload.output_tokens is not None
    )
    assert scenario.workload.prompt_tokens.mean() == approx(9429)
    assert scenario.workload.output_tokens.mean() == approx(650)


def test_what_does_not_fit_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    prediction = predict(
        one_of(tmp_path, {"hardware": "H100", "parallelism": "TP1", "precision": "bf16"})
    )
    assert not prediction.values and "do not fit" in prediction.fault


CHAT = {
    "dataset": "ifx_llama70b_fp4_b200_multiturn",
    "framework": "vLLM 0.15.0",
    "concurrency_or_rate": "clients=8 (closed loop)",
    "isl": "2080.0",
    "osl": "593.0",
    "metric": "tpot_mean",
    "notes": "KV offload to CPU off; GPU prefix hit 87.8% ; clean run",
}
MTP = {
    "dataset": "b200_lowlatency",
    "framework": "TensorRT-LLM",
    "model": "DeepSeek-R1",
    "parallelism": "TP8",
    "concurrency_or_rate": "concurrency=1",
    "metric": "per_user_output_speed",
    "unit": "tok/s/user",
    "value": "250",
    "spec_decoding": "MTP2",
    "notes": "acceptance length 2.58 tokens/step",
}
WAFERS = {
    "dataset": "cerebras_cs3",
    "framework": "Cerebras Inference API",
    "hardware": "CS-3",
    "n_devices": "4.0",
    "model": "Llama-3.1-70B-Instruct",
    "precision": "16-bit weights (vendor)",
    "parallelism": "pipeline over wafers (vendor) if n>1",
    "isl": "",
    "osl": "",
    "concurrency_or_rate": "1 (API, single stream)",
    "metric": "per_user_output_speed",
    "unit": "tok/s/user",
    "value": "450",
    "spec_decoding": "no",
    "notes": "",
}


@pytest.mark.slow
def test_conversations_share_one_cache_and_what_it_finds_is_compared(tmp_path: Path) -> None:
    run = one_of(tmp_path, CHAT)
    assert run.values == {"tpot_ms": 8.5, "prefix_hits": 0.878}
    scenario = scenario_of(run)
    assert scenario.workload.sessions is not None and scenario.workload.sessions.concurrency == 8
    assert scenario.cluster.pools[0].kv.prefix_caching
    assert abs(predict(run).error("prefix_hits")) < 0.03


def test_multi_token_prediction_drafts_as_many_tokens_as_the_row_says_and_keeps_as_many(
    tmp_path: Path,
) -> None:
    plan = scenario_of(one_of(tmp_path, MTP)).cluster.pools[0].replica
    assert plan.speculation is not None
    assert (
        plan.speculation.draft_tokens,
        plan.speculation.acceptance_length,
        plan.speculation.mtp_layers,
    ) == (2, 2.58, 1)


def test_speed_of_one_user_is_one_over_tpot(tmp_path: Path) -> None:
    values = predict(one_of(tmp_path, MTP)).values
    assert values["user_per_s"] == approx(1e3 / values["tpot_ms"])


@pytest.mark.parametrize(
    ("came", "speculates"), [("no", False), ("yes (draft model, vendor says)", True)]
)
@pytest.mark.parametrize(
    ("stated", "wafers"), [("6.0", 6), ("", 4)]
)  # 141 GB of weights on wafers of 44 GB
def test_wafers_of_a_public_api_are_as_many_as_stated_or_needed(
    tmp_path: Path, stated: str, wafers: int, came: str, speculates: bool
) -> None:
    pool = scenario_of(
        one_of(tmp_path, WAFERS | {"n_devices": stated, "spec_decoding": came})
    ).cluster.pools[0]
    assert (pool.nodes, pool.replica.wafers, pool.replica.weights) == (wafers, wafers, "bf16")
    assert (pool.replica.speculation is not None) == speculates


def test_a_throughput_that_was_worked_out_is_compared_with_one_worked_out_in_the_same_way(
    tmp_path: Path,
) -> None:
    values = predict(
        one_of(tmp_path, {"metric": "output_throughput_total_derived", "unit": "tok/s"})
    ).values
    assert values["output_per_s"] == approx(
        4 * 460.8 / (values["ttft_ms"] + values["tpot_ms"] * 459.8) * 1e3, rel=0.02
    )


def test_kv_room_is_compared_without_a_load(tmp_path: Path) -> None:
    prediction = predict(one_of(tmp_path, MEMORY))
    assert set(prediction.values) == {"kv_tokens", "kv_gb"}
    assert prediction.error("kv_tokens") == approx(0.0, abs=0.03)


@pytest.mark.slow
def test_two_processes_predict_what_one_does_in_the_order_of_the_runs(tmp_path: Path) -> None:
    rows = [
        {"concurrency_or_rate": f"concurrency={clients}", "notes": image}
        for clients in (4, 1)
        for image in ("", "another image")
    ]
    runs = read_measurements(table(tmp_path / "m.csv", *rows)).runs
    told: list[tuple[int, int]] = []
    alone = predict_all(runs, 1, lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]  # another image of the same set-up is not simulated again
    assert [prediction.measured.amount for prediction in alone] == [4, 4, 1, 1]
    assert predict_all(runs, 2) == alone


def made(
    metric: str, *pairs: tuple[float, float], framework: str = "vllm", dataset: str = "d"
) -> list[Prediction]:
    run = {
        "dataset": dataset,
        "source": "",
        "hardware": "B200",
        "model": "m",
        "precision": "fp8",
        "framework": framework,
        "split_key": "",
        "notes": "",
    }
    return [
        Prediction(
            MeasuredRun(
                **run,
                tensor_parallel=1,
                data_parallel=1,
                expert_parallel=1,
                replicas=1,
                isl=1,
                osl=1,
                load="clients",
                amount=1,
                values={metric: measured},
            ),
            {metric: predicted},
        )  # type: ignore[arg-type]
        for measured, predicted in pairs
    ]


def test_errors_are_shares_of_the_measured_value() -> None:
    (row,) = errors(made("tpot_ms", (10, 11), (10, 8), (10, 13)))
    assert row.count == 3
    assert row.median == approx(0.2)
    assert row.bias == approx(0.1)
    assert row.p90 == approx(0.28)  # linear between 0.2 and 0.3


@pytest.mark.parametrize(
    ("dataset", "framework", "counts"),
    [
        ("d", "vllm", True),
        ("mlperf_v5_1", "TensorRT 10.11", True),
        ("inferencemax_silicon", "trtllm 1.0", True),
        ("aic_gap_analysis", "trtllm 1.0", False),
        ("inferencemax_silicon", "sglang 0.5", True),
        ("infera_pd_mori", "sglang 0.5", False),
    ],
)
def test_ttft_counts_where_order_and_waits_of_the_engine_are_known(
    dataset: str, framework: str, counts: bool
) -> None:
    assert bool(errors(made("ttft_ms", (10, 11), framework=framework, dataset=dataset))) == counts


def test_errors_of_prefix_hits_are_points() -> None:
    (row,) = errors(made("prefix_hits", (0.88, 0.90)))
    assert row.bias == approx(0.02)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset,source\na,b\n", "m.csv:1: lacks the columns hardware, n_devices"),
        (
            ",".join(COLUMNS) + "\na,b\n",
            "m.csv:2: got another number of values than the heading; expected 20",
        ),
        (None, "m.csv: cannot be read: No such file"),
    ],
)
def test_a_table_that_is_none_is_a_fault_with_its_place(
    tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "m.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ScenarioError, match=said):
        read_measurements(path)


@pytest.mark.parametrize("value", ["", "fast", "nan", "-1", "0"])
def test_a_value_that_is_no_number_above_zero_is_a_fault_with_its_line(
    tmp_path: Path, value: str
) -> None:
    with pytest.raises(ScenarioError, match=r"m.csv:3: value: got"):
        read_measurements(table(tmp_path / "m.csv", {}, {"value": value}))


def test_a_file_that_is_not_packed_although_its_name_says_so_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "m.csv.gz"
    path.write_text("dataset")
    with pytest.raises(ScenarioError, match="cannot be read"):
        read_measurements(path)


def test_every_reference_figure_has_a_source_and_is_compared() -> None:
    with REFERENCE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = read_measurements(REFERENCE)
    assert all(
        row["source"] and row["kind"] == "measured" and row["confidence"] != "low" for row in rows
    )
    assert not read.left_out
    assert sum(len(run.values.keys() - NOTED) for run in read.runs) == len(rows)
    assert REFERENCE.parent == CATALOG


@pytest.fixture(scope="module")
def published() -> list[Prediction]:
    return predict_all(read_measurements(REFERENCE).runs, workers=1)


@pytest.mark.slow
@pytest.mark.xdist_group("published")
def test_errors_on_the_published_figures_do_not_grow(published: list[Prediction]) -> None:
    assert not [prediction.fault for prediction in published if prediction.fault]
    single = [prediction for prediction in published if prediction.measured.load != "sessions"]
    found = {row.metric: row.median for row in errors(single, by=()) if row.metric in MOST}
    assert found.keys() == MOST.keys()
    assert {metric: median for metric, median in found.items() if median > MOST[metric]} == {}


@pytest.mark.slow
@pytest.mark.xdist_group("published")
def test_a_prefix_cache_finds_what_was_measured_in_conversations_and_next_to_nothing_without_room(
    published: list[Prediction],
) -> None:
    chats = [prediction for prediction in published if prediction.measured.load == "sessions"]
    hits = {
        (one.measured.tensor_parallel, one.measured.amount): (
            one.measured.values["prefix_hits"],
            one.values["prefix_hits"],
        )
        for one in chats
    }
    assert hits.keys() == {(1, 16), (8, 16), (8, 64), (1, 512)}
    measured, predicted = hits.pop((1, 512))  # twice as many clients as the KV cache holds
    assert measured < 0.05 and predicted < 0.10
    assert all(predicted == approx(measured, abs=0.03) for measured, predicted in hits.values())


@pytest.mark.slow
@pytest.mark.xdist_group("published")
def test_every_prediction_is_written_beside_its_measurement(published: list[Prediction]) -> None:
    rows = list(csv.DictReader(validation.as_csv(published).splitlines()))
    assert len(rows) == len(published)
    assert {f"{side}_{metric}" for side in ("measured", "predicted") for metric in METRICS} <= set(
        rows[0]
    )
    assert Counter(row["measured_kv_tokens"] for row in rows)["782176"] == 1


@pytest.mark.slow
@pytest.mark.xdist_group("published")
def test_the_parity_figure_has_a_panel_a_metric_with_the_line_of_equals_inside(
    published: list[Prediction], tmp_path: Path
) -> None:
    figure = parity(validation.points(published))
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title(loc="left").split(":")[0] for panel in panels] == [
        "TTFT [ms]", "TPOT [ms]", "output tokens/s", "TTFT p99 [ms]", "TPOT p99 [ms]", "KV tokens", "prefix hits, points",
    ]  # fmt: skip
    assert all(
        panel.get_xscale() == panel.get_yscale() == "log" and panel.get_xlim() == panel.get_ylim()
        for panel in panels
    )
    assert figures.save(figure, tmp_path / "parity.png").stat().st_size > 10_000


def test_parity_of_nothing_says_so() -> None:
    assert "no measurement" in parity({}).axes[0].texts[0].get_text()


@pytest.mark.slow
def test_the_command_prints_errors_and_counts_and_writes_what_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = table(
        tmp_path / "m.csv",
        {},
        {"metric": "ttft", "value": "90"},
        {"confidence": "low"},
        {"hardware": "H100", "parallelism": "TP1", "precision": "bf16"},
    )
    out, plot = tmp_path / "out.csv", tmp_path / "parity.svg"
    monkeypatch.setattr(
        "sys.argv",
        [
            "cluster-sim",
            "validate",
            "--data",
            str(data),
            "--out",
            str(out),
            "--plot",
            str(plot),
            "--workers",
            "1",
        ],
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    assert (
        "2 runs, 1 simulated" in printed
        and "1 could not be set up" in printed
        and "1  confidence low" in printed
    )
    assert "TPOT" in printed and "TTFT" in printed
    assert len(out.read_text().splitlines()) == 3 and plot.read_text().startswith("<?xml")


@pytest.mark.skipif(
    not MEASUREMENTS.is_file(), reason="the public measurements are not part of this project"
)
def test_every_row_of_the_public_measurements_is_in_a_run_or_left_out_by_rule() -> None:
    with gzip.open(MEASUREMENTS, "rt", newline="") as file:
        rows = sum(1 for _ in csv.DictReader(file))
    read = read_measurements(MEASUREMENTS)
    assert (
        sum(len(run.values.keys() - NOTED) for run in read.runs) + sum(read.left_out.values())
        == rows
    )
    assert len(read.runs) > 1000


def test_errors_are_grouped_by_engine_release_and_by_what_was_fitted(tmp_path: Path) -> None:
    # llama-3.3-70b on a B200 with few clients is in the fit, of which TTFT is used for vLLM, and for
    # TensorRT-LLM with prompts of 1,024 tokens
    rows = [
        {"metric": metric, "framework": framework, "date": "2026-02", "isl": "2048.0"}
        for framework in ("vllm 0.15.1", "trtllm 1.2.0")
        for metric in ("ttft", "tpot")
    ]
    runs = read_measurements(table(tmp_path / "m.csv", *rows)).runs
    predictions = [Prediction(run, {"ttft_ms": 17.0, "tpot_ms": 8.5}) for run in runs]
    by_release = errors(predictions, ("release",))
    assert [(row.release, row.metric, row.count, row.fitted) for row in by_release] == [
        ("trtllm 1.2", "ttft_ms", 1, 0),
        ("trtllm 1.2", "tpot_ms", 1, 1),
        ("vllm 0.15", "ttft_ms", 1, 1),
        ("vllm 0.15", "tpot_ms", 1, 1),
    ]
    by_fit = errors(predictions, ("fit",))
    assert [(row.fit, row.metric, row.count, row.median) for row in by_fit] == [
        ("no", "ttft_ms", 1, 1.0),
        ("yes", "ttft_ms", 1, 1.0),
        ("yes", "tpot_ms", 2, 0.0),
    ]


def test_the_markdown_table_separates_what_was_fitted_and_names_releases(tmp_path: Path) -> None:
    rows = [{"framework": f"vllm 0.{minor}", "hardware": "B200"} for minor in (15, 16)]
    rows += [{"concurrency_or_rate": "concurrency=512"}]  # the client limits a run of so many
    runs = read_measurements(table(tmp_path / "m.csv", *rows)).runs
    lines = validation.as_markdown(
        [Prediction(run, {"tpot_ms": 8.5 * 1.1**n}) for n, run in enumerate(runs)]
    ).splitlines()
    about = "inferencemax_silicon on B200: Llama-3.3-70B-Instruct"
    assert lines[2:] == [
        f"| {about}, vllm 0.15 | TPOT | 1 | 21 % | 21 % | +21 % | no |",
        f"| {about}, vllm 0.15, vllm 0.16 | TPOT | 2 | 5.0 % | 9.0 % | +5 % | yes |",
    ]
