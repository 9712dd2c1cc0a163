"""Which measured runs the constants of devices are fitted on."""

from __future__ import annotations

from collections.abc import Iterable

from cluster_sim.calibration.serving_runs import ServingRow
from cluster_sim.deployment.fleet import resolve
from cluster_sim.validation.measured import MODELS, MeasuredRun
from cluster_sim.validation.setup import scenario_of


def serving_rows(runs: Iterable[MeasuredRun], hardware: str) -> list[ServingRow]:
    """The runs that a device's constants are fitted on (`calibration.serving.fit_serving`):
    InferenceMAX's closed loops on `hardware`.

    Llama 3.3 70B and gpt-oss-120b by vLLM and TensorRT-LLM, whose KV cache holds all clients at
    once: a batch that is cut short has no closed formula. TTFT of vLLM only. Left out by rule:
    releases of gpt-oss-120b that lie far from all others of their engine (previews before its
    release kernels), named in `_PREVIEWS`, and runs with more than 256 clients, whose client is the
    limit.
    """
    rows = []
    for run in runs:
        engine = {"vllm": "vLLM", "trtllm": "TensorRT-LLM"}.get(run.framework.split(" ")[0])
        name = MODELS.get(run.model, run.model)
        if (
            run.dataset != "inferencemax_silicon"
            or run.hardware != hardware
            or engine is None
            or name not in ("llama-3.3-70b", "gpt-oss-120b")
        ):
            continue
        if run.data_parallel > 1 or run.expert_parallel > 1:
            continue
        if run.amount > 256 or (name == "gpt-oss-120b" and (hardware, run.framework) in _PREVIEWS):
            continue
        scenario = scenario_of(run)
        deployment = resolve(scenario).deployments[0]
        pool = deployment.pool
        prompt, output = 0.9 * run.isl, 0.9 * run.osl
        if run.amount * (prompt + output) >= deployment.kv_tokens:
            continue
        ttft_s = (
            run.values["ttft_ms"] / 1e3 if engine == "vLLM" and "ttft_ms" in run.values else None
        )
        rows.append(
            ServingRow(
                run.split_key, deployment.model, run.tensor_parallel, deployment.weights, pool.replica.kv_cache, engine,
                int(run.amount), prompt, output, pool.max_batched_tokens, run.values["tpot_ms"] / 1e3, ttft_s,
            )
        )  # fmt: skip
    return rows


_PREVIEWS = {
    ("H100", "vllm"),
    ("H100", "vllm 0.11.2"),
    ("H100", "trtllm 1.3.0rc1"),
    ("H200", "trtllm gpt-oss-dev"),
}
