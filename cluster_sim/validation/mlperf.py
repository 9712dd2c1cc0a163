"""Lengths of requests and batching limits of MLPerf inference; its tables do not state them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster_sim.validation.measured import MeasuredRun

_AT = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
"""Shares of requests at which the quantiles of lengths below are given."""
_PROMPTS = {
    "llama-2-70b": (48, 73, 109, 152, 266, 519, 614, 791, 1021),
    "llama-3.1-405b": (476, 2783, 5996, 10112, 12281, 14156, 15831, 18956, 19988),
    "llama-3.1-8b": (79, 327, 544, 784, 1109, 1479, 1750, 2118, 2540),
    "deepseek-r1": (52, 100, 479, 902, 1088, 1281, 1312, 1432, 3140),
}
"""Quantiles of the lengths of prompts of the data sets [tokens]. Source: mlperf-data/summaries of
openshift-psap/performance-dashboard@71007029fb5b (Apache-2.0)."""
_ANSWERS = {
    "llama-2-70b": (3, 15, 84, 190, 303, 449, 563, 779, 1016),
    "llama-3.1-405b": (3, 210, 436, 753, 855, 974, 1048, 1174, 1830),
    "deepseek-r1": (209, 502, 996, 2194, 4913, 9477, 13854, 20000, 20000),
}
"""Quantiles of the lengths of answers of the reference implementation [tokens], from the source of
`_PROMPTS`. All answers of the 8B model have one length. Those of DeepSeek-R1 end at 20,000 tokens,
the limit of all submissions."""
_LIMITS = {
    "llama-2-70b": {"Offline": (2048, 3584), "Server": (2048, 3584), "Interactive": (768, 768)},
    "llama-3.1-405b": {"Offline": (128, 1536), "Server": (256, 2048), "Interactive": (256, 1536)},
    "llama-3.1-8b": {
        "Offline": (6000, 12000),
        "Server": (6000, 12000),
        "Interactive": (6000, 12000),
    },
    "deepseek-r1": {"Offline": (512, 8192), "Server": (512, 8192), "Interactive": (512, 8192)},
}
"""Pairs (max_sequences, max_batched_tokens) of NVIDIA's submission for 8 x B200, v5.1, from
closed/NVIDIA/configs. Most other submitters with this machine use equal limits."""


def lengths(measured: MeasuredRun, model: str) -> tuple[Any, Any] | None:
    """Return the distributions of the lengths of prompts and answers, scaled to the run's means.

    Parameters
    ----------
    measured
        Measured run.
    model
        Name of the model in the catalog.

    Returns
    -------
    tuple or None
        Values of the keys prompt_tokens and output_tokens of a scenario. None for a run that is not
        from MLPerf, or whose lengths are not known.
    """
    if not measured.dataset.startswith("mlperf") or model not in _PROMPTS:
        return None
    answers = _ANSWERS.get(model)
    return _scaled(_PROMPTS[model], measured.isl), _scaled(
        answers, measured.osl
    ) if answers else round(measured.osl)


def limits(measured: MeasuredRun, model: str) -> dict[str, Any] | None:
    """Return the batching of a run as keys of a scenario; None if it is not known.

    Configurations of TensorRT-LLM set `batch_scheduler_policy` to `max_util` (the same folder).
    """
    if not measured.dataset.startswith("mlperf") or model not in _LIMITS:
        return None
    scenario = next(
        (name for name in ("Interactive", "Server") if f"|{name}" in measured.split_key), "Offline"
    )
    sequences, tokens = _LIMITS[model][scenario]
    known = {"max_sequences": sequences, "max_batched_tokens": tokens}
    if measured.release.profile.startswith("trtllm"):
        return known | {"capacity_scheduler_policy": "max_utilization"}
    return known


def _scaled(lengths: Sequence[float], mean: float) -> dict[str, Any]:
    factor = mean / float(np.trapezoid(lengths, _AT))
    quantiles = {
        share: max(factor * length, 1.0) for share, length in zip(_AT, lengths, strict=True)
    }
    return {"distribution": "empirical", "quantiles": quantiles}
