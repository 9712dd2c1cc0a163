"""Measured runs to which constants of devices are fitted."""

from __future__ import annotations

from collections.abc import Iterable

from cluster_sim.calibration.serving_runs import ServingRow
from cluster_sim.deployment.engine_memory import captured_graphs
from cluster_sim.deployment.fleet import resolve
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import model_name
from cluster_sim.validation.setup import scenario_of
from cluster_sim.validation.simulated_fits import simulated_metrics

_ENGINES = ("vllm", "trtllm")
"""Names of engines in the table of measurements."""
_DATASETS = ("inferencemax_silicon", "inferencex_snapshot")
_FITTED = ("llama-3.3-70b", "gpt-oss-120b")
_LAUNCHES = ("minimax-m2", "fp4", 8, "vllm 0.19.0")
"""Model, precision, tensor parallelism and release whose runs with prompts of 1,024 tokens tell how
fast vLLM launches an eager step: the GPUs are faster there, and no run of the other models is."""
_MOST_CLIENTS = 256
"""Number of clients above which the client limits a run."""
_PREVIEWS = {
    ("H100", "vllm"),
    ("H100", "vllm 0.11.2"),
    ("H100", "trtllm 1.3.0rc1"),
    ("H200", "trtllm gpt-oss-dev"),
}
"""Preview releases that ran gpt-oss-120b before its final kernels."""


_OTHER_FITS: dict[str, tuple[str, ...]] = {
    "ifx_llama70b_fp4_b200_multiturn": ("prefix_hits",),  # the conversations, not the engine
    "cerebras_cs3": ("user_per_s",),
}
"""Metrics by data set that constants of other rooms are fitted to: conversations, and wafers."""


def fitted_metrics(run: MeasuredRun) -> frozenset[str]:
    """Return the metrics of a run that a constant was fitted to; empty if there are none.

    They are those of `serving_rows` and `simulated_fits`, TPOT of runs with drafts, memory from
    which the reserves of engines are derived, the one run of May 2025 without drafts, prefix hits
    of conversations, and wafers.

    Parameters
    ----------
    run
        Measured run.
    """
    metrics = set(_OTHER_FITS.get(run.dataset, ())) | simulated_metrics(run)
    metrics |= _of_drafts(run)
    if run.dataset == "b200_lowlatency" and run.drafts is None:
        metrics.add("user_per_s")
    if run.dataset == "ifx_llama70b_fp4_b200_multiturn" and "Llama" in run.model:
        metrics |= {"kv_tokens", "kv_gb"}
    if run.dataset == "aic_gap_analysis" and run.framework.startswith("sglang 0.5.1."):
        metrics |= {"tpot_ms", "ttft_ms", "output_per_s"}  # dense layers of SGLang on H100
    for row in serving_rows([run], run.hardware):
        metrics |= {"tpot_ms", "output_per_s"}
        if row.ttft_s is not None:
            metrics |= {"ttft_ms", "ttft_p99_ms"}
    return frozenset(metrics)


def _of_drafts(run: MeasuredRun) -> frozenset[str]:
    """Return the metrics of a run with drafts to which acceptance or host times were fitted.

    The acceptance of DeepSeek-R1's layer comes from runs that give mean gaps between chunks of
    known length, the host times of SGLang's drafts from runs in fp8 on Blackwell.
    """
    if run.drafts is None or not run.drafts.drafter:
        return frozenset()
    is_sglang, is_amd = run.framework.startswith("sglang"), run.hardware.startswith("MI")
    gives_gaps = run.dataset == "inferencex_api" and "tpot_ms" in run.values
    has_host_times = is_sglang and not is_amd and run.precision == "fp8"
    if has_host_times or (gives_gaps and (is_amd or not is_sglang)):
        return frozenset({"tpot_ms", "tpot_p50_ms", "output_per_s"})
    return frozenset()


def serving_rows(runs: Iterable[MeasuredRun], hardware: str) -> list[ServingRow]:
    """Return the runs to which `calibration.serving.fit_serving` fits a device's constants.

    The runs are InferenceMAX's closed loops of Llama 3.3 70B and gpt-oss-120b on vLLM and
    TensorRT-LLM, each with the engine release that ran. Their KV cache must hold all clients, since
    a batch that the KV cache limits has no closed formula. TTFT is used for vLLM only. Two kinds of
    runs are omitted: preview releases of gpt-oss-120b, which are far from all other releases of
    their engine, and runs with more than 256 clients, which the benchmark client limits.

    Parameters
    ----------
    runs
        Measured runs.
    hardware
        Name of the hardware in the table.
    """
    rows = []
    for run in runs:
        if run.dataset not in _DATASETS or run.hardware != hardware:
            continue
        if _is_fitted(run) and (row := _row(run)) is not None:
            rows.append(row)
    return rows


def _is_fitted(run: MeasuredRun) -> bool:
    """Return whether constants are fitted to runs with this engine, model, layout and load."""
    name = model_name(run.model)
    is_preview = name == "gpt-oss-120b" and (run.hardware, run.framework) in _PREVIEWS
    return (
        run.framework.split(" ")[0] in _ENGINES
        and (name in _FITTED or _tells_launches(run, name))
        and run.data_parallel == run.expert_parallel == 1
        and run.amount <= _MOST_CLIENTS
        and not is_preview
    )


def _tells_launches(run: MeasuredRun, name: str) -> bool:
    kind = (name, run.precision, run.tensor_parallel, run.framework)
    return kind == _LAUNCHES and run.hardware == "B200" and run.isl <= 1024.0


def _row(run: MeasuredRun) -> ServingRow | None:
    """Return the run as a row; None if the KV cache does not hold all clients."""
    deployment = resolve(scenario_of(run)).deployments[0]
    prompt, output = 0.9 * run.isl, 0.9 * run.osl
    if run.amount >= deployment.kv_cache.sequences(prompt + output):
        return None
    has_ttft = run.framework.startswith("vllm") and "ttft_ms" in run.values
    return ServingRow(
        configuration=run.split_key,
        model=deployment.model,
        tensor_parallel=run.tensor_parallel,
        weights=deployment.weights,
        kv_cache=deployment.pool.replica.kv_cache,
        engine=deployment.pool.replica.engine.profile,
        concurrency=int(run.amount),
        prompt_tokens=prompt,
        output_tokens=output,
        max_batched_tokens=deployment.pool.max_batched_tokens,
        tpot_s=run.values["tpot_ms"] / 1e3,
        ttft_s=run.values["ttft_ms"] / 1e3 if has_ttft else None,
        ttft_p99_s=run.values["ttft_p99_ms"] / 1e3 if "ttft_p99_ms" in run.values else None,
        prepares_ahead=deployment.pool.engine.async_scheduling,
        graphs=captured_graphs(deployment.pool),
    )
