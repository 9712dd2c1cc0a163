"""Measured runs that the constants of devices are fitted on."""

from __future__ import annotations

from collections.abc import Iterable

from cluster_sim.calibration.serving_runs import ServingRow
from cluster_sim.deployment.fleet import resolve
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import model_name
from cluster_sim.validation.setup import scenario_of

_ENGINES = {"vllm": "vLLM", "trtllm": "TensorRT-LLM"}
"""Names of engine profiles by those of the table."""
_FITTED = ("llama-3.3-70b", "gpt-oss-120b")
_MOST_CLIENTS = 256
"""Number of clients above which the client limits a run."""
_PREVIEWS = {
    ("H100", "vllm"),
    ("H100", "vllm 0.11.2"),
    ("H100", "trtllm 1.3.0rc1"),
    ("H200", "trtllm gpt-oss-dev"),
}
"""Releases that ran gpt-oss-120b before their release kernels."""


def serving_rows(runs: Iterable[MeasuredRun], hardware: str) -> list[ServingRow]:
    """Return the runs that `calibration.serving.fit_serving` fits a device's constants to.

    They are InferenceMAX's closed loops: Llama 3.3 70B and gpt-oss-120b by vLLM and TensorRT-LLM,
    whose KV cache holds all clients at once: a batch that is cut short has no closed formula. TTFT
    counts for vLLM only. Left out by rule are releases of gpt-oss-120b that lie far from all others
    of their engine (previews before its release kernels), and runs with more than 256 clients,
    whose client is the limit.

    Parameters
    ----------
    runs
        Measured runs.
    hardware
        Name of the hardware in the table.
    """
    rows = []
    for run in runs:
        if run.dataset != "inferencemax_silicon" or run.hardware != hardware:
            continue
        if _is_fitted(run) and (row := _row(run)) is not None:
            rows.append(row)
    return rows


def _is_fitted(run: MeasuredRun) -> bool:
    """Return whether engine, model, layout and load of a run are among those that are fitted."""
    name = model_name(run.model)
    is_preview = name == "gpt-oss-120b" and (run.hardware, run.framework) in _PREVIEWS
    return (
        _engine(run) is not None
        and name in _FITTED
        and run.data_parallel == run.expert_parallel == 1
        and run.amount <= _MOST_CLIENTS
        and not is_preview
    )


def _engine(run: MeasuredRun) -> str | None:
    return _ENGINES.get(run.framework.split(" ")[0])


def _row(run: MeasuredRun) -> ServingRow | None:
    """Return the run as a row; None where the KV cache does not hold all its clients."""
    deployment, engine = resolve(scenario_of(run)).deployments[0], _engine(run)
    assert engine is not None
    prompt, output = 0.9 * run.isl, 0.9 * run.osl
    if run.amount >= deployment.kv_cache.sequences(prompt + output):
        return None
    has_ttft = engine == "vLLM" and "ttft_ms" in run.values
    return ServingRow(
        configuration=run.split_key,
        model=deployment.model,
        tensor_parallel=run.tensor_parallel,
        weights=deployment.weights,
        kv_cache=deployment.pool.replica.kv_cache,
        engine=engine,
        concurrency=int(run.amount),
        prompt_tokens=prompt,
        output_tokens=output,
        max_batched_tokens=deployment.pool.max_batched_tokens,
        tpot_s=run.values["tpot_ms"] / 1e3,
        ttft_s=run.values["ttft_ms"] / 1e3 if has_ttft else None,
    )
