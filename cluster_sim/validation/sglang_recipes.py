"""Settings of SGLang in InferenceX's scripts, which the tables of measurements do not state.

Source: benchmarks/**/dsr1_{fp4,fp8}_{b200,b300,h200}.sh of SemiAnalysisAI/InferenceX, with the same
settings from November 2025 to 2026. All of them turn the radix cache off and ignore the end of
answers.
"""

from __future__ import annotations

from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.vllm_recipes import Recipe

_DATASETS = ("inferencemax_silicon", "inferencex_api")
_BLACKWELL = ("B200", "B300")
_FREQUENT_POLLS, _RARE_POLLS = 10, 30
"""Values of `--scheduler-recv-interval`: with fewer than 16 clients, and with more."""
_RARE_FROM_CLIENTS = 16
_NOTHING = Recipe({}, {}, None)


def recipe_of(measured: MeasuredRun) -> Recipe:
    """Return the settings of a run of SGLang, as its script has them.

    Parameters
    ----------
    measured
        Run of SGLang.
    """
    is_known = (
        measured.dataset in _DATASETS
        and measured.model.startswith("DeepSeek-R1")
        and measured.prefill is None
    )
    if is_known and measured.hardware in _BLACKWELL:
        return _on_blackwell(measured)
    if is_known and measured.hardware == "H200":
        return _recipe(512 if measured.isl == measured.osl else 256, 32_768, 0.82)
    return _NOTHING


def _on_blackwell(measured: MeasuredRun) -> Recipe:
    """Return the settings on B200; the scripts for B300 are copies."""
    polls = _RARE_POLLS if measured.amount >= _RARE_FROM_CLIENTS else _FREQUENT_POLLS
    if measured.precision == "fp4":
        return _recipe(256, 16_384, 0.85, polls)
    if measured.tensor_parallel == 8:
        return _recipe(128, 32_768, 0.82, polls)
    return _recipe(32, 8_192, 0.95, _FREQUENT_POLLS)


def _recipe(sequences: int, tokens: int, memory: float, polls: int = 1) -> Recipe:
    """Return a recipe; `tokens` is both the size of chunks and the limit of prompts per step."""
    rules = {
        "max_prefill_tokens": tokens,
        "ignore_eos": True,
        "overlap": True,
        "receive_interval": polls,
    }
    batching = {"max_sequences": sequences, "max_batched_tokens": tokens, "prefill_first": rules}
    return Recipe({}, batching, memory)
