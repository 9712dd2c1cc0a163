"""Settings of SGLang in InferenceX's scripts, which the tables of measurements do not state.

Source: benchmarks/**/dsr1_*.sh, qwen3.5_fp4_b200.sh and glm5_fp8_b200.sh of
SemiAnalysisAI/InferenceX; those of DeepSeek-R1 kept their settings from November 2025 to 2026. All
of them turn the radix cache off and ignore the end of answers.
"""

from __future__ import annotations

from cluster_sim.hardware.precision import Precision
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.recipe import Recipe

_DATASETS = ("inferencemax_silicon", "inferencex_api")
_BLACKWELL = ("B200", "B300")
_FREQUENT_POLLS, _RARE_POLLS = 10, 30
"""Values of `--scheduler-recv-interval`: with fewer than 16 clients, and with more."""
_RARE_FROM_CLIENTS = 16
_AMD_CHUNK = 196_608
"""Value of `--chunked-prefill-size` and `--max-prefill-tokens` on AMD [tokens]."""
_FP8_KV_FROM = {"MI300X": "2026-01-15", "MI325X": "2026-01-15", "MI355X": "2026-03-01"}
"""Dates by device from which the scripts for DeepSeek-R1 in 8 bit set a KV cache in 8 bit, and on
MI300X and MI325X chunks of 131,072 tokens. Source: perf-changelog.yaml of the benchmark, pull
requests 544 and 545; for MI355X, benchmarks/single_node/dsr1_fp8_mi355x.sh of spring."""
_FP8: Precision = "fp8"
_BF16: Precision = "bf16"
_DRAFTING_SLOTS = 48
_NOTHING = Recipe()


def recipe_of(measured: MeasuredRun) -> Recipe:
    """Return the settings of a run of SGLang, as its script has them.

    Parameters
    ----------
    measured
        Run of SGLang.
    """
    if measured.dataset not in _DATASETS or measured.prefill is not None:
        return _NOTHING
    clients = int(measured.amount)
    match measured.model, measured.hardware:
        case "Qwen3.5-397B-A17B", "B200":
            return _recipe(max(clients, 128), 32_768, 0.85, _RARE_POLLS)
        case "GLM-5", "B200":
            return _recipe(clients, 32_768, 0.85)
    is_known = measured.model.startswith("DeepSeek-R1")
    if is_known and measured.drafts is not None:
        return _of_drafts(measured)
    if is_known and measured.hardware in _BLACKWELL:
        return _on_blackwell(measured)
    if is_known and measured.hardware == "H200":
        return _recipe(512 if measured.isl == measured.osl else 256, 32_768, 0.82)
    if is_known and measured.hardware in _FP8_KV_FROM:
        return _on_amd(measured)
    return _NOTHING


def _of_drafts(measured: MeasuredRun) -> Recipe:
    """Return the settings of a run of DeepSeek-R1 with drafts.

    Scripts for fp4 on B200 and for MI355X export SGLANG_ENABLE_SPEC_V2, so that drafts overlap. The
    scripts for fp8 on B200 and B300 set it without exporting it. The script for fp4 on MI355X sets
    no number of sequences, for which SGLang takes 48 with drafts (`server_args.py`, 0.5). Source:
    benchmarks/single_node/dsr1_{fp4,fp8}_{b200,b300,mi355x}_mtp.sh.
    """
    if measured.hardware in _BLACKWELL:
        polls = _RARE_POLLS if measured.amount >= _RARE_FROM_CLIENTS else _FREQUENT_POLLS
        settings = _recipe(512, 16_384, 0.82, polls)
        overlaps = measured.precision == "fp4"
        return settings._replace(engine={"async_drafts": True}) if overlaps else settings
    slots = _DRAFTING_SLOTS if measured.precision == "fp4" else 2_048
    tokens = _AMD_CHUNK if measured.hardware == "MI355X" else 16_384
    settings = _recipe(slots, tokens, 0.8)
    return settings._replace(engine={"async_drafts": True})


def _on_blackwell(measured: MeasuredRun) -> Recipe:
    """Return the settings on B200; the scripts for B300 are copies."""
    polls = _RARE_POLLS if measured.amount >= _RARE_FROM_CLIENTS else _FREQUENT_POLLS
    if measured.precision == "fp4":
        return _recipe(256, 16_384, 0.85, polls)
    if measured.tensor_parallel == 8:
        return _recipe(128, 32_768, 0.82, polls)
    return _recipe(32, 8_192, 0.95, _FREQUENT_POLLS)


def _on_amd(measured: MeasuredRun) -> Recipe:
    """Return the settings on AMD, where a step takes hundreds of prompts of 1,024 tokens."""
    tokens, kv_cache = _AMD_CHUNK, _FP8
    if measured.precision == "fp4":
        if measured.isl > measured.osl and measured.amount > 32:
            tokens = 32_768
    elif "" < measured.date < _FP8_KV_FROM[measured.hardware]:
        kv_cache = _BF16
    elif measured.hardware != "MI355X":
        tokens = 131_072
    return _recipe(2_048, tokens, 0.8)._replace(kv_cache=kv_cache)


def _recipe(sequences: int, tokens: int, memory: float, polls: int = 1) -> Recipe:
    """Return a recipe; `tokens` is both the size of chunks and the limit of prompts per step."""
    rules = {
        "max_prefill_tokens": tokens,
        "ignore_eos": True,
        "receive_interval": polls,
    }
    batching = {"max_sequences": sequences, "max_batched_tokens": tokens, "prefill_first": rules}
    return Recipe({}, batching, memory)
