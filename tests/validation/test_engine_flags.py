"""Settings of measured engines are set up, or take the values that they change from the comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.validation import predict, read_measurements, scenario_of
from cluster_sim.validation.case_table import measured_cases
from cluster_sim.validation.engine_flags import read_flags
from tests.validation.rows import one_of, table

HEADING = "dataset,hardware,model,framework,date,setting,value\n"


def flagged(tmp_path: Path, *flags: str) -> None:
    (tmp_path / "engine_flags.csv").write_text(HEADING + "".join(f"{flag}\n" for flag in flags))


KERNEL = "attention-config.use_trtllm_attention"


@pytest.mark.parametrize(
    ("flag", "scored"),
    [
        (
            f"inferencemax_silicon,B200,all,vllm,2026-02,{KERNEL},0",
            {"tpot_ms", "ttft_ms", "kv_tokens"},
        ),
        (f"all,all,all,all,2026,{KERNEL},not set", {"tpot_ms", "ttft_ms", "kv_tokens"}),
        (f"all,all,all,sglang,2026,{KERNEL},0", {"tpot_ms", "ttft_ms", "kv_tokens"}),
        (f"all,H200,all,all,2026,{KERNEL},0", {"tpot_ms", "ttft_ms", "kv_tokens"}),
        (f"all,all,all,all,2024-2025,{KERNEL},0", {"tpot_ms", "ttft_ms", "kv_tokens"}),
        ("all,all,all,all,2025-2026,stream_interval,10", {"tpot_ms", "ttft_ms", "kv_tokens"}),
        ("all,all,all,all,2026,median ITL / mean TPOT,28", {"tpot_ms", "kv_tokens"}),
        ("all,all,all,all,2026,a new setting,1", {"kv_tokens"}),
    ],
)
def test_a_setting_that_the_profile_does_not_have_takes_what_it_changes_from_the_comparison(
    tmp_path: Path, flag: str, scored: set[str]
) -> None:
    about = {"date": "2026-02-04"}
    rows = [
        about,
        about | {"metric": "ttft", "value": "90"},
        about | {"metric": "kv_cache_tokens", "unit": "tokens", "value": "1000"},
    ]
    flagged(tmp_path, flag)
    read = read_measurements(table(tmp_path / "m.csv", *rows))
    (run,) = read.runs
    assert set(run.scored()) == scored
    assert sum(read.unset.values()) == 3 - len(scored)
    assert set(run.values) == {"tpot_ms", "ttft_ms", "kv_tokens"}  # kept for the table of runs


def test_settings_that_a_profile_has_are_set_up(tmp_path: Path) -> None:
    flagged(
        tmp_path,
        "all,all,all,all,2026,chunked_prefill_size; mem_fraction_static,32768; 0.82",
    )
    (run,) = read_measurements(
        table(tmp_path / "m.csv", {"date": "2026", "framework": "sglang 0.5.12"})
    ).runs
    pool = scenario_of(run).cluster.pools[0]
    assert (pool.max_batched_tokens, pool.kv.memory_fraction) == (32768, 0.82)
    assert set(run.scored()) == {"tpot_ms"}


def test_an_attention_back_end_is_set_up_and_is_a_case_of_its_own(tmp_path: Path) -> None:
    about = {"date": "2026-02-04", "framework": "vLLM 0.15.0"}
    flagged(tmp_path, f"all,B200,all,vLLM,2026-02,{KERNEL},0")
    run = one_of(tmp_path, about)
    assert scenario_of(run).cluster.pools[0].replica.engine.attention_backend == "flashinfer"
    (case,) = measured_cases([predict(run)])
    assert case.setup.engine == "vllm-0.15 with flashinfer"


@pytest.mark.parametrize(
    ("notes", "sequences", "kv_cache"),
    [
        ("max_num_seqs = concurrency", 4, "fp8"),
        ("max_num_seqs 64, bf16 KV", 64, "bf16"),
        ("bf16 latent KV", 512, "bf16"),
        ("fp8 KV cache", 512, "fp8"),
    ],
)
def test_limits_and_precision_of_the_kv_cache_are_read_from_notes(
    tmp_path: Path, notes: str, sequences: int, kv_cache: str
) -> None:
    pool = scenario_of(one_of(tmp_path, {"notes": notes})).cluster.pools[0]
    assert (pool.max_sequences, pool.replica.kv_cache) == (sequences, kv_cache)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("dataset\na\n", ":2: lacks hardware, model"),
        (HEADING + "all,all,all,all,2026,one; two,1\n", ":2: value: got 1 values; expected 2"),
        (None, "cannot be read: No such file"),
    ],
)
def test_settings_that_are_none_are_a_fault_with_their_line(
    tmp_path: Path, text: str | None, fault: str
) -> None:
    path = tmp_path / "flags.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ScenarioError, match=fault):
        read_flags(path)


def test_sglang_prints_gib_and_calls_them_gb(tmp_path: Path) -> None:
    """DeepSeek-R1 on eight H200: 509,157 tokens of 70,272 B are 35.78 GB, printed as 33.32 GB."""
    row = {"metric": "kv_cache_memory_per_gpu", "unit": "GB", "value": "33.32"}
    row |= {"framework": "sglang 0.5.12", "model": "DeepSeek-R1-0528", "precision": "fp8"}
    run = one_of(tmp_path, row)
    assert run.values["kv_gb"] == pytest.approx(509_157 * 70_272 / 1e9, rel=1e-3)
