"""Settings of SGLang in measured runs, as keys of a pool: limits, prefill and polls for requests.

InferenceX starts SGLang by scripts that are public, `benchmarks/**/dsr1_{fp4,fp8}_{b200,b300,h200}.sh`
of SemiAnalysisAI/InferenceX. Their settings were the same from November 2025 to 2026.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.validation.measured import MeasuredRun

_DATASETS = ("inferencemax_silicon", "inferencex_api")
_BLACKWELL = ("B200", "B300")
_FREQUENT_POLLS, _RARE_POLLS = 10, 30
"""Values of `--scheduler-recv-interval`: with fewer than 16 clients, and with more."""
_RARE_FROM_CLIENTS = 16


def recipe_of(measured: MeasuredRun) -> dict[str, dict[str, Any]]:
    """Return the settings of a run of SGLang by the script that started it.

    Parameters
    ----------
    measured
        Measured run.

    Returns
    -------
    dict
        Keys of `batching` and `kv` of the pool; empty for other runs.
    """
    is_known = (
        measured.release.profile.startswith("sglang")
        and measured.dataset in _DATASETS
        and measured.model.startswith("DeepSeek-R1")
        and measured.prefill is None
    )
    if is_known and measured.hardware in _BLACKWELL:
        return _blackwell(measured)
    if is_known and measured.hardware == "H200":
        sequences = 512 if measured.isl == measured.osl else 256
        return _settings(sequences, 32_768, 32_768, 0.82)
    return {}


def _blackwell(measured: MeasuredRun) -> dict[str, dict[str, Any]]:
    """Return the settings on B200; those on B300 are copies."""
    polls = _RARE_POLLS if measured.amount >= _RARE_FROM_CLIENTS else _FREQUENT_POLLS
    if measured.precision == "fp4":
        return _settings(256, 16_384, 16_384, 0.85, polls)
    if measured.tensor_parallel == 8:
        return _settings(128, 32_768, 32_768, 0.82, polls)
    return _settings(32, 8_192, 8_192, 0.95, _FREQUENT_POLLS)


def _settings(
    sequences: int, chunk: int, prefill: int, memory: float, polls: int = 1
) -> dict[str, dict[str, Any]]:
    return {
        "batching": {
            "max_sequences": sequences,
            "max_batched_tokens": chunk,
            "prefill_first": {
                "max_prefill_tokens": prefill,
                "ignore_eos": True,
                "overlap": True,
                "receive_interval": polls,
            },
        },
        "kv": {"memory_fraction": memory},
    }
